// Package dataplane runs databases of the local AWS: real PostgreSQL, MariaDB and Redis servers that let in whom the
// verifier lets in.
//
// A Plane is one database with its endpoints. The server itself listens on loopback only; each endpoint is a relay with an
// address of its own, so that it is known which endpoint a client dialled, and a token for another one is refused. RDS and
// Aurora for PostgreSQL, and RDS for MariaDB, are the server itself, asked to verify passwords elsewhere (LDAP, or PAM for
// the exact words of RDS; MariaDB by PAM only). Redshift, RDS Proxy, and RDS and Aurora for MySQL are a front that speaks
// the protocol as far as the login and logs in to the server behind it; DocumentDB is one that speaks MongoDB's login,
// before FerretDB. ElastiCache and MemoryDB are one that reads AUTH and HELLO, before a server of Redis or each node of a
// cluster.
//
// Nothing here needs root, and everything works inside a user namespace.
package dataplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"sallyport/internal/aws/fakeaws"
)

// Kind is what a database pretends to be.
type Kind string

// The kinds.
const (
	RDS                Kind = "rds"       // RDS and Aurora
	Proxy              Kind = "rds-proxy" // RDS Proxy
	Redshift           Kind = "redshift"
	RedshiftServerless Kind = "redshift-serverless"
	DocumentDB         Kind = "documentdb"
	Redis              Kind = "redis" // ElastiCache and MemoryDB
)

// Engine is what a database of RDS, Aurora or RDS Proxy speaks.
type Engine string

// The engines. What is behind MySQL is MariaDB.
const (
	Postgres Engine = "postgres" // also ""
	MariaDB  Engine = "mariadb"
	MySQL    Engine = "mysql"
)

// Endpoint is one way to a database.
type Endpoint struct {
	Host   string `json:"host"`   // name:port that clients use, and that tokens of RDS are signed for
	Listen string `json:"listen"` // address:port
}

// Authentication is how the server of an RDS database has tokens verified.
type Authentication string

// The ways. They let the same people in; refusals are in the words of RDS with PAM only.
const (
	LDAP Authentication = "ldap"
	PAM  Authentication = "pam"
)

// Config describes a database.
type Config struct {
	Kind      Kind
	Engine    Engine
	Endpoints []Endpoint
	// Judge decides about logins: World.Verify, or a question to a verifier's socket.
	Judge func(fakeaws.Login) fakeaws.Verdict
	// Certificate is what the server shows; nil switches TLS off.
	Certificate *tls.Certificate
	// Setup is SQL that is run once as superuser. In PostgreSQL the role rds_iam is there already; in MariaDB, accounts that
	// log in with tokens are made as on RDS: IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'.
	Setup string
	// Authentication of RDS; default LDAP, and for MariaDB PAM. PAM needs VerifyCommand: "fakeaws verify" with the verifier's socket, to which
	// service, host and user are added.
	Authentication Authentication
	VerifyCommand  []string
	// Secret gives what an RDS Proxy logs in with for a user of its own, at the endpoint that is dialled; without one the login
	// fails.
	Secret func(host, user string) (fakeaws.Secret, bool)
	// Documents is for DocumentDB.
	Documents Documents
	// Redis is for that kind only.
	Redis RedisConfig
	// Now is the time that connections of Redis end by; default the machine's.
	Now func() time.Time
}

// Plane is a running database.
type Plane struct {
	server server

	redis     []*redisProcess
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	addresses []string
	cleanup   []func() // when the server has ended
}

// server is what a Plane runs.
type server interface {
	exec(ctx context.Context, database, sql string) (string, error)
	dial(ctx context.Context) (net.Conn, error)
	Log() string
	stop()
}

// Start starts a database. Stop ends it; so does the end of ctx.
func Start(ctx context.Context, config Config) (*Plane, error) {
	if len(config.Endpoints) == 0 || config.Judge == nil {
		return nil, errors.New("a database needs endpoints and somebody who judges logins")
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &Plane{cancel: cancel}
	if err := p.start(ctx, config); err != nil {
		p.Stop()
		return nil, fmt.Errorf("database %s: %w", config.Endpoints[0].Host, err)
	}
	return p, nil
}

func (p *Plane) start(ctx context.Context, config Config) error {
	switch {
	case config.Kind == DocumentDB:
		return p.startDocumentDB(ctx, config)
	case config.Kind == Redis:
		return p.startRedis(ctx, config)
	case config.Engine == MariaDB && config.Kind == RDS:
		return p.startMariaDB(ctx, config)
	case config.Engine == MariaDB || config.Engine == MySQL:
		return p.startMyFront(ctx, config)
	case config.Engine != "" && config.Engine != Postgres:
		return fmt.Errorf("no engine %q", config.Engine)
	case config.Kind == RDS:
		return p.startRDS(ctx, config)
	default:
		return p.startFront(ctx, config)
	}
}

// startFront starts a front of PostgreSQL, and the server behind it.
func (p *Plane) startFront(ctx context.Context, config Config) error {
	var open opener
	behind := "local all all trust"
	switch config.Kind {
	case Proxy:
		open, behind = proxyOpener{config}, "local all all scram-sha-256"
	case Redshift, RedshiftServerless:
		open = redshiftOpener{config, p}
	default:
		return fmt.Errorf("no kind of database %q", config.Kind)
	}
	s, err := startPostgres(ctx, serverConfig{HBA: []string{"local all " + superuser + " trust", behind}})
	if err != nil {
		return err
	}
	p.server = s
	if _, err := s.exec(ctx, "postgres", "CREATE ROLE rds_iam;\n"+config.Setup); err != nil {
		return err
	}
	for _, endpoint := range config.Endpoints {
		f := &front{endpoint: endpoint, certificate: config.Certificate, opener: open, backend: s.dial}
		if err := p.listen(ctx, endpoint, f.serve); err != nil {
			return err
		}
	}
	return nil
}

// listen serves connections to an endpoint until ctx ends.
func (p *Plane) listen(ctx context.Context, endpoint Endpoint, serve func(context.Context, net.Conn)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", endpoint.Listen)
	if err != nil {
		return err
	}
	p.addresses = append(p.addresses, listener.Addr().String())
	p.wg.Go(func() {
		stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // ends Accept
		defer stop()
		for {
			conn, err := listener.Accept()
			if err != nil {
				_ = listener.Close() // it is of no use any more
				return
			}
			p.wg.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends whatever waits for it
				defer stop()
				serve(ctx, conn)
			})
		}
	})
	return nil
}

// Addresses are where the endpoints listen, in their order.
func (p *Plane) Addresses() []string { return p.addresses }

// Exec runs SQL as superuser in a database and gives what it prints: values without decoration, one row a line.
func (p *Plane) Exec(ctx context.Context, database, sql string) (string, error) {
	return p.server.exec(ctx, database, sql)
}

// Log is what the server has logged so far, where it is PostgreSQL or MariaDB.
func (p *Plane) Log() string {
	if p.server == nil {
		return ""
	}
	return p.server.Log()
}

// Stop ends the database with all connections, waits, and removes its files.
func (p *Plane) Stop() {
	p.cancel()
	p.wg.Wait()
	if p.server != nil {
		p.server.stop()
	}
	for _, clean := range p.cleanup {
		clean()
	}
}
