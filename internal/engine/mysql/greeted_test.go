package mysql_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/ca"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/engine/testserver"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const shownByProxy = mysqlwire.FirstShown + 7

// proxied is an engine behind a proxy that greets clients: what Serve gets are connections in clear.
type proxied struct {
	*mysql.Engine
	config *tls.Config                  // of what an agent serves; nil for clients that go on in clear
	change func(g *mysqlwire.Greeting)  // what the client reads
	tell   func(greeting []byte) []byte // the engine, which is to be the truth
	number func() uint32                // of the connection
}

func behindProxy(t testing.TB, e *mysql.Engine) *proxied {
	t.Helper()
	var greeted atomic.Uint32
	return &proxied{Engine: e, change: func(*mysqlwire.Greeting) {}, tell: func(b []byte) []byte { return b },
		number: func() uint32 { return shownByProxy + greeted.Add(1) - 1 }}
}

// encrypted has clients do TLS after the greeting, and returns what they trust.
func (p *proxied) encrypted(t testing.TB) *tls.Config {
	t.Helper()
	authority := testserver.NewAuthority(t, ca.HostCA)
	p.config = &tls.Config{Certificates: []tls.Certificate{*testserver.Certificate(t, authority, "agent", "orders.test")}}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Cert)
	return &tls.Config{RootCAs: roots, ServerName: "orders.test"}
}

// Serve implements engine.Engine.
func (p *proxied) Serve(ctx context.Context, conn net.Conn, s *session.Session) error {
	nonce, err := mysqlwire.NewNonce(rand.Reader)
	if err != nil {
		return err
	}
	g := mysqlwire.GreetingOf(mysqlwire.AssumedVersion, mysqlwire.AssumedFlags|mysqlwire.Handshake|mysqlwire.TLS, mysqlwire.AssumedCollation, p.number(), nonce)
	p.change(g)
	if _, err := conn.Write(mysqlwire.AppendPacket(nil, 0, g.Append(nil))); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	request, _, err := mysqlwire.ReadPacket(conn, 1<<10)
	if err == nil {
		_, err = mysqlwire.ParseTLSRequest(request)
	}
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if p.config != nil {
		conn = tls.Server(conn, p.config)
	}
	return p.ServeGreeted(ctx, conn, s, p.tell(g.Append(nil)))
}

// TestSuiteForClientsThatAProxyHasGreeted has the driver greeted by a proxy, and go on with the engine inside TLS.
func TestSuiteForClientsThatAProxyHasGreeted(t *testing.T) {
	t.Parallel()
	p := behindProxy(t, nil)
	trust := p.encrypted(t)
	enginetest.Run(t, enginetest.Harness{
		Protocol: "mysql",
		New: func() engine.Engine {
			fresh := behindProxy(t, newEngine())
			fresh.config = p.config
			return fresh
		},
		Start: func(t *testing.T) enginetest.Server {
			s := &suiteServer{}
			s.Server = mysqltest.Start(t, mysqltest.Options{Login: s.logIn, Command: s.command})
			return s
		},
		Connect: func(ctx context.Context, address, account, name string) (enginetest.Client, error) {
			c := &suiteClient{}
			cfg := client.NewConfig()
			cfg.Net, cfg.Addr, cfg.User, cfg.DBName, cfg.Logger, cfg.TLS = "tcp", address, account, name, &client.NopLogger{}, trust
			cfg.DialFunc = func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
				c.raw, err = (&net.Dialer{}).DialContext(ctx, network, addr)
				return c.raw, err
			}
			connector, err := client.NewConnector(cfg)
			if err != nil {
				return nil, err
			}
			var conn driver.Conn
			conn, err = connector.Connect(ctx)
			c.Conn = conn
			return c, err
		},
		Refusal: func(err error) (string, bool) {
			refusal, ok := errors.AsType[*client.MySQLError](err)
			if !ok {
				return "", false
			}
			return refusal.Message, true
		},
	})
}

// request asks for TLS, behind which this client goes on in clear, and says all that it can.
func request(flags mysqlwire.Flags) []byte {
	p := mysqlwire.HandshakeResponse{Flags: flags | mysqlwire.TLS, MaxPacket: 1 << 24, Collation: 45}
	return mysqlwire.AppendPacket(nil, 1, p.AppendTLSRequest(nil))
}

func answer(flags mysqlwire.Flags, number byte, method string) []byte {
	p := mysqlwire.HandshakeResponse{Flags: flags | mysqlwire.TLS, MaxPacket: 1 << 24, Collation: 45, User: "app", Database: "orders", Method: method}
	return mysqlwire.AppendPacket(nil, number, p.Append(nil))
}

// inClear connects to an agent behind a proxy, and does not read the greeting.
func inClear(t testing.TB, agent *enginetest.Agent) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(4 * enginetest.Patience)); err != nil {
		t.Fatal(err)
	}
	r := &raw{Conn: conn, t: t}
	payload, _ := r.packet()
	if r.hello, err = mysqlwire.ParseGreeting(payload); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWhatAGreetedClientIsAnswered checks numbers of packets, and that whatever a proxy says it has told a client counts
// for nothing but what both can.
func TestWhatAGreetedClientIsAnswered(t *testing.T) {
	t.Parallel()
	const sane = all &^ mysqlwire.BulkOperations &^ mysqlwire.ExtendedMetadata &^ mysqlwire.CacheMetadata
	lies := func(flags mysqlwire.Flags) func(*proxied) {
		return func(p *proxied) { p.change = func(g *mysqlwire.Greeting) { g.Flags |= flags } }
	}
	tells := func(greeting string) func(*proxied) {
		return func(p *proxied) { p.tell = func([]byte) []byte { return []byte(greeting) } }
	}
	for name, c := range map[string]struct {
		with func(*proxied)
		says []byte
		want string // what the answer begins with, of OK empty
		asks mysqlwire.Flags
	}{
		"an ordinary client":                               {func(*proxied) {}, answer(sane, 2, mysqlwire.CachingSHA2), "", mysqlwire.MultiStatements | mysqlwire.MultiResults | mysqlwire.PSMultiResults},
		"a client that claims what it was not offered":     {func(*proxied) {}, answer(sane|mysqlwire.Compress|mysqlwire.FoundRows, 2, mysqlwire.CachingSHA2), "", mysqlwire.MultiStatements | mysqlwire.MultiResults | mysqlwire.PSMultiResults | mysqlwire.FoundRows},
		"a proxy that offers files of the client":          {lies(mysqlwire.LocalFiles), answer(sane, 2, mysqlwire.CachingSHA2), "", mysqlwire.MultiStatements | mysqlwire.MultiResults | mysqlwire.PSMultiResults},
		"a proxy that offers compression":                  {lies(mysqlwire.Compress | mysqlwire.Zstandard), answer(sane|mysqlwire.Compress, 2, mysqlwire.CachingSHA2), "", mysqlwire.MultiStatements | mysqlwire.MultiResults | mysqlwire.PSMultiResults},
		"a proxy that offers what the database cannot":     {lies(mysqlwire.DeprecateEOF), answer(sane, 2, mysqlwire.CachingSHA2), "1105 HY000 the database lacks abilities that the proxy has promised", 0},
		"a client that asks for TLS again":                 {func(*proxied) {}, mysqlwire.AppendPacket(nil, 2, request(sane)[mysqlwire.HeaderSize:]), "1835 HY000 the client sent a packet", 0},
		"a client that begins to count anew":               {func(*proxied) {}, answer(sane, 1, mysqlwire.CachingSHA2), "1835 HY000 the client sent a packet", 0},
		"a proxy that tells no greeting":                   {tells("greetings"), answer(sane, 2, mysqlwire.CachingSHA2), "1105 HY000 the proxy does not say properly", 0},
		"a proxy that tells of a greeting without TLS":     {tells(string((&mysqltest.Server{}).Greeting().Append(nil))[:20]), answer(sane, 2, mysqlwire.CachingSHA2), "1105 HY000 the proxy does not say properly", 0},
		"a proxy that gives out numbers of the database's": {func(p *proxied) { p.number = func() uint32 { return 7 } }, answer(sane, 2, mysqlwire.CachingSHA2), "1226 42000 the number of the connection cannot be used", 0},
		"a proxy that gives out numbers of nobody's":       {func(p *proxied) { p.number = func() uint32 { return 2 * mysqlwire.FirstShown } }, answer(sane, 2, mysqlwire.CachingSHA2), "1226 42000 the number of the connection cannot be used", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := behindProxy(t, newEngine())
			c.with(p)
			agent, server := small(t, mysqltest.Options{}, func(cfg *enginetest.Config) { cfg.Engine = p })
			r := inClear(t, agent)
			r.write(request(sane))
			r.write(c.says)
			payload, number := r.packet()
			if c.want != "" {
				if got := r.errorOf(payload); !strings.HasPrefix(got, c.want) || number != 3 && name != "a client that begins to count anew" {
					t.Errorf("packet %d: %s", number, got)
				}
				r.ends()
				return
			}
			if payload[0] != mysqlwire.HeaderOK || number != 3 {
				t.Fatalf("packet %d is %q", number, payload)
			}
			const harmless = mysqlwire.Handshake | mysqlwire.TLS | mysqlwire.LongPassword | mysqlwire.LongFlag | mysqlwire.Transactions
			if got := server.Last().Flags &^ harmless; got != c.asks {
				t.Errorf("the database was asked for %#x, want %#x", got, c.asks)
			}
			r.ok(mysqlwire.ComPing, "")
		})
	}
}

// TestNumbersOfGreetedClientsAreTheirs has a second client come with a number that is in use.
func TestNumbersOfGreetedClientsAreTheirs(t *testing.T) {
	t.Parallel()
	p := behindProxy(t, newEngine())
	p.number = func() uint32 { return shownByProxy }
	agent, server := small(t, mysqltest.Options{}, func(cfg *enginetest.Config) { cfg.Engine = p })
	first := inClear(t, agent)
	first.write(request(all))
	first.write(answer(all, 2, mysqlwire.NativePassword))
	if payload, _ := first.packet(); payload[0] != mysqlwire.HeaderEOF {
		t.Fatalf("the first was answered with %q", payload)
	}
	second := inClear(t, agent)
	second.write(request(all))
	second.write(answer(all, 2, mysqlwire.NativePassword))
	payload, number := second.packet()
	if got := second.errorOf(payload); !strings.HasPrefix(got, "1226 42000 the number of the connection cannot be used; connect again") || number != 3 {
		t.Errorf("packet %d: %s", number, got)
	}
	first.write(mysqlwire.AppendPacket(nil, 4, nil))
	if payload, _ := first.packet(); payload[0] != mysqlwire.HeaderOK {
		t.Fatalf("the first was answered with %q", payload)
	}
	first.ok(mysqlwire.ComPing, "")
	first.do(mysqlwire.ComQuery, fmt.Sprint("KILL QUERY ", shownByProxy))
	if said := fmt.Sprintf("%q", server.Seen()); !strings.Contains(said, fmt.Sprint("KILL QUERY ", mysqltest.Connection)) {
		t.Errorf("the database is asked %s", said)
	}
}

// TestAGreetedClientThatLeaves ends its visit before the database is asked.
func TestAGreetedClientThatLeaves(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func([]byte) []byte{
		"well greeted": func(b []byte) []byte { return b },
		"ill greeted":  func([]byte) []byte { return nil },
	} {
		p := behindProxy(t, newEngine())
		p.tell = tell
		agent, server := small(t, mysqltest.Options{}, func(cfg *enginetest.Config) { cfg.Engine = p })
		r := inClear(t, agent)
		r.write(request(all))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := agent.Visit(t, 0).Wait(t); err == nil || fault.Is(err, fault.Internal) && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: the engine returned %v", name, err)
		}
		if server.Last() != nil {
			t.Errorf("%s: the database was asked", name)
		}
	}
}
