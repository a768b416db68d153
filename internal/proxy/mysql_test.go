package proxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/mysqlwire"
	"sallyport/internal/proxy"
	"sallyport/internal/route"
)

// caller is a client of MySQL that was greeted.
type caller struct {
	*net.TCPConn
	payload  []byte // of the greeting
	greeting *mysqlwire.Greeting
}

func (f *front) call(t *testing.T) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", f.mysql)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	c := &caller{TCPConn: conn.(*net.TCPConn)}
	var number byte
	if c.payload, number, err = mysqlwire.ReadPacket(conn, 1<<10); err != nil || number != 0 {
		t.Fatalf("packet %d, %v", number, err)
	}
	if c.greeting, err = mysqlwire.ParseGreeting(c.payload); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *caller) send(t *testing.T, parts ...[]byte) {
	t.Helper()
	if _, err := c.Write(bytes.Join(parts, nil)); err != nil {
		t.Fatal(err)
	}
}

const sane = mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth

func tlsRequest() []byte {
	p := mysqlwire.HandshakeResponse{Flags: sane | mysqlwire.TLS, MaxPacket: 1 << 24, Collation: 45}
	return mysqlwire.AppendPacket(nil, 1, p.AppendTLSRequest(nil))
}

func inClear(user string, number byte) []byte {
	p := mysqlwire.HandshakeResponse{Flags: sane, MaxPacket: 1 << 24, Collation: 45, User: user, Method: mysqlwire.CachingSHA2}
	return mysqlwire.AppendPacket(nil, number, p.Append(nil))
}

// TestClientsOfMySQLAreGreetedAndPassedOn has a client say in TLS which database it wants, and its agent learn how it was
// greeted.
func TestClientsOfMySQLAreGreetedAndPassedOn(t *testing.T) {
	t.Parallel()
	f := start(t, one)
	a := f.agent(t, one)
	close(a.stopped)
	greetings := map[string]bool{}
	for _, inOne := range []bool{true, false} {
		c := f.call(t)
		g := c.greeting
		if g.Version != mysqlVersion || g.Flags&mysqlwire.TLS == 0 || g.Flags&mysqlwire.LocalFiles != 0 || g.Flags&mysqlwire.Compress != 0 ||
			g.Connection < mysqlwire.FirstShown || g.Connection >= 2*mysqlwire.FirstShown || len(g.Nonce) != mysqlwire.NonceSize {
			t.Errorf("greeted with %+v", g)
		}
		if inOne {
			c.send(t, tlsRequest(), clientHello(t))
		} else { // byte by byte, as a slow network would have it
			for _, b := range append(tlsRequest(), clientHello(t)...) {
				c.send(t, []byte{b})
			}
		}
		answer, err := io.ReadAll(c)
		if string(answer) != one {
			t.Fatalf("answered %q, %v", answer, err)
		}
		d := <-a.taken
		if d.MySQLGreeting != string(c.payload) || d.ClientAddress != c.LocalAddr().String() || d.ListenerAddress != f.mysql {
			t.Errorf("the agent was told %+v", d)
		}
		greetings[string(c.payload)] = true
	}
	if len(greetings) != 2 {
		t.Error("a greeting was used twice")
	}
	if got := f.visit(t); got != one {
		t.Fatalf("at the other port, answered %q", got)
	}
	if d := <-a.taken; d.MySQLGreeting != "" {
		t.Errorf("who was not greeted is said to be: %+v", d)
	}
}

// TestClientsOfMySQLThatArePassedOnToNobody checks what is answered to each, and that no agent is asked.
func TestClientsOfMySQLThatArePassedOnToNobody(t *testing.T) {
	t.Parallel()
	f := start(t, one)
	a := f.agent(t, one)
	close(a.stopped)
	old := mysqlwire.AppendPacket(nil, 1, []byte("\x0d\xa6\x00\x00\x00app\x00"))
	for name, client := range map[string]struct {
		says []byte
		want string // in the error message; empty for a connection that just ends
	}{
		"no TLS":                              {inClear("app", 1), "this port needs TLS"},
		"no TLS, and much to say":             {inClear(strings.Repeat("x", 70_000), 1), "this port needs TLS"},
		"no TLS, in the protocol of long ago": {old, "this port needs TLS"},
		"no TLS after all":                    {append(tlsRequest(), inClear("app", 2)...), ""},
		"a request for TLS twice":             {append(tlsRequest(), tlsRequest()...), ""},
		"clear text between request and TLS":  {bytes.Join([][]byte{tlsRequest(), inClear("app", 2), clientHello(t)}, nil), ""},
		"one byte between":                    {bytes.Join([][]byte{tlsRequest(), {0}, clientHello(t)}, nil), ""},
		"a request with a byte too many":      {bytes.Join([][]byte{mysqlwire.AppendPacket(nil, 1, append(tlsRequest()[mysqlwire.HeaderSize:], 0)), clientHello(t)}, nil), ""},
		"a request with a byte too few":       {bytes.Join([][]byte{mysqlwire.AppendPacket(nil, 1, tlsRequest()[mysqlwire.HeaderSize:35]), clientHello(t)}, nil), ""},
		"a request with another number":       {bytes.Join([][]byte{mysqlwire.AppendPacket(nil, 0, tlsRequest()[mysqlwire.HeaderSize:]), clientHello(t)}, nil), ""},
		"half a request":                      {tlsRequest()[:20], ""},
		"half a request, and then TLS":        {append(tlsRequest()[:20], clientHello(t)...), ""},
		"half a ClientHello":                  {append(tlsRequest(), clientHello(t)[:50]...), ""},
		"a length that would fill memory":     {append([]byte{0xff, 0xff, 0xff, 1}, make([]byte, 1000)...), ""},
		"TLS at once":                         {clientHello(t), ""},
		"a web request":                       {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ""},
		"a PROXY header":                      {append([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), tlsRequest()...), ""},
		"a binary PROXY header":               {[]byte("\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c"), ""},
		"nothing":                             {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := f.call(t)
			c.send(t, client.says)
			_ = c.CloseWrite() // unless the proxy has hung up already
			answer, err := io.ReadAll(c)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection stays open")
			}
			if client.want == "" {
				if len(answer) > 0 {
					t.Errorf("answered %q", answer)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, bytes.NewReader(answer), 2, client.want)
		})
	}
	if n := a.asked.Load(); n != 0 {
		t.Errorf("the agent was asked %d times", n)
	}
}

// measured notes into how large a buffer it is read.
type measured struct {
	io.Reader
	largest int
}

func (m *measured) Read(p []byte) (int, error) {
	m.largest = max(m.largest, len(p))
	return m.Reader.Read(p)
}

// TestStrangersOfMySQLReserveNothing has answers of many sizes read, of which a stranger says four bytes only to begin with.
func TestStrangersOfMySQLReserveNothing(t *testing.T) {
	t.Parallel()
	const behind = "behind"
	for _, size := range []int{0, 4, 32, 33, 34, 600, 80 << 10} {
		answer := strings.Repeat("x", size)
		from := &measured{Reader: strings.NewReader(answer + behind)}
		got, err := proxy.ReadMySQLResponse(from, size)
		if err != nil || string(got) != answer[:min(size, 33)] {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if from.largest > 1<<10 || cap(got) > 1<<10 {
			t.Errorf("%d bytes: room was made for %d and %d", size, from.largest, cap(got))
		}
		if rest, _ := io.ReadAll(from); string(rest) != behind {
			t.Errorf("%d bytes: %q is left to read", size, rest)
		}
		if size == 0 {
			continue
		}
		if _, err := proxy.ReadMySQLResponse(strings.NewReader(answer[1:]), size); err == nil {
			t.Errorf("%d bytes: a byte is missing, and nothing is said", size)
		}
	}
}

// wantError reads an error message with the number and nothing behind it.
func wantError(t *testing.T, from io.Reader, number byte, text string) {
	t.Helper()
	payload, got, err := mysqlwire.ReadPacket(from, 1<<10)
	if err != nil || got != number || payload[0] != mysqlwire.HeaderError {
		t.Fatalf("packet %d: %q, %v", got, payload, err)
	}
	e, err := mysqlwire.ParseError(payload)
	if err != nil || !strings.Contains(e.Message, text) || !strings.Contains(e.Message, "tsh db connect NAME, or tsh proxy db --tunnel NAME") || len(e.Message) > 511 || e.State == "" {
		t.Errorf("the client reads %v, %v", e, err)
	}
	if rest, err := io.ReadAll(from); len(rest) > 0 || err != nil {
		t.Errorf("and then %q, %v", rest, err)
	}
}

// TestClientsOfMySQLThatNameNoDatabase do TLS with the proxy itself, which tells those without a certificate what to do.
func TestClientsOfMySQLThatNameNoDatabase(t *testing.T) {
	t.Parallel()
	f := start(t, one)
	a := f.agent(t, one)
	close(a.stopped)
	for _, name := range []string{"", "proxy.example.com", "orders.db." + cluster, route.ServerName(service, "other.local")} {
		c := f.call(t)
		c.send(t, tlsRequest())
		secured := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if _, err := secured.Write(inClear("app", 2)); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		wantError(t, secured, 3, "no certificate for a database was shown")
	}
	if n := a.asked.Load(); n != 0 {
		t.Errorf("the agent was asked %d times", n)
	}
}

// TestSlowClientsOfMySQLAreNotWaitedFor lets clients stop at each step.
func TestSlowClientsOfMySQLAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	f := start(t, one)
	nameless := clientHelloFor(t, "proxy.example.com")
	callers := map[string]*caller{}
	for name, says := range map[string][]byte{
		"who only listens":                   nil,
		"who sends half a header":            tlsRequest()[:2],
		"who sends half a request":           tlsRequest()[:20],
		"who sends no ClientHello":           tlsRequest(),
		"who sends half a ClientHello":       append(tlsRequest(), clientHello(t)[:50]...),
		"who names nothing and does no more": append(tlsRequest(), nameless...),
	} {
		callers[name] = f.call(t)
		callers[name].send(t, says)
	}
	for name, c := range callers {
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open", name)
		}
	}
}
