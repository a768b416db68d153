package mysql_test

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/mariaserver"
	"sallyport/internal/realserver"
)

func TestMain(m *testing.M) { realserver.Main(m) }

func newEngine() *mysql.Engine {
	return mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

// real starts a MariaDB with the account "app", which a certificate opens, and the database "orders".
func real(t testing.TB) *mariaserver.Server {
	t.Helper()
	server := mariaserver.Start(t, mariaserver.Options{})
	server.Exec(t, "create database orders; create user app require subject '/CN=app'; grant all on *.* to app")
	return server
}

// front starts an agent before a real server.
func front(t testing.TB, server *mariaserver.Server, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	cfg := enginetest.Config{
		Engine:   newEngine(),
		Database: enginetest.NewDatabase(t, "mysql", server.Addr, server.DatabaseCA.CertPEM()),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Certificate: server.ClientCertificate(t, account)}, nil
		}),
	}
	for _, change := range change {
		change(&cfg)
	}
	return enginetest.Start(t, cfg)
}

// conn is a connection of a real driver.
type conn struct{ driver.Conn }

func dial(t testing.TB, address, account, name string, options ...func(*client.Config)) (conn, error) {
	cfg := client.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName, cfg.Logger = "tcp", address, account, name, &client.NopLogger{}
	cfg.AllowNativePasswords, cfg.MultiStatements = true, true
	for _, option := range options {
		option(cfg)
	}
	connector, err := client.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), enginetest.Patience)
	defer cancel()
	c, err := connector.Connect(ctx)
	return conn{c}, err
}

func connect(t testing.TB, agent *enginetest.Agent, options ...func(*client.Config)) conn {
	t.Helper()
	c, err := dial(t, agent.Addr(), "app", "orders", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (c conn) exec(text string, args ...any) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), text, named(args))
	return err
}

func named(args []any) []driver.NamedValue {
	var values []driver.NamedValue
	for i, arg := range args {
		values = append(values, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return values
}

// rows runs a query and returns its values as texts, one row a line.
func (c conn) rows(t testing.TB, text string, args ...any) []string {
	t.Helper()
	rows, err := c.query(text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return rows
}

func (c conn) query(text string, args ...any) ([]string, error) {
	q := c.Conn.(driver.QueryerContext)
	var rows driver.Rows
	var err error
	if len(args) == 0 {
		rows, err = q.QueryContext(context.Background(), text, nil)
	} else {
		var s driver.Stmt
		if s, err = c.Prepare(text); err != nil {
			return nil, err
		}
		defer s.Close()
		rows, err = s.(driver.StmtQueryContext).QueryContext(context.Background(), named(args))
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []string
	for {
		values := make([]driver.Value, len(rows.Columns()))
		if err := rows.Next(values); err != nil {
			if err.Error() == "EOF" {
				return lines, nil
			}
			return lines, err
		}
		var texts []string
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			texts = append(texts, strings.TrimSpace(strings.ReplaceAll(sprint(v), "\n", " ")))
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
}

// mariadb runs the client that comes with MariaDB and returns what it prints, errors included.
func mariadb(t testing.TB, agent *enginetest.Agent, input string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*enginetest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mariadb", append([]string{"--no-defaults", "--batch", "--host=" + host, "--port=" + port, "--user=app"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// depart closes the connection, waits for the session to end, and returns it.
func depart(t testing.TB, agent *enginetest.Agent, c conn) *enginetest.Visit {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	v := agent.Visit(t, len(agent.Visits())-1)
	if err := v.Wait(t); err != nil {
		t.Fatalf("the session ended with %v", err)
	}
	return v
}
