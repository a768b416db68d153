package clustertest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/mariaserver"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
	"sallyport/internal/route"
)

// mysqlScene is a cluster with a MariaDB, which is its database "shop", and alice, who may use its account "app".
type mysqlScene struct {
	*clustertest.Cluster
	port   string // address of the proxy for clients that do TLS themselves
	server *mariaserver.Server
	agents []*clustertest.Daemon
	login  *client.Credentials // alice's
}

type mysqlOptions struct {
	agents int    // processes that serve the database; without any, the proxy's own does
	role   string // of the name db; default appRole
	change func(cfg *config.Config)
}

// appRole opens the account "app" and no other.
var appRole = strings.Replace(dbRole, "db_users: ['*']", "db_users: [app]", 1)

func newMySQLScene(t *testing.T, options mysqlOptions) *mysqlScene {
	t.Helper()
	s := &mysqlScene{}
	withPort := withMySQL(t, &s.port)
	s.Cluster = clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) {
		withPort(cfg)
		if options.change != nil {
			options.change(cfg)
		}
		if options.agents == 0 {
			cfg.Databases.Enabled = true
			cfg.Databases.Selectors = []resource.ResourceSelector{{Labels: resource.Labels{"*": {"*"}}}}
		}
	}})
	var db *resource.Database
	s.server, db = startMariaDB(t, s.Cluster)
	if options.role == "" {
		options.role = appRole
	}
	s.Apply(t, options.role)
	if options.agents == 0 {
		s.Apply(t, fmt.Sprintf("kind: db\nversion: v3\nmetadata: {name: shop, labels: {env: dev}}\nspec:\n  protocol: mysql\n  uri: %s\n  tls:\n    ca_cert: %q\n", s.server.Addr, db.Spec.TLS.CACert))
	}
	for range options.agents {
		s.agents = append(s.agents, s.StartAgent(t, nil, db))
	}
	s.login = s.loginOf(t, "alice")
	return s
}

// loginOf makes a user and returns the certificate with which the database is opened.
func (s *mysqlScene) loginOf(t *testing.T, user string) (login *client.Credentials) {
	t.Helper()
	who := s.User(t, user, "db")
	clustertest.Eventually(t, user+" gets a login", func() (err error) {
		login, err = databaseLogin(t, s.Cluster, who, "shop", "app", "shop")
		return err
	})
	return login
}

// throughLocalProxy returns the address of a local proxy, as tsh proxy db --tunnel runs it.
func (s *mysqlScene) throughLocalProxy(t *testing.T, login *client.Credentials) string {
	t.Helper()
	listener, err := localproxy.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	proxy := localproxy.New(localproxy.Config{Dial: clustertest.NewDialer().To(s.Proxy), TLS: func(context.Context) (*tls.Config, error) { return login.DatabaseTLS() }, Protocol: "mysql", Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// open connects alice as an account, end to end.
func (s *mysqlScene) open(t *testing.T, account string) *sql.DB {
	t.Helper()
	return openMySQL(t, s.port, account, native(s.login, "shop"))
}

// openGreeted connects alice and reads along the number with which her newest connection was greeted.
func (s *mysqlScene) openGreeted(t *testing.T) (*sql.DB, *greetedNumber) {
	t.Helper()
	greeted := &greetedNumber{}
	cfg := mysqlConfig(s.port, "app", native(s.login, "shop"))
	cfg.DialFunc = greeted.dial
	return openConfig(t, cfg), greeted
}

// startMariaDB starts a server with the account "app", and returns it with its resource.
func startMariaDB(t *testing.T, c *clustertest.Cluster) (*mariaserver.Server, *resource.Database) {
	t.Helper()
	server := mariaserver.Start(t, mariaserver.Options{Certificates: realserver.Certificates{ClientCA: clientAuthority(t, c)}})
	server.Exec(t, "create database shop; create user app require subject '/CN=app'; grant all on shop.* to app")
	db := clustertest.Database(t, "shop", server.Addr, map[string]string{"env": "dev"})
	db.Spec.Protocol = resource.ProtocolMySQL
	db.Spec.TLS.CACert = string(server.DatabaseCA.CertPEM())
	return server, db
}

// withMySQL gives the proxy a port for clients of MySQL, and returns it.
func withMySQL(t *testing.T, to *string) func(cfg *config.Config) {
	*to = clustertest.FreeAddr(t)
	return func(cfg *config.Config) { cfg.Proxy.MySQL.ListenAddr = *to }
}

// native is what a client of MySQL needs that does TLS itself.
func native(login *client.Credentials, service string) *tls.Config {
	return &tls.Config{ServerName: route.ServerName(service, clustertest.ClusterName), RootCAs: login.Trust.Pool(ca.HostCA), Certificates: []tls.Certificate{*login.Certificate()}}
}

// mysqlConfig is for a driver that does TLS itself, or none.
func mysqlConfig(address, account string, secured *tls.Config) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName, cfg.Logger, cfg.TLS = "tcp", address, account, "shop", &mysql.NopLogger{}, secured
	return cfg
}

func openMySQL(t *testing.T, address, account string, secured *tls.Config) *sql.DB {
	t.Helper()
	return openConfig(t, mysqlConfig(address, account, secured))
}

func openConfig(t *testing.T, cfg *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// greetedNumber reads along what the newest connection was greeted with.
type greetedNumber struct {
	mu   sync.Mutex
	read []byte // guarded by mu
}

func (g *greetedNumber) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = nil
	return &readAlong{conn, g}, err
}

func (g *greetedNumber) number(t *testing.T) uint32 {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	payload, _, err := mysqlwire.ReadPacket(bytes.NewReader(g.read), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	greeting, err := mysqlwire.ParseGreeting(payload)
	if err != nil {
		t.Fatal(err)
	}
	return greeting.Connection
}

type readAlong struct {
	net.Conn
	to *greetedNumber
}

func (r *readAlong) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.to.read = append(r.to.read, p[:n]...)
	return n, err
}
