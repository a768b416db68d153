package clustertest_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/pgserver"
	"sallyport/internal/realserver"
)

func TestMain(m *testing.M) { realserver.Main(m) }

// authorities returns two authorities of a cluster as a database server needs them. Only their
// certificates matter to it; the server's own certificate comes from the test's authority, which the
// database resource names.
func startPostgres(t *testing.T, c *clustertest.Cluster) *pgserver.Server {
	t.Helper()
	return pgserver.Start(t, pgserver.Options{Certificates: realserver.Certificates{ClientCA: clientAuthority(t, c)}})
}

func clientAuthority(t *testing.T, c *clustertest.Cluster) *ca.Authority {
	t.Helper()
	res := c.Authorities(t)
	cert, err := ca.ParseCertificate(res["db_client"])
	if err != nil {
		t.Fatal(err)
	}
	return &ca.Authority{Type: ca.ClientCA, Cert: cert}
}

const dbRole = `
kind: role
version: v3
metadata: {name: db}
spec:
  allow:
    db_labels: {'*': '*'}
    db_names: ['*']
    db_users: ['*']
`

// connect opens a PostgreSQL connection the way the local proxy does.
func connect(t *testing.T, c *clustertest.Cluster, who *client.Credentials, service, user, name string) (*pgx.Conn, error) {
	t.Helper()
	login, err := databaseLogin(t, c, who, service, user, name)
	if err != nil {
		return nil, err
	}
	return open(t, c, login, user, name)
}

// databaseLogin gets the certificate that opens a database.
func databaseLogin(t *testing.T, c *clustertest.Cluster, who *client.Credentials, service, user, name string) (*client.Credentials, error) {
	t.Helper()
	api := who.API(clustertest.NewDialer(), c.Proxy)
	defer api.Close()
	login, err := client.DatabaseLogin(t.Context(), api, client.Route{Service: service, User: user, Name: name}, time.Hour)
	if err != nil {
		return nil, fmt.Errorf("database login: %w", err)
	}
	return login, nil
}

// open opens a PostgreSQL connection with a database's certificate.
func open(t *testing.T, c *clustertest.Cluster, login *client.Credentials, user, name string) (*pgx.Conn, error) {
	t.Helper()
	config, err := pgx.ParseConfig("postgres://127.0.0.1:1/?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	config.TLSConfig, err = login.DatabaseTLS()
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Database, config.Fallbacks = user, name, nil
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", c.Proxy)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, nil
}

func TestMainJobThroughAnAgent(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	pg := startPostgres(t, c)
	db := clustertest.Database(t, "orders", pg.Addr, map[string]string{"env": "dev"})
	db.Spec.TLS.CACert = string(pg.DatabaseCA.CertPEM())
	c.Apply(t, dbRole)
	c.StartAgent(t, nil, db)
	alice := c.User(t, "alice", "db")

	var conn *pgx.Conn
	clustertest.Eventually(t, "alice connects", func() (err error) {
		conn, err = connect(t, c, alice, "orders", "postgres", "postgres")
		return err
	})
	var user string
	var sum int
	if err := conn.QueryRow(t.Context(), "select current_user, $1::int + 1", 41).Scan(&user, &sum); err != nil {
		t.Fatal(err)
	}
	if user != "postgres" || sum != 42 {
		t.Fatalf("got %s, %d", user, sum)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the session is in the log", func() error {
		if n := len(c.Events(t, []string{"db.session.end"}, `"user":"alice"`)); n != 1 {
			return fmt.Errorf("%d end events", n)
		}
		return nil
	})
	queries := c.Events(t, []string{"db.session.query"}, `current_user`)
	if len(queries) != 1 || !strings.Contains(queries[0], `"db_query_parameters":["41"]`) {
		t.Fatalf("query events: %s", queries)
	}
	if results := c.Events(t, []string{"db.session.result"}, `"success":true`); len(results) == 0 {
		t.Fatal("no result event")
	}
}

func TestDeniedUserReadsTheReason(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	pg := startPostgres(t, c)
	db := clustertest.Database(t, "orders", pg.Addr, nil)
	c.Apply(t, strings.Replace(strings.Replace(dbRole, "db_users: ['*']", "db_users: [reader]", 1), "name: db", "name: reader", 1))
	c.StartAgent(t, nil, db)
	bob := c.User(t, "bob", "reader")
	clustertest.Eventually(t, "bob is refused", func() error {
		_, err := connect(t, c, bob, "orders", "postgres", "postgres")
		if err == nil {
			t.Fatal("bob was let in")
		}
		if !strings.Contains(err.Error(), "28000") {
			return err
		}
		return nil
	})
	clustertest.Eventually(t, "the refusal is in the log", func() error {
		if n := len(c.Events(t, []string{"db.session.start"}, `"code":"TDB00W"`, `"user":"bob"`)); n == 0 {
			return fmt.Errorf("no event")
		}
		return nil
	})
	if strings.Contains(pg.Log(t), "connection authorized: user=postgres") {
		t.Fatal("the database was contacted")
	}
}
