package mysql_test

import (
	"net"
	"strings"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

// handshakeOnly are flags that are about the handshake and the way, and are agreed on with each side apart.
const handshakeOnly = mysqlwire.TLS | mysqlwire.SecureConnection | mysqlwire.PluginAuth | mysqlwire.LongAuthData | mysqlwire.ConnectWithDB | mysqlwire.ConnectAttrs | mysqlwire.Protocol41

// unfollowed are flags that change the protocol in ways that the relay does not follow.
const unfollowed = mysqlwire.Compress | mysqlwire.Zstandard | mysqlwire.QueryAttributes | mysqlwire.OptionalMetadata | mysqlwire.Progress | mysqlwire.LocalFiles

// TestFlagsOfEitherSide has a server that can do everything and a client that wants everything, and one of each that can do
// little: what was not offered to the client reaches the database in no case, and what it cannot do is not offered.
func TestFlagsOfEitherSide(t *testing.T) {
	t.Parallel()
	const everything = ^mysqlwire.Flags(0) &^ mysqlwire.LongPassword &^ mysqlwire.TLS
	for name, c := range map[string]struct{ server, client mysqlwire.Flags }{
		"both can do everything":    {everything, everything},
		"the server can do little":  {mysqltest.Flags, everything},
		"the client can do little":  {everything, mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth},
		"the client has old tricks": {everything, everything &^ mysqlwire.DeprecateEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, mysqltest.Options{
				Greeting: func(g *mysqlwire.Greeting) { g.Flags = c.server | mysqlwire.TLS },
				Login:    func(conn *mysqltest.Conn) bool { return conn.OK() == nil },
			}, look(t))
			client := logInWith(t, agent, func(mysqlwire.Flags) mysqlwire.Flags { return c.client })
			if extra := client.hello.Flags &^ (c.server | handshakeOnly); extra != 0 {
				t.Errorf("the client is offered %#x, which the server cannot do", uint64(extra))
			}
			if bad := client.hello.Flags & (unfollowed | mysqlwire.TLS); bad != 0 {
				t.Errorf("the client is offered %#x", uint64(bad))
			}
			got := server.Last().Flags
			if bad := got & unfollowed; bad != 0 {
				t.Errorf("the database was told %#x", uint64(bad))
			}
			if extra := got &^ (client.hello.Flags & c.client) &^ handshakeOnly; extra != 0 {
				t.Errorf("the database was told %#x, on which nobody agreed", uint64(extra))
			}
			client.leave(agent)
		})
	}
}

// look has the engine look at its database, so that the first client is offered all that that can.
func look(t testing.TB) func(*enginetest.Config) {
	return func(cfg *enginetest.Config) {
		if err := cfg.Engine.(engine.Scout).Look(t.Context(), cfg.Database, (&net.Dialer{}).DialContext); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVersionsThatAreNone checks that nothing of what anybody can say before TLS gets to clients but what looks like a version.
func TestVersionsThatAreNone(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"8.4.5":                            "8.4.5",
		"5.5.5-10.11.19-MariaDB-0+deb12u1": "5.5.5-10.11.19-MariaDB-0+deb12u1",
		"8.0 send it to evil.example":      "8.0.0-Sallyport",
		"8.0\x1b[2J":                       "8.0.0-Sallyport",
		"8." + strings.Repeat("0", 63):     "8.0.0-Sallyport",
		"":                                 "8.0.0-Sallyport",
	} {
		agent, _ := small(t, mysqltest.Options{Greeting: func(g *mysqlwire.Greeting) { g.Version = version }}, look(t))
		c := logIn(t, agent, all)
		if c.hello.Version != want {
			t.Errorf("%q: clients are greeted by %q", version, c.hello.Version)
		}
		c.leave(agent)
	}
}

// TestNamesOfAccounts checks what is refused before the rules are asked.
func TestNamesOfAccounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		account, name string
		refused       bool
	}{
		{strings.Repeat("é", 128), "", false},
		{strings.Repeat("é", 129), "", true},
		{"app", strings.Repeat("é", 64), false},
		{"app", strings.Repeat("é", 65), true},
	} {
		agent, server := small(t, mysqltest.Options{})
		session, err := dial(t, agent.Addr(), c.account, c.name)
		if refused := err != nil && strings.Contains(err.Error(), "use the name as the database has it"); refused != c.refused || !refused && err != nil {
			t.Errorf("%.9s, %.9s: %v", c.account, c.name, err)
		}
		if (server.Last() == nil) != c.refused {
			t.Errorf("%.9s, %.9s: the database has heard of it: %v", c.account, c.name, server.Last() != nil)
		}
		if err == nil {
			depart(t, agent, session)
		} else if events := agent.Visit(t, 0).Journal.Events(); len(events) != 1 || events[0].Code != "TDB00W" {
			t.Errorf("recorded %v", events)
		}
	}
}

// TestOneChangeOfMethod has a server ask for proofs by one method after the other.
func TestOneChangeOfMethod(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*cred.Credential){
		"a password": func(c *cred.Credential) { c.Password = "secret" },
		"a token":    func(c *cred.Credential) { c.Password, c.Token = "secret", true },
	} {
		heard := make(chan string, 1)
		second := func(c *mysqltest.Conn, _ []byte) bool {
			wish := mysqlwire.SwitchRequest{Method: mysqlwire.NativePassword, Nonce: nonce}
			if c.Packets(wish.Append(nil)) != nil {
				return false
			}
			proof, _, err := mysqlwire.ReadPacket(c, 1<<16)
			if err == nil {
				heard <- string(proof)
			}
			return false
		}
		first := mysqlwire.CachingSHA2
		if name == "a token" {
			first = mysqlwire.ClearPassword
		}
		agent, _ := small(t, mysqltest.Options{Login: asks(first, nonce, second)}, with(change))
		if _, err := dial(t, agent.Addr(), "app", ""); err == nil || !strings.Contains(err.Error(), "does not follow the MySQL protocol during the login") {
			t.Errorf("%s: %v", name, err)
		}
		_ = agent.Visit(t, 0).Wait(t)
		select {
		case proof := <-heard:
			t.Errorf("%s: the server heard %q", name, proof)
		default:
		}
	}
}
