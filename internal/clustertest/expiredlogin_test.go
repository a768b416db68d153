package clustertest_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

// expiredScene is a cluster whose clock can be put forward, with a database of each protocol, none of which is there.
type expiredScene struct {
	*clustertest.Cluster
	ahead atomic.Int64
	mysql string // address
	alice *client.Credentials
}

func newExpiredScene(t *testing.T) *expiredScene {
	t.Helper()
	s := &expiredScene{}
	var databases []*resource.Database
	for name, protocol := range map[string]string{"orders": resource.ProtocolPostgres, "shop": resource.ProtocolMySQL, "items": resource.ProtocolMongoDB, "cache": resource.ProtocolRedis} {
		db := clustertest.Database(t, name, "127.0.0.1:1", nil)
		db.Spec.Protocol = protocol
		databases = append(databases, db)
	}
	s.Cluster = clustertest.Start(t, clustertest.Options{Databases: databases, Change: withMySQL(t, &s.mysql),
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }})
	s.Apply(t, dbRole)
	s.alice = s.User(t, "alice", "db") // for an hour
	return s
}

// login returns a certificate for a database.
func (s *expiredScene) login(t *testing.T, service string, terminated bool) (login *client.Credentials) {
	t.Helper()
	api := s.alice.API(clustertest.NewDialer(), s.Proxy)
	defer api.Close()
	clustertest.Eventually(t, "a login to "+service, func() (err error) {
		login, err = client.DatabaseLogin(t.Context(), api, client.Route{Service: service, User: "app", Name: "", ProxyTerminated: terminated}, 30*time.Minute)
		return err
	})
	return login
}

// files writes what native clients are given, and returns the path of each kind.
func files(t *testing.T, login *client.Credentials) (cert, key, authorities string) {
	t.Helper()
	dir := t.TempDir()
	private, err := ca.EncodeKey(login.Certificate().PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	var trusted []byte
	for _, authority := range login.Trust.Authorities[ca.HostCA] {
		trusted = append(trusted, ca.EncodeCertificate(authority.Raw)...)
	}
	for name, content := range map[string][]byte{"cert": ca.EncodeCertificate(login.Certificate().Certificate[0]), "key": private, "ca": trusted} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
}

// TestNativeClientsWithAnExpiredCertificateReadSo as they are shipped, whether TLS goes to the agent or ends at the proxy.
func TestNativeClientsWithAnExpiredCertificateReadSo(t *testing.T) {
	t.Parallel()
	s := newExpiredScene(t)
	host, port, err := net.SplitHostPort(s.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	_, mysqlPort, err := net.SplitHostPort(s.mysql)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) func() string {
		return func() string {
			cmd := exec.CommandContext(t.Context(), name, args...)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
			out, _ := cmd.CombinedOutput()
			return string(out)
		}
	}
	psql := func(login *client.Credentials, to string) func() string {
		cert, key, authorities := files(t, login)
		to = strings.Replace(to, "AUTHORITIES", authorities, 1)
		return run("psql", "-X", "-c", "select 1", fmt.Sprintf("hostaddr=%s port=%s user=app dbname=postgres sslcert=%s sslkey=%s %s", host, port, cert, key, to))
	}
	orders, shop := s.login(t, "orders", false), s.login(t, "shop", false)
	mysqlCert, mysqlKey, _ := files(t, s.login(t, "shop", true))
	cache := s.login(t, "cache", false)
	cacheCert, cacheKey, cacheAuthorities := files(t, cache)
	items, err := s.login(t, "items", false).DatabaseTLS()
	if err != nil {
		t.Fatal(err)
	}
	items.NextProtos = nil // a driver offers none
	name := func(service string) string { return route.ServerName(service, clustertest.ClusterName) }
	clients := map[string]struct {
		run  func() string
		says string
	}{
		"psql, end to end":      {psql(orders, "sslmode=verify-full sslrootcert=AUTHORITIES host="+name("orders")), "FATAL:  your certificate expired at "},
		"psql, by the proxy":    {psql(s.login(t, "orders", true), "sslmode=require host=localhost"), "FATAL:  your certificate expired at "},
		"mariadb, by the proxy": {run("mariadb", "--no-defaults", "--protocol=tcp", "--host="+host, "--port="+mysqlPort, "--user=app", "--ssl", "--ssl-cert="+mysqlCert, "--ssl-key="+mysqlKey, "-e", "select 1"), "ERROR 1043 (08S01): your certificate expired at "},
		"a driver of MySQL, end to end": {func() string {
			return fmt.Sprint(openMySQL(t, s.mysql, "app", native(shop, "shop")).Ping())
		}, "Error 1045 (28000): your certificate expired at "},
		"redis-cli, end to end": {run("redis-cli", "-h", host, "-p", port, "--tls", "--sni", name("cache"), "--cert", cacheCert, "--key", cacheKey, "--cacert", cacheAuthorities, "GET", "k"), "NOPERM your certificate expired at "},
		"a driver of MongoDB, end to end": {func() string {
			o := options.Client().ApplyURI("mongodb://" + items.ServerName + ":1/?directConnection=true").SetTLSConfig(items).SetDialer(toProxy(s.Proxy))
			return fmt.Sprint(connectMongo(t, o).Ping(t.Context(), nil))
		}, "your certificate expired at "},
	}
	for rule, c := range clients {
		clustertest.Eventually(t, rule+" is served while the certificate is valid", func() error {
			if said := c.run(); !strings.Contains(said, "cannot be reached from the agent") {
				return errors.New(said)
			}
			return nil
		})
	}
	s.ahead.Store(int64(2 * time.Hour))
	for rule, c := range clients {
		if said := c.run(); !strings.Contains(said, c.says) || !strings.Contains(said, "; log in again with tsh login") {
			t.Errorf("%s reads %s", rule, said)
		}
	}
	s.ahead.Store(0) // or the administrator's has expired too
	clustertest.Eventually(t, "the refusals are in the log", func() error {
		for _, service := range []string{"orders", "shop", "items", "cache"} {
			if len(s.Events(t, []string{"db.session.start"}, `"code":"TDB00W"`, `"user":"alice"`, `"db_service":"`+service+`"`, "your certificate expired at ")) == 0 {
				return fmt.Errorf("none of %s", service)
			}
		}
		return nil
	})
}

// TestExpiredCertificatesOpenNoOtherDoor and those who come with them are told nothing there.
func TestExpiredCertificatesOpenNoOtherDoor(t *testing.T) {
	t.Parallel()
	s := newExpiredScene(t)
	expired := s.login(t, "orders", false)
	other, err := ca.New(ca.UserCA, clustertest.ClusterName, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	forged := forge(t, other, expired)
	shake := func(cert *tls.Certificate, address, name string, protocols ...string) error {
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protocols, Certificates: []tls.Certificate{*cert}})
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = conn.Read(make([]byte, 1)) // in TLS 1.3 the refusal comes behind the handshake
		return err
	}
	clustertest.Eventually(t, "an agent has its certificate for the database", func() error {
		err := shake(forged, s.Proxy, route.ServerName("orders", clustertest.ClusterName), route.Protocol(resource.ProtocolPostgres))
		if err != nil && strings.Contains(err.Error(), "tls: internal error") {
			return err
		}
		return nil
	})
	s.ahead.Store(int64(2 * time.Hour))
	for rule, one := range map[string]func() error{
		"auth": func() error { return shake(expired.Certificate(), s.Auth, "auth", mtls.ProtocolHTTP2) },
		"auth through the proxy": func() error {
			return shake(expired.Certificate(), s.Proxy, "auth", mtls.ProtocolAuth, mtls.ProtocolHTTP2)
		},
		"a tunnel": func() error {
			return shake(expired.Certificate(), s.Proxy, "proxy", mtls.ProtocolTunnel, mtls.ProtocolHTTP2)
		},
		"an agent, by a certificate of another authority": func() error {
			return shake(forged, s.Proxy, route.ServerName("orders", clustertest.ClusterName), route.Protocol(resource.ProtocolPostgres))
		},
		"the proxy, by a certificate of another authority": func() error {
			return shake(forged, s.Proxy, "localhost", route.Protocol(resource.ProtocolPostgres))
		},
		"the API": func() error {
			api := expired.API(clustertest.NewDialer(), s.Proxy)
			defer api.Close()
			_, err := api.Cluster.GetAuthorities(t.Context(), &sallyportv1.GetAuthoritiesRequest{})
			return err
		},
	} {
		// A client of HTTP/2 may notice that the connection has ended before it reads why.
		if err := one(); err == nil || rule != "the API" && !strings.Contains(err.Error(), "tls: bad certificate") {
			t.Errorf("%s: %v", rule, err)
		}
	}
	s.ahead.Store(0)
	if n := len(s.Events(t, []string{"db.session.start"})); n != 0 {
		t.Errorf("%d sessions were asked for", n)
	}
}

// forge signs a certificate like another one, by another authority.
func forge(t *testing.T, authority *ca.Authority, like *client.Credentials) *tls.Certificate {
	t.Helper()
	leaf := like.Certificate().Leaf
	extension, err := like.Identity.Extension()
	if err != nil {
		t.Fatal(err)
	}
	request := ca.Request{PublicKey: leaf.PublicKey, Subject: leaf.Subject, NotAfter: leaf.NotAfter, ExtKeyUsage: leaf.ExtKeyUsage}
	request.Extensions = append(request.Extensions, extension)
	der, err := authority.Sign(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: like.Certificate().PrivateKey}
}
