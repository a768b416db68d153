package agent_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/aws/guard"
	"sallyport/internal/ca"
	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/redis"
	"sallyport/internal/knock"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

const (
	// checked gives a busy machine time for a handshake, and has it given up before the test loses its patience.
	checked       = "kind: health_check_config\nversion: v1\nmetadata: {name: all}\nspec: {match: {db_labels: {'*': '*'}}, interval: 30s, timeout: TIMEOUT}\n"
	cacheInAWS    = "master.orders.abcdef.usw1.cache.amazonaws.com:6379"
	postgresInAWS = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	mysqlInAWS    = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
)

// clumsy is an engine that falls when it is asked.
type clumsy struct{ engine.Engine }

func (clumsy) Harmless(*resource.Database) bool    { return true }
func (clumsy) AskForTLS(u *session.Upstream) error { panic("clumsy") }

// TestHealthOfDatabasesInAWS has databases that show certificates, or do other things, and reads what the agent says of them.
func TestHealthOfDatabasesInAWS(t *testing.T) {
	t.Parallel()
	authority, err := ca.New(ca.DatabaseCA, cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(cacheInAWS)
	shown := func(name string) *tls.Config {
		cert, err := realserver.Issue(authority, "database", []string{name}, x509.ExtKeyUsageServerAuth)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	trusted := func(context.Context, *resource.Database) (*cred.Credential, error) {
		return &cred.Credential{Authorities: []*x509.Certificate{authority.Cert}}, nil
	}
	for _, test := range []struct {
		name, uri        string
		server           *tls.Config // nil for one that says nothing
		engine           engine.Engine
		trusted          func(context.Context, *resource.Database) (*cred.Credential, error)
		protocol, status string
		says             string
	}{
		{"the right certificate", cacheInAWS, shown(host), redis.New(redis.Config{}), trusted, "TLS", "healthy", ""},
		{"a certificate for another name", cacheInAWS, shown("other.example.com"), redis.New(redis.Config{}), trusted, "TLS", "unhealthy", "set tls.server_name"},
		{"an authority that is not trusted", cacheInAWS, shown(host), redis.New(redis.Config{}), func(context.Context, *resource.Database) (*cred.Credential, error) {
			return &cred.Credential{AuthoritiesFrom: "nowhere"}, nil
		}, "TLS", "unhealthy", "it is from none of nowhere"},
		{"no answer to the handshake", cacheInAWS, nil, redis.New(redis.Config{}), trusted, "TLS", "unhealthy", "did not complete the TLS handshake in time"},
		{"no answer to who asks for TLS", postgresInAWS, nil, postgres.New(postgres.Config{Now: time.Now}), trusted, "TLS", "unhealthy", "did not complete the TLS handshake in time"},
		{"authorities that cannot be had", cacheInAWS, shown(host), redis.New(redis.Config{}), func(context.Context, *resource.Database) (*cred.Credential, error) {
			return nil, errors.New("download failed")
		}, "TLS", "unknown", "the log of the"},
		{"an engine that falls", cacheInAWS, shown(host), clumsy{}, trusted, "TLS", "unknown", "a fault of this program"},
		{"a name that leads to the agent itself", mysqlInAWS, nil, mysql.New(mysql.Config{}), nil, "TCP", "unhealthy", "this host's own"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := startTLS(t, test.server)
			protocols := map[string]string{cacheInAWS: resource.ProtocolRedis, postgresInAWS: resource.ProtocolPostgres, mysqlInAWS: resource.ProtocolMySQL}
			db := &resource.Database{Spec: resource.DatabaseSpec{URI: test.uri, Protocol: protocols[test.uri]}}
			db.SetKind(resource.KindDatabase)
			db.Metadata.Name = "orders"
			if err := db.Validate(); err != nil {
				t.Fatal(err)
			}
			a := newAuthority(t)
			timeout := "30s"
			if test.server == nil {
				timeout = "5s" // nobody will answer; until then there is time to dial
			}
			a.store(t, strings.Replace(checked, "TIMEOUT", timeout, 1))
			running := a.start(t, func(c *agent.Config) {
				c.Engines = map[string]agent.Protocol{db.Spec.Protocol: {Engine: test.engine}}
				c.Trusted = test.trusted
				c.DialAWS = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				}
				guarded := knock.Knocker(guard.Dialer(net.Dialer{}))
				c.KnockAWS = func(ctx context.Context, _ string) error { return guarded(ctx, address) }
			}, db)
			var health resource.TargetHealth
			eventually(t, "its health is told", func() bool {
				if server := a.server("orders"); server != nil {
					health = server.Status.TargetHealth
				}
				return health.Status != "" && health.TransitionReason != resource.HealthInitialized
			})
			if health.Status != test.status || health.Protocol != test.protocol || health.Address != test.uri || !strings.Contains(health.TransitionError, test.says) {
				t.Errorf("got %+v", health)
			}
			if logged := strings.Contains(running.log.String(), "health of a database cannot be checked"); logged != (test.status == resource.HealthUnknown) {
				t.Errorf("it is logged %v that the check could not be made: %s", logged, running.log)
			}
			running.stop()
		})
	}
}

// startTLS answers handshakes, or nothing, until the test ends.
func startTLS(t *testing.T, cfg *tls.Config) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				if cfg != nil {
					_ = tls.Server(conn, cfg).HandshakeContext(t.Context())
				}
				_, _ = io.Copy(io.Discard, conn) // until the other side goes
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return listener.Addr().String()
}
