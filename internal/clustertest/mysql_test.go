package clustertest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/clustertest"
	"sallyport/internal/mysqlwire"
)

func TestMySQLThroughAnAgent(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1})
	address := s.throughLocalProxy(t, s.login)
	through := openMySQL(t, address, "app", nil)
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
	if err := openMySQL(t, address, "root", nil).Ping(); !errors.As(err, &refusal) || refusal.Number != 1045 || !strings.Contains(refusal.Message, "access to db denied") {
		t.Errorf("root was told %v", err)
	}
	if strings.Contains(s.server.Statements(t), "Connect\troot@127.0.0.1") {
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
			if n := len(s.Events(t, want.events, want.texts...)); n == 0 {
				return fmt.Errorf("no %s with %q", want.events, want.texts)
			}
		}
		return nil
	})
}

// TestMySQLIsKnownBeforeAnybodyVisits checks the greeting of the first visitor, and that a check walks the whole way.
func TestMySQLIsKnownBeforeAnybodyVisits(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1})
	version := s.server.Exec(t, "select version()")
	address := s.throughLocalProxy(t, s.login)
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
	if n := len(s.Events(t, []string{"db.session.start"}, `"code":"TDB00I"`)); n != 0 {
		t.Errorf("%d sessions were started", n)
	}
	clustertest.Eventually(t, "the whole way is walked", func() error {
		res, err := s.Admin.Databases.CheckDatabase(t.Context(), &sallyportv1.CheckDatabaseRequest{Name: "shop", DatabaseUser: "app"})
		if err != nil {
			return err
		}
		if text := fmt.Sprint(res.GetSteps()); !strings.Contains(text, `as \"app\"`) || !strings.Contains(text, version) {
			return fmt.Errorf("the check says %s\n%s", text, s.agents[0].Log())
		}
		return nil
	})
}
