package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/pgserver"
	"sallyport/internal/realserver"
)

func TestMain(m *testing.M) { realserver.Main(m) }

func newEngine() *postgres.Engine {
	return postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), HalfClosed: 12 * time.Second})
}

// front starts an agent before a real server.
func front(t testing.TB, server *pgserver.Server, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	cfg := enginetest.Config{
		Engine:   newEngine(),
		Database: enginetest.NewDatabase(t, "postgres", server.Addr, server.DatabaseCA.CertPEM()),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Certificate: server.ClientCertificate(t, account)}, nil
		}),
	}
	for _, change := range change {
		change(&cfg)
	}
	return enginetest.Start(t, cfg)
}

func url(agent *enginetest.Agent, options string) string {
	return "postgres://postgres@" + agent.Addr() + "/postgres?sslmode=disable" + options
}

// tryConnect logs in with pgx.
func tryConnect(t testing.TB, agent *enginetest.Agent, options string) (*pgx.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), enginetest.Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url(agent, options))
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func connect(t testing.TB, agent *enginetest.Agent) *pgx.Conn {
	t.Helper()
	conn, err := tryConnect(t, agent, "")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// depart closes the connection, waits for the session to end, and returns it.
func depart(t testing.TB, agent *enginetest.Agent, conn *pgx.Conn) *enginetest.Visit {
	t.Helper()
	if err := conn.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	v := agent.Visit(t, len(agent.Visits())-1)
	if err := v.Wait(t); err != nil {
		t.Fatalf("the session ended with %v", err)
	}
	return v
}

func exec1(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// psql runs psql with the input and returns what it prints, errors included.
func psql(t testing.TB, agent *enginetest.Agent, input string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*enginetest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "psql", append([]string{"-X", "-A", "-t", "-h", host, "-p", port, "-U", "postgres", "-d", "postgres"}, args...)...)
	cmd.Env = append(os.Environ(), "PGSSLMODE=disable", "PGGSSENCMODE=disable")
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func wantState(t testing.TB, err error, state string) *pgconn.PgError {
	t.Helper()
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != state {
		t.Fatalf("got %v, want an error with SQLSTATE %s", err, state)
	}
	return pgErr
}

// queries returns the texts of the recorded statements.
func queries(v *enginetest.Visit) []string {
	var texts []string
	for _, event := range v.Journal.Events("db.session.query") {
		texts = append(texts, event.Text("db_query"))
	}
	return texts
}

// outcome is a statement together with how it ended.
type outcome struct {
	Query  enginetest.Event
	Result []enginetest.Event
}

// outcomes pairs queries with their results, and fails the test if one is left over.
func outcomes(t testing.TB, v *enginetest.Visit) []outcome {
	t.Helper()
	var all []outcome
	byIndex := make(map[int64]int)
	binds := make(map[int64]bool) // they have a result of their own if they fail
	for _, event := range v.Journal.Events("db.session.query", "db.session.result", "db.session.postgres.function", "db.session.postgres.statements.bind") {
		if event.Type == "db.session.postgres.statements.bind" {
			binds[event.Number("ei")] = true
			continue
		}
		if binds[event.Number("statement_ei")] && event.Type == "db.session.result" {
			continue
		}
		if event.Type != "db.session.result" {
			byIndex[event.Number("ei")] = len(all)
			all = append(all, outcome{Query: event})
			continue
		}
		i, ok := byIndex[event.Number("statement_ei")]
		if !ok {
			t.Fatalf("a result of no statement: %v", event.Fields)
		}
		all[i].Result = append(all[i].Result, event)
	}
	for _, o := range all {
		if len(o.Result) == 0 {
			t.Fatalf("%q has no result", o.Query.Text("db_query"))
		}
	}
	return all
}
