package clustertest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/mysqlwire"
)

// mysqlClient is a client that knows the number that it was greeted with, as the one of MySQL does.
type mysqlClient struct {
	net.Conn
	t      *testing.T
	number uint32
}

// greetedMySQL logs in as "app", under a name for the log.
func greetedMySQL(t *testing.T, address, name string) (*mysqlClient, error) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return nil, err
	}
	payload, _, err := mysqlwire.ReadPacket(conn, 1<<16)
	if err != nil {
		return nil, err
	}
	g, err := mysqlwire.ParseGreeting(payload)
	if err != nil {
		return nil, err
	}
	c := &mysqlClient{conn, t, g.Connection}
	p := mysqlwire.HandshakeResponse{
		Flags:     mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth | mysqlwire.ConnectAttrs,
		MaxPacket: 1 << 24, Collation: 45, User: "app", Method: g.Method, Attributes: []mysqlwire.Attribute{{Name: "program_name", Value: name}},
	}
	if _, err := conn.Write(mysqlwire.AppendPacket(nil, 1, p.Append(nil))); err != nil {
		return nil, err
	}
	if answer, err := c.read(); err != nil || answer[0] != mysqlwire.HeaderOK {
		return nil, fmt.Errorf("the login was answered with %q, %v", answer, err)
	}
	return c, nil
}

func (c *mysqlClient) read() ([]byte, error) {
	payload, _, err := mysqlwire.ReadPacket(c, 1<<20)
	if err == nil && len(payload) == 0 {
		err = errors.New("an empty packet")
	}
	return payload, err
}

func (c *mysqlClient) say(text string) {
	c.t.Helper()
	if _, err := c.Write(mysqlwire.AppendPacket(nil, 0, append([]byte{byte(mysqlwire.ComQuery)}, text...))); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a statement and returns an error message or, of one without rows, nothing.
func (c *mysqlClient) ask(text string) string {
	c.t.Helper()
	c.say(text)
	return c.answer()
}

func (c *mysqlClient) answer() string {
	c.t.Helper()
	for {
		payload, err := c.read()
		switch {
		case err != nil:
			c.t.Fatal(err)
		case payload[0] == mysqlwire.HeaderOK:
			return ""
		case payload[0] == mysqlwire.HeaderError:
			e, _ := mysqlwire.ParseError(payload)
			return e.Error()
		}
	}
}

// agentOf returns which agent serves the client of a name.
func (s *mysqlScene) agentOf(t *testing.T, name string) (agent string) {
	t.Helper()
	clustertest.Eventually(t, name+" is in the log", func() error {
		for _, event := range s.Events(t, []string{"db.session.start"}, `"user_agent":"`+name+`"`) {
			_, after, _ := strings.Cut(event, `"server_id":"`)
			agent, _, _ = strings.Cut(after, `"`)
			return nil
		}
		return errors.New("it is not")
	})
	return agent
}

// sleeps waits until a statement sleeps in the database.
func (s *mysqlScene) sleeps(t *testing.T) {
	t.Helper()
	clustertest.Eventually(t, "the statement runs", func() error {
		if s.server.Exec(t, "select count(*) from information_schema.processlist where info like '%sleep(600)%' and id <> connection_id()") == "0" {
			return errors.New("it does not")
		}
		return nil
	})
}

// TestKillsReachOtherAgents has two agents serve a database. Whichever of them the second connection reaches, by which
// clients stop a statement, it is stopped, and nobody else can.
func TestKillsReachOtherAgents(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 2})
	alice, mallory := s.throughLocalProxy(t, s.login), s.throughLocalProxy(t, s.loginOf(t, "mallory"))
	// clientOf returns a client that an agent serves which does or does not serve the other.
	clientOf := func(address, other string, same bool) (killer *mysqlClient) {
		n := 0
		clustertest.Eventually(t, "a client reaches an agent", func() error {
			n++
			name := fmt.Sprintf("killer-%d-of-%s-%v-%s", n, other, same, address)
			var err error
			if killer, err = greetedMySQL(t, address, name); err != nil {
				return err
			}
			if agent := s.agentOf(t, name); (agent == other) != same {
				_ = killer.Close()
				return fmt.Errorf("it reached %s", agent)
			}
			return nil
		})
		return killer
	}
	var sleeper *mysqlClient
	clustertest.Eventually(t, "alice connects", func() (err error) {
		sleeper, err = greetedMySQL(t, alice, "sleeper")
		return err
	})
	agent := s.agentOf(t, "sleeper")
	for _, same := range []bool{true, false} {
		sleeper.say("select sleep(600)")
		s.sleeps(t)
		for _, name := range []string{"mallory", "alice"} {
			address := map[string]string{"mallory": mallory, "alice": alice}[name]
			killer := clientOf(address, agent, same)
			got := killer.ask(fmt.Sprintf("KILL QUERY %d", sleeper.number))
			want := ""
			if name == "mallory" {
				want = fmt.Sprintf("ERROR 1094 (HY000): Unknown thread id: %d", sleeper.number)
			}
			if got != want {
				t.Errorf("%s at the same agent, %v: %q, want %q", name, same, got, want)
			}
			if name != "mallory" {
				if got := sleeper.answer(); !strings.Contains(got, "interrupted") {
					t.Errorf("the statement ended with %q", got)
				}
				if got := sleeper.ask("do 1"); got != "" {
					t.Errorf("the next statement: %s", got)
				}
			}
		}
	}
}

// TestKillIsNoConnectionTooMany stops a statement of a user who may have one connection.
func TestKillIsNoConnectionTooMany(t *testing.T) {
	t.Parallel()
	diag := clustertest.FreeAddr(t)
	s := newMySQLScene(t, mysqlOptions{role: strings.Replace(appRole, "spec:", "spec:\n  options: {max_connections: 1}", 1), change: func(cfg *config.Config) { cfg.DiagAddr = diag }})
	address := s.throughLocalProxy(t, s.login)
	var sleeper *mysqlClient
	clustertest.Eventually(t, "alice connects", func() (err error) {
		sleeper, err = greetedMySQL(t, address, "sleeper")
		return err
	})
	sleeper.say("select sleep(600)")
	s.sleeps(t)
	killer, err := greetedMySQL(t, address, "killer")
	if err != nil {
		t.Fatal(err)
	}
	if got := killer.ask(fmt.Sprintf("KILL QUERY %d", sleeper.number)); got != "" {
		t.Fatal(got)
	}
	if got := sleeper.answer(); !strings.Contains(got, "interrupted") {
		t.Errorf("the statement ended with %q", got)
	}
	_ = killer.Close()
	clustertest.Eventually(t, "the kill is in the log", func() error {
		if len(s.Events(t, []string{"db.session.mysql.process_kill"}, `"addr.remote":"127.0.0.1:`)) != 1 {
			return errors.New("no such event")
		}
		return nil
	})
	says(t, diag, "/metrics", `sallyport_db_sessions_total{protocol="mysql",result="ended"} 1`)
	if n := len(s.Events(t, []string{"session.rejected"})); n > 0 {
		t.Errorf("%d rejected sessions are in the log", n)
	}
	// A second connection for anything else is refused.
	clustertest.Eventually(t, "it is refused", func() error {
		_, err := greetedMySQL(t, address, "second")
		if err == nil || !strings.Contains(err.Error(), "your roles allow 1 database connections at a time") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
}
