package mysql_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/ca"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/fault"
	"sallyport/internal/mariaserver"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
)

// with has the agent show a credential.
func with(change func(*cred.Credential)) func(*enginetest.Config) {
	return func(c *enginetest.Config) {
		c.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
			credential := &cred.Credential{User: account}
			change(credential)
			return credential, nil
		})
	}
}

func password(text string) func(*enginetest.Config) {
	return with(func(c *cred.Credential) { c.Password = text })
}

func token(text string) func(*enginetest.Config) {
	return with(func(c *cred.Credential) { c.Password, c.Token = text, true })
}

func TestMethodsOfAuthenticationOfMariaDB(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, `install soname 'auth_ed25519'; create user native identified by 'secret';
		create user ed identified via ed25519 using password('secret'); create user twofold identified by 'secret' require subject '/CN=twofold'`)
	for name, c := range map[string]struct {
		account, password string
		certificate       bool
		want              string // in the error; empty for success
	}{
		"mysql_native_password":               {"native", "secret", false, ""},
		"client_ed25519":                      {"ed", "secret", false, ""},
		"a password and a certificate":        {"twofold", "secret", true, ""},
		"a wrong password":                    {"native", "wrong", false, "Access denied for user 'native'"},
		"a wrong password for client_ed25519": {"ed", "wrong", false, "Access denied for user 'ed'"},
		"no certificate":                      {"twofold", "secret", false, "Access denied for user 'twofold'"},
		"no password for client_ed25519":      {"ed", "", true, "asks account \\\"ed\\\" for a proof by \\\"client_ed25519\\\" instead of the client certificate"},
		"an account that does not exist":      {"nobody", "", true, "; make the account with CREATE USER 'nobody'@'%' REQUIRE SUBJECT '/CN=nobody'"},
		"an account with a password":          {"native", "", true, "; make the account with CREATE USER 'native'@'%' REQUIRE SUBJECT '/CN=native'"},
		"a quote in the account":              {"o'neill", "", true, "CREATE USER 'o''neill'@'%' REQUIRE SUBJECT '/CN=o''neill'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := front(t, server, with(func(credential *cred.Credential) {
				if credential.Password = c.password; c.certificate {
					credential.Certificate = server.ClientCertificate(t, c.account)
				}
			}))
			session, err := dial(t, agent.Addr(), c.account, "")
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := session.rows(t, "select current_user()"); got[0] != c.account+"@%" {
					t.Errorf("got %q", got)
				}
				depart(t, agent, session)
				return
			}
			if err == nil || !strings.Contains(fmt.Sprintf("%q", err), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// TestMissingAccountsOfAStockMariaDBAreTold has accounts like those that Debian installs: root and mysql come in by the Unix socket.
// The server answers some names as it would root.
func TestMissingAccountsOfAStockMariaDBAreTold(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "alter user root@localhost identified via mysql_native_password using 'invalid' or unix_socket; create user mysql@localhost identified via mysql_native_password using 'invalid' or unix_socket")
	agent := front(t, server)
	numbers := make(map[uint16]int)
	for _, account := range []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj", "olivia", "peggy", "rupert", "sybil"} {
		_, err := dial(t, agent.Addr(), account, "")
		refused, ok := errors.AsType[*client.MySQLError](err)
		if !ok || !strings.HasSuffix(refused.Message, "; make the account with CREATE USER '"+account+"'@'%' REQUIRE SUBJECT '/CN="+account+"'") {
			t.Errorf("%s reads %v", account, err)
			continue
		}
		numbers[refused.Number]++
		steps, _ := enginetest.Probe(t, newEngine(), enginetest.NewDatabase(t, "mysql", server.Addr, server.DatabaseCA.CertPEM()), account, enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Certificate: server.ClientCertificate(t, account)}, nil
		}), nil)
		if _, last := enginetest.Outline(steps); !strings.Contains(last, "make the account with CREATE USER '"+account) {
			t.Errorf("the check of %s says %s", account, last)
		}
	}
	if numbers[1045] == 0 || numbers[1698] == 0 {
		t.Errorf("the server answered with %v", numbers)
	}
}

func TestAccountsThatMayNotUseTheDatabaseReadWhatToDo(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "create user stranger require subject '/CN=stranger'")
	_, err := dial(t, front(t, server).Addr(), "stranger", "orders")
	if want := "; let the account into the database with GRANT SELECT ON `orders`.* TO 'stranger'@'%', or name another one"; err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// TestAnonymousAccountsLetNobodyIn has a server as MariaDB installs it by itself: an account without a name, at the agent's address, goes before
// the one that was made for the user.
func TestAnonymousAccountsLetNobodyIn(t *testing.T) {
	t.Parallel()
	server := real(t)
	server.Exec(t, "create user alice require subject '/CN=alice'; create user ''@'127.0.0.1'; grant all on *.* to alice")
	const remove = "DROP USER ''@'127.0.0.1', because it goes before 'alice'@'%'"
	for _, name := range []string{"", "orders"} {
		agent := front(t, server, func(c *enginetest.Config) { c.Credentials = certificates(t, server) })
		_, err := dial(t, agent.Addr(), "alice", name)
		refused, ok := errors.AsType[*client.MySQLError](err)
		if !ok || !strings.Contains(refused.Message, remove) || strings.Contains(refused.Message, "GRANT") {
			t.Errorf("in %q the client reads %v", name, err)
		}
	}
	steps, err := enginetest.Probe(t, newEngine(), enginetest.NewDatabase(t, "mysql", server.Addr, server.DatabaseCA.CertPEM()), "alice", certificates(t, server), nil)
	if _, last := enginetest.Outline(steps); err == nil || !strings.Contains(last, remove) {
		t.Errorf("the check says %s, %v", last, err)
	}
	server.Exec(t, "drop user ''@'127.0.0.1'")
	agent := front(t, server, func(c *enginetest.Config) { c.Credentials = certificates(t, server) })
	session, err := dial(t, agent.Addr(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	depart(t, agent, session)
}

func certificates(t testing.TB, server *mariaserver.Server) cred.Source {
	return enginetest.Certificates(func(account string) (*cred.Credential, error) {
		return &cred.Credential{User: account, Certificate: server.ClientCertificate(t, account)}, nil
	})
}

// TestWhoADatabaseTakesAnAccountFor has servers that tell it in each form, and others that do not.
func TestWhoADatabaseTakesAnAccountFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		account string
		want    string // of the error; empty if clients are let in
		check   string
	}{
		"the same":                  {"app@10.0.0.%", "", `as "app"`},
		"one that it is a proxy of": {"group@%", "", `as "app", for whom the database acts as "group@%"`},
		"the anonymous one":         {"@localhost", "DROP USER ''@'localhost'", "DROP USER ''@'localhost'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, mysqltest.Options{Account: c.account})
			session, err := dial(t, agent.Addr(), "app", "")
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				depart(t, agent, session)
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the client reads %v", err)
			}
			steps, _ := enginetest.Probe(t, newEngine(), enginetest.NewDatabase(t, "mysql", server.Addr, server.Authority.CertPEM()), "app", enginetest.AccountsOnly, nil)
			if said := fmt.Sprint(steps); !strings.Contains(said, c.check) {
				t.Errorf("the check says %s", said)
			}
		})
	}
}

// small starts an agent before a small server.
func small(t testing.TB, options mysqltest.Options, change ...func(*enginetest.Config)) (*enginetest.Agent, *mysqltest.Server) {
	t.Helper()
	server := mysqltest.Start(t, options)
	cfg := enginetest.Config{
		Engine:      newEngine(),
		Database:    enginetest.NewDatabase(t, "mysql", server.Addr, server.Authority.CertPEM()),
		Credentials: enginetest.AccountsOnly,
	}
	for _, change := range change {
		change(&cfg)
	}
	return enginetest.Start(t, cfg), server
}

// asks makes a small server ask for a method, and look at the proof. Nothing more is said to a client whose proof is
// not liked.
func asks(method string, nonce []byte, then ...func(c *mysqltest.Conn, proof []byte) bool) func(*mysqltest.Conn) bool {
	return func(c *mysqltest.Conn) bool {
		wish := mysqlwire.SwitchRequest{Method: method, Nonce: nonce}
		if c.Packets(wish.Append(nil)) != nil {
			return false
		}
		for _, then := range then {
			proof, sequence, err := mysqlwire.ReadPacket(c, 1<<16)
			c.Sequence = sequence + 1
			if err != nil || !then(c, proof) {
				return false
			}
		}
		return c.OK() == nil
	}
}

var nonce = []byte("abcdefghij0123456789")

const cachingOfSecret = "bd7d89fc1c297010da753d08822e9e48d3eafbb6e68e1f9b403be12dc5687a40"

func TestProofsAreSentOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	sent := func(want string) func(*mysqltest.Conn, []byte) bool {
		return func(c *mysqltest.Conn, proof []byte) bool { return string(proof) == want }
	}
	full := func(c *mysqltest.Conn, proof []byte) bool {
		// SHA256("secret") XOR SHA256(SHA256(SHA256("secret")) + nonce), made by another program
		return fmt.Sprintf("%x", proof) == cachingOfSecret && c.Packets([]byte{1, 4}) == nil
	}
	for name, c := range map[string]struct {
		login func(*mysqltest.Conn) bool
		with  func(*enginetest.Config)
		want  string // in the error; empty for success
	}{
		"caching_sha2_password, not yet known there": {asks(mysqlwire.CachingSHA2, nonce, full, sent("secret\x00")), password("secret"), ""},
		"caching_sha2_password without a password":   {asks(mysqlwire.CachingSHA2, nonce, sent("")), with(func(*cred.Credential) {}), ""},
		"a password where the certificate should do": {asks(mysqlwire.ClearPassword, nil), with(func(*cred.Credential) {}), "instead of the client certificate"},
		"a password that is asked for as it is":      {asks(mysqlwire.ClearPassword, nil), password("secret"), "asks account"},
		"a token that is asked for as it is":         {asks(mysqlwire.ClearPassword, nil, sent("token\x00")), token("token"), ""},
		"a token for another method":                 {asks(mysqlwire.Ed25519, make([]byte, 32)), token("token"), "instead of a token"},
		"a token for a method that scrambles":        {asks(mysqlwire.CachingSHA2, nonce, sent("")), token("token"), ""},
		"a token that is asked for as a password":    {asks(mysqlwire.CachingSHA2, nonce, func(c *mysqltest.Conn, _ []byte) bool { return c.Packets([]byte{1, 4}) == nil }), token("token"), "instead of a token"},
		"a method that nobody knows":                 {asks("dialog", nil), password("secret"), `for a proof by \"dialog\"`},
		"the method of before MySQL 4.1":             {asks("", nil), password("secret"), "asks account"},
		"two changes of the method":                  {asks(mysqlwire.NativePassword, nonce, func(c *mysqltest.Conn, _ []byte) bool { return asks(mysqlwire.ClearPassword, nil)(c) }), token("token"), "does not follow the MySQL protocol"},
		"more of a method that has no more":          {func(c *mysqltest.Conn) bool { return c.Packets([]byte{1, 4}) == nil }, password("secret"), "does not follow the MySQL protocol"},
		"a public key, which TLS makes needless":     {asks(mysqlwire.CachingSHA2, nonce, func(c *mysqltest.Conn, _ []byte) bool { return c.Packets([]byte("\x01-----BEGIN")) == nil }), password("secret"), "does not follow the MySQL protocol"},
		"good news without end": {func(c *mysqltest.Conn) bool {
			wish := mysqlwire.SwitchRequest{Method: mysqlwire.CachingSHA2, Nonce: nonce}
			if c.Packets(wish.Append(nil)) != nil {
				return false
			}
			_, c.Sequence, _ = mysqlwire.ReadPacket(c, 1<<16)
			c.Sequence++
			for range 50 {
				if c.Packets([]byte{1, 3}) != nil {
					return false
				}
			}
			return c.OK() == nil
		}, password("secret"), "too many packets before it was ready"},
		"packets without end": {func(c *mysqltest.Conn) bool {
			for range 50 {
				if c.Packets([]byte{1, 3}) != nil {
					return false
				}
			}
			return true
		}, password("secret"), "does not follow the MySQL protocol"},
		"an error without a state": {func(c *mysqltest.Conn) bool { return c.Packets([]byte("\xff\x15\x04go away")) != nil }, password("secret"), "go away"},
		"an error that is cut off": {func(c *mysqltest.Conn) bool { return c.Packets([]byte{0xff}) != nil }, password("secret"), "does not follow the MySQL protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, mysqltest.Options{Login: c.login}, c.with)
			session, err := dial(t, agent.Addr(), "app", "orders")
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				depart(t, agent, session)
				return
			}
			if err == nil || !strings.Contains(fmt.Sprintf("%q", err.Error()), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "token\x00") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

// TestBeforeTLS has servers, or somebody between, say things before TLS.
func TestBeforeTLS(t *testing.T) {
	t.Parallel()
	says := func(bytes string) func(net.Conn) bool {
		return func(conn net.Conn) bool {
			_, err := conn.Write([]byte(bytes))
			return err == nil
		}
	}
	packet := func(payload []byte) string { return string(mysqlwire.AppendPacket(nil, 0, payload)) }
	greeting := func(change func(*mysqlwire.Greeting)) string {
		g := (&mysqltest.Server{}).Greeting()
		change(g)
		return packet(g.Append(nil))
	}
	for name, c := range map[string]struct{ says, want string }{
		"a server without TLS":              {greeting(func(g *mysqlwire.Greeting) { g.Flags &^= mysqlwire.TLS }), "does not offer TLS"},
		"a server of long ago":              {greeting(func(g *mysqlwire.Greeting) { g.Flags &^= mysqlwire.PluginAuth }), "older than MySQL 5.5"},
		"an error":                          {packet([]byte("\xff\x15\x04send your password to evil.example")), "turned the agent away with error 1045 before TLS"},
		"too many connections":              {packet([]byte("\xff\x10\x04Too many connections")), "has too many connections"},
		"a blocked host":                    {packet([]byte("\xff\x69\x04Host is blocked")), "FLUSH HOSTS"},
		"a web server":                      {"HTTP/1.1 400 Bad Request\r\n\r\n", "does not greet as MySQL does"},
		"an empty packet":                   {"\x00\x00\x00\x00", "does not greet as MySQL does"},
		"a greeting without an end":         {packet([]byte("\x0a8.0")), "does not greet as MySQL does"},
		"a packet that would fill memory":   {"\xff\xff\xff\x00" + strings.Repeat("x", 100), "does not greet as MySQL does"},
		"a greeting with more right behind": {greeting(func(*mysqlwire.Greeting) {}) + packet(mysqlwire.AppendOK(nil, 2)), "TLS"},
		"an OK in place of a greeting":      {packet(mysqlwire.AppendOK(nil, 2)), "does not greet as MySQL does"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, mysqltest.Options{BeforeTLS: says(c.says)})
			_, err := dial(t, agent.Addr(), "app", "orders")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "evil") {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if server.Last() != nil {
				t.Error("the account was sent")
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
				t.Errorf("the engine returned %v", err)
			}
			for _, e := range v.Journal.Events() {
				if strings.Contains(fmt.Sprint(e.Fields), "evil") {
					t.Errorf("the text is in an event: %v", e.Fields)
				}
			}
		})
	}
}

// TestSilentServers has servers that say nothing, or not enough, and read nothing. One of PostgreSQL or Redis waits for its client to speak.
func TestSilentServers(t *testing.T) {
	t.Parallel()
	greeting := mysqlwire.AppendPacket(nil, 0, (&mysqltest.Server{}).Greeting().Append(nil))
	for name, c := range map[string]struct {
		says []byte
		want string
	}{
		"nothing":              {nil, "the database did not greet the agent within 15s, which MySQL and MariaDB do before anything else; check that its address leads to one of them, and its load"},
		"a part of a greeting": {greeting[:20], "did not greet the agent within 15s"},
		"nothing after it":     {greeting, "the database did not complete the login within 15s; try again, and check its load"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				agent, database := net.Pipe()
				var served sync.WaitGroup
				served.Go(func() { _, _ = database.Write(c.says) })
				err := newEngine().LogIn(t.Context(), agent)
				_ = agent.Close()
				served.Wait()
				if got := fault.Message(err); !strings.Contains(got, c.want) || !fault.Is(err, fault.ConnectionProblem) {
					t.Errorf("got %q, want %s", got, c.want)
				}
			})
		})
	}
}

func TestASecretIsSentOnlyToADatabaseWhoseCertificateWasVerified(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*enginetest.Config){
		"tls.mode insecure":                  func(c *enginetest.Config) { c.Database.Spec.TLS.Mode = resource.TLSInsecure },
		"a certificate of another authority": func(c *enginetest.Config) { c.Database.Spec.TLS.CACert = string(otherAuthority(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, mysqltest.Options{Login: asks(mysqlwire.ClearPassword, nil)}, token("token"), change)
			if _, err := dial(t, agent.Addr(), "app", "orders"); err == nil {
				t.Fatal("it was logged in")
			}
			if server.Last() != nil {
				t.Error("the account was sent")
			}
		})
	}
}

func otherAuthority(t testing.TB) []byte {
	t.Helper()
	authority, err := ca.New(ca.DatabaseCA, "other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return authority.CertPEM()
}

// TestRefusalsAreExplained has a database refuse an account after it asked for one proof or another, and reads what the
// source of the credential is told of that, and how much of its advice the client gets.
func TestRefusalsAreExplained(t *testing.T) {
	t.Parallel()
	refuses := func(number uint16, state string) func(c *mysqltest.Conn, _ []byte) bool {
		return func(c *mysqltest.Conn, _ []byte) bool {
			_ = c.Fail(number, state, "go away")
			return false
		}
	}
	for name, c := range map[string]struct {
		login  func(*mysqltest.Conn) bool
		token  bool
		advice string
		told   cred.Refusal
		shown  string
	}{
		"a token that was asked for":                 {asks(mysqlwire.ClearPassword, nil, refuses(1045, "28000")), true, "do this", cred.Refusal{Code: "28000", Number: 1045, Message: "go away"}, "go away; do this"},
		"a token that was not asked for":             {asks(mysqlwire.NativePassword, nonce, refuses(1045, "28000")), true, "do this", cred.Refusal{Code: "28000", Number: 1045, Message: "go away", Method: `a proof by "mysql_native_password"`}, "go away; do this"},
		"another error before a token was asked for": {asks(mysqlwire.NativePassword, nonce, refuses(1040, "08004")), true, "", cred.Refusal{Code: "08004", Number: 1040, Message: "go away"}, "go away"},
		"a password":                        {asks(mysqlwire.NativePassword, nonce, refuses(1045, "28000")), false, "do this", cred.Refusal{Code: "28000", Number: 1045, Message: "go away"}, "go away; do this"},
		"advice that clients would cut off": {asks(mysqlwire.ClearPassword, nil, refuses(1045, "28000")), true, strings.Repeat("é", 300), cred.Refusal{Code: "28000", Number: 1045, Message: "go away"}, "go away; " + strings.Repeat("é", 236) + "... (tctl db check tells all)"},
		"advice that clients just show":     {asks(mysqlwire.ClearPassword, nil, refuses(1045, "28000")), true, strings.Repeat("x", 502), cred.Refusal{Code: "28000", Number: 1045, Message: "go away"}, "go away; " + strings.Repeat("x", 502)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan cred.Refusal, 1)
			agent, _ := small(t, mysqltest.Options{Login: c.login}, with(func(credential *cred.Credential) {
				credential.Password, credential.Token = "token", c.token
				credential.Advice = func(r cred.Refusal) string {
					told <- r
					return c.advice
				}
			}))
			out := mariadb(t, agent, "select 1")
			if !strings.HasSuffix(out, "): "+c.shown+"\n") {
				t.Errorf("the client shows %q", out)
			}
			if got := <-told; got != c.told {
				t.Errorf("told %+v", got)
			}
		})
	}
}

// TestADatabaseOfAWSThatBreaksOff is not said to lack our authority: it is shown no certificate.
func TestADatabaseOfAWSThatBreaksOff(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]string{"": "tctl auth sign --format=db", "token": "it may be restarting or failing over"} {
		agent, _ := small(t, mysqltest.Options{Login: func(*mysqltest.Conn) bool { return false }}, with(func(c *cred.Credential) { c.Password, c.Token = secret, secret != "" }))
		if _, err := dial(t, agent.Addr(), "app", "orders"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q: %v", secret, err)
		}
	}
}
