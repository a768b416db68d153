package clustertest_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/clustertest"
	"sallyport/internal/mariaserver"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
)

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

// throughLocalProxy returns the address of a local proxy, as tsh proxy db --tunnel runs it.
func throughLocalProxy(t *testing.T, c *clustertest.Cluster, login *client.Credentials) string {
	t.Helper()
	listener, err := localproxy.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	proxy := localproxy.New(localproxy.Config{Dial: clustertest.NewDialer().To(c.Proxy), TLS: func(context.Context) (*tls.Config, error) { return login.DatabaseTLS() }, Protocol: "mysql", Logger: slog.New(slog.DiscardHandler)})
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

func openMySQL(t *testing.T, address, account string) *sql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName, cfg.Logger = "tcp", address, account, "shop", &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestMySQLThroughAnAgent(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	server, db := startMariaDB(t, c)
	c.Apply(t, strings.Replace(dbRole, "db_users: ['*']", "db_users: [app]", 1))
	c.StartAgent(t, nil, db)
	alice := c.User(t, "alice", "db")
	var login *client.Credentials
	clustertest.Eventually(t, "alice gets a login", func() (err error) {
		login, err = databaseLogin(t, c, alice, "shop", "app", "shop")
		return err
	})
	address := throughLocalProxy(t, c, login)
	through := openMySQL(t, address, "app")
	var account string
	clustertest.Eventually(t, "alice connects", func() error { return through.QueryRow("select current_user()").Scan(&account) })
	if account != "app@%" {
		t.Fatalf("the database sees %s", account)
	}
	var sum int
	if err := through.QueryRow("select ? + 1", 41).Scan(&sum); err != nil || sum != 42 {
		t.Fatalf("got %d, %v", sum, err)
	}
	if err := through.Close(); err != nil {
		t.Fatal(err)
	}

	var refusal *mysql.MySQLError
	if err := openMySQL(t, address, "root").Ping(); !errors.As(err, &refusal) || refusal.Number != 1045 || !strings.Contains(refusal.Message, "access to db denied") {
		t.Errorf("root was told %v", err)
	}
	if strings.Contains(server.Statements(t), "Connect\troot@127.0.0.1") {
		t.Error("the database was asked for root")
	}

	clustertest.Eventually(t, "all is in the log", func() error {
		for _, want := range []struct {
			events []string
			texts  []string
		}{
			{[]string{"db.session.start"}, []string{`"code":"TDB00I"`, `"db_protocol":"mysql"`, `"db_user":"app"`, `"db_name":"shop"`}},
			{[]string{"db.session.start"}, []string{`"code":"TDB00W"`, `"db_user":"root"`}},
			{[]string{"db.session.mysql.statements.prepare"}, []string{"select ? + 1"}},
			{[]string{"db.session.query"}, []string{"select ? + 1", `"db_query_parameters":["41"]`}},
			{[]string{"db.session.result"}, []string{`"success":true`, `"affected_records":1`}},
			{[]string{"db.session.end"}, []string{`"user":"alice"`, `"statements":`}},
		} {
			if n := len(c.Events(t, want.events, want.texts...)); n == 0 {
				return fmt.Errorf("no %s with %q", want.events, want.texts)
			}
		}
		return nil
	})
}

// TestMySQLIsKnownBeforeAnybodyVisits checks the greeting of the first visitor, and that a check walks the whole way.
func TestMySQLIsKnownBeforeAnybodyVisits(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	server, db := startMariaDB(t, c)
	c.Apply(t, dbRole)
	agent := c.StartAgent(t, nil, db)
	alice := c.User(t, "alice", "db")
	version := server.Exec(t, "select version()")
	var login *client.Credentials
	clustertest.Eventually(t, "alice gets a login", func() (err error) {
		login, err = databaseLogin(t, c, alice, "shop", "app", "shop")
		return err
	})
	address := throughLocalProxy(t, c, login)
	clustertest.Eventually(t, "the first visitor is greeted as the database would", func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		payload, _, err := mysqlwire.ReadPacket(conn, 1<<16)
		if err != nil {
			return err
		}
		g, err := mysqlwire.ParseGreeting(payload)
		if err == nil && !strings.HasSuffix(g.Version, version) {
			return fmt.Errorf("the greeting says %q, %v", g.Version, err)
		}
		return err
	})
	if n := len(c.Events(t, []string{"db.session.start"}, `"code":"TDB00I"`)); n != 0 {
		t.Errorf("%d sessions were started", n)
	}
	clustertest.Eventually(t, "the whole way is walked", func() error {
		res, err := c.Admin.Databases.CheckDatabase(t.Context(), &sallyportv1.CheckDatabaseRequest{Name: "shop", DatabaseUser: "app"})
		if err != nil {
			return err
		}
		if text := fmt.Sprint(res.GetSteps()); !strings.Contains(text, `as \"app\"`) || !strings.Contains(text, version) {
			return fmt.Errorf("the check says %s\n%s", text, agent.Log())
		}
		return nil
	})
}
