package localproxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
	"sallyport/internal/mtls"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
)

var (
	sslRequest    = packet(80877103)
	startup       = packet(196608, "user\x00alice\x00\x00")
	cancelRequest = packet(80877102, "12345678")
)

// packet returns a first packet of PostgreSQL's protocol.
func packet(code uint32, rest ...string) []byte {
	body := strings.Join(rest, "")
	p := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(p, code), body...)
}

func TestLocalCertificateIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alice-db", "proxy-localca.pem")
	cert := localCertificate(t, path, time.Now())
	for name, good := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "example.com": false, "192.0.2.1": false} {
		if err := verify(t, path, cert, name, time.Now()); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info, err := os.Stat(strings.TrimSuffix(path, ".pem") + ".key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key: %v, %v", info, err)
	}
}

func TestLocalAuthorityStaysUntilItNearsItsEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "proxy-localca.pem")
	now := time.Now()
	first := localCertificate(t, path, now)
	localCertificate(t, path, now.Add(300*24*time.Hour))
	if err := verify(t, path, first, "localhost", now); err != nil {
		t.Fatalf("after a second start: %v", err)
	}
	later := now.Add(350 * 24 * time.Hour)
	renewed := localCertificate(t, path, later)
	if err := verify(t, path, renewed, "localhost", later.Add(300*24*time.Hour)); err != nil {
		t.Fatalf("with a new authority: %v", err)
	}
}

func TestLocalAuthorityIsMadeOnceByMany(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "proxy-localca.pem")
	var certs [8]*tls.Certificate
	var wg sync.WaitGroup
	for i := range certs {
		wg.Go(func() {
			var err error
			if certs[i], err = localproxy.LocalCertificate(path, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, cert := range certs {
		if cert != nil {
			if err := verify(t, path, cert, "localhost", time.Now()); err != nil {
				t.Error(err)
			}
		}
	}
}

func localCertificate(t *testing.T, path string, now time.Time) *tls.Certificate {
	t.Helper()
	cert, err := localproxy.LocalCertificate(path, now)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// verify checks a certificate as a client does that trusts the file.
func verify(t *testing.T, path string, cert *tls.Certificate, name string, now time.Time) error {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		t.Fatalf("no certificate in %s", data)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

func TestClientsReadWhyTheyAreNotServed(t *testing.T) {
	t.Parallel()
	nameless := func(context.Context) (*tls.Config, error) { return &tls.Config{ServerName: "x"}, nil }
	expired := func(context.Context) (*tls.Config, error) {
		return nil, fault.New(fault.Unauthenticated, "your certificate expired")
	}
	for name, c := range map[string]struct {
		tls  func(context.Context) (*tls.Config, error)
		dial error
		send []byte
		want string // in a FATAL message; empty when nothing is said
	}{
		"the proxy is away":                {nameless, fault.New(fault.ConnectionProblem, "there is no route"), startup, "Mthere is no route\x00"},
		"the proxy hangs up":               {nameless, io.EOF, startup, "Mno Database Service that serves the database is connected to the proxy now, or the proxy has all the connections that it takes; try again in a moment, then ask an administrator to see to it\x00"},
		"the proxy breaks off":             {nameless, fmt.Errorf("read: %w", syscall.ECONNRESET), startup, "is connected to the proxy now, or "},
		"the agent is not the right one":   {nameless, errors.New("x509: not for this name"), startup, "or the proxy turned the connection away: x509: not for this name; "},
		"the login has ended":              {expired, nil, startup, "your certificate expired"},
		"a client that asks for TLS first": {expired, nil, slices.Concat(sslRequest, startup), "your certificate expired"},
		"a client that cancels":            {expired, nil, cancelRequest, ""},
		"a client that says nonsense":      {expired, nil, []byte("GET / HTTP/1.1\r\n\r\n"), ""},
		"a client that goes away":          {expired, nil, sslRequest[:4], ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			down := func(context.Context, *tls.Config) (*tls.Conn, error) { return nil, c.dial }
			client := dial(t, serve(t, localproxy.Config{Dial: down, TLS: c.tls, Protocol: "postgres"}))
			got := converse(t, client, c.send)
			if c.want == "" && strings.Contains(got, "FATAL") || !strings.Contains(got, c.want) {
				t.Fatalf("got %q", got)
			}
		})
	}
}

// TestOnlyServedProtocolsAreSpoken has a proxy for a protocol in which it can say nothing refuse to begin.
func TestOnlyServedProtocolsAreSpoken(t *testing.T) {
	t.Parallel()
	for _, protocol := range append(resource.Protocols(), "") {
		listener, err := localproxy.Listen(0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		end()
		err = localproxy.New(localproxy.Config{Protocol: protocol}).Serve(ctx, listener)
		if (err == nil) != resource.Served(protocol) {
			t.Errorf("%q is served: %t, and the proxy says %v", protocol, resource.Served(protocol), err)
		}
	}
}

func TestClientsOfMySQLReadWhyTheyCannotBeServed(t *testing.T) {
	t.Parallel()
	down := func(context.Context, *tls.Config) (*tls.Conn, error) {
		return nil, fault.New(fault.ConnectionProblem, "the proxy cannot be reached: no route")
	}
	nameless := func(context.Context) (*tls.Config, error) { return &tls.Config{ServerName: "x"}, nil }
	client := dial(t, serve(t, localproxy.Config{Dial: down, TLS: nameless, Protocol: "mysql"}))
	payload, sequence, err := mysqlwire.ReadPacket(client, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	e, err := mysqlwire.ParseError(payload)
	if err != nil || sequence != 0 || e.Code != 1105 || e.State != "" || !strings.Contains(e.Message, "the proxy cannot be reached: no route") {
		t.Errorf("got packet %d, %v, %v", sequence, e, err)
	}
}

func TestBytesGoBothWaysUntilBothSidesEnd(t *testing.T) {
	t.Parallel()
	client := dial(t, serve(t, echo(t)))
	if got := converse(t, client, []byte("hello")); got != "hello" {
		t.Fatalf("got %q", got)
	}
}

func TestOnlyTheStoredCertificateOpensTheLocalProxy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "proxy-localca.pem")
	mine, other := clientCertificate(t), clientCertificate(t)
	cfg := echo(t)
	stored := func() (*x509.Certificate, error) { return x509.ParseCertificate(mine.Certificate[0]) }
	cfg.Local = mtls.Local(localCertificate(t, path, time.Now()), stored, "postgresql")
	address := serve(t, cfg)

	for name, c := range map[string]struct {
		certs []tls.Certificate
		want  string
	}{
		"the stored one": {[]tls.Certificate{mine}, "hello"},
		"another one":    {[]tls.Certificate{other}, ""},
		"none":           {nil, ""},
	} {
		for _, request := range [][]byte{sslRequest, nil} { // with PostgreSQL's request, and TLS at once
			client := dial(t, address)
			if request != nil {
				if got := ask(t, client, request); got != 'S' {
					t.Fatalf("answer %q to a request for TLS", got)
				}
			}
			config := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, Certificates: c.certs}
			if got := converse(t, tls.Client(client, config), []byte("hello")); got != c.want {
				t.Errorf("%s: got %q", name, got)
			}
		}
	}
	if got := converse(t, dial(t, address), startup); !strings.Contains(got, "this local proxy wants TLS") {
		t.Errorf("without TLS: got %q", got)
	}
	if got := converse(t, dial(t, address), cancelRequest); got != string(cancelRequest) {
		t.Errorf("a request to cancel did not go on: %q", got)
	}
}

// echo returns the configuration of a proxy whose agent sends back what it gets.
func echo(t *testing.T) localproxy.Config {
	t.Helper()
	cert := localCertificate(t, filepath.Join(t.TempDir(), "agent.pem"), time.Now())
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}})
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // clients end in many ways
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return localproxy.Config{
		Protocol: "postgres",
		Dial: func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
			conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", listener.Addr().String())
			if err != nil {
				return nil, err
			}
			return conn.(*tls.Conn), nil
		},
		TLS: func(context.Context) (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil },
	}
}

// serve runs a proxy until the test ends.
func serve(t *testing.T, cfg localproxy.Config) (address string) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	listener, err := localproxy.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- localproxy.New(cfg).Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return listener.Addr().String()
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// ask sends a packet and returns the one byte of the answer.
func ask(t *testing.T, conn net.Conn, packet []byte) byte {
	t.Helper()
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		t.Fatal(err)
	}
	return answer[0]
}

// converse sends everything, ends its direction and returns what came back until the end. Either may fail
// when the other side has enough.
func converse(t *testing.T, conn interface {
	net.Conn
	CloseWrite() error
}, send []byte) string {
	t.Helper()
	_, _ = conn.Write(send)
	_ = conn.CloseWrite()
	got, _ := io.ReadAll(conn)
	return string(got)
}

func clientCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	authority, err := ca.New(ca.UserCA, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := authority.Sign(ca.Request{PublicKey: key.Public(), NotAfter: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestClientsOfMongoDBReadWhy has clients that say hello in either form, and others that say nonsense.
func TestClientsOfMongoDBReadWhy(t *testing.T) {
	t.Parallel()
	failed := func(context.Context) (*tls.Config, error) {
		return nil, fault.New(fault.Unauthenticated, "your certificate expired")
	}
	var d mongowire.Builder
	hello := d.Int32("hello", 1).Build()
	query := binary.LittleEndian.AppendUint32(nil, uint32(16+4+11+8+len(hello)))
	query = append(append(query, "\x07\x00\x00\x00\x00\x00\x00\x00\xd4\x07\x00\x00\x00\x00\x00\x00admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff"...), hello...)
	for name, c := range map[string]struct {
		send  []byte
		op    mongowire.Op
		reply bool
	}{
		"a message":         {mongowire.AppendMsg(nil, 7, 0, 0, hello), mongowire.OpMsg, true},
		"an old query":      {query, mongowire.OpReply, true},
		"nonsense":          {[]byte("GET / HTTP/1.1\r\n\r\n"), 0, false},
		"a negative length": {slices.Repeat([]byte{0xff}, 16), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := dial(t, serve(t, localproxy.Config{TLS: failed, Protocol: "mongodb"}))
			got := converse(t, client, c.send)
			if !c.reply {
				if got != "" {
					t.Errorf("got %q", got)
				}
				return
			}
			if len(got) < 16 || !strings.Contains(got, "your certificate expired") {
				t.Fatalf("got %q", got)
			}
			if h := mongowire.ReadHeader([]byte(got)); h.ResponseTo != 7 || h.Op != c.op || int(h.Size) != len(got) {
				t.Errorf("got %+v", h)
			}
		})
	}
}

// TestRefusalsAreTold has the first connection of a client of MongoDB refused, in pieces and whole, and others that are not.
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	greeting := mongowire.AppendMsg(nil, 1, 7, 0, mongowire.Greeting("access to db denied"))
	old := mongowire.AppendReply(nil, 1, 7, false, mongowire.Greeting("access to db denied"))
	var d mongowire.Builder
	welcome := mongowire.AppendMsg(nil, 1, 7, 0, d.Int32("maxWireVersion", 21).Int32("ok", 1).Build())
	for name, c := range map[string]struct {
		protocol string
		answers  [][]byte // of the agent, one after the other
		told     bool
	}{
		"refused":               {"mongodb", [][]byte{greeting}, true},
		"refused in old form":   {"mongodb", [][]byte{old}, true},
		"in pieces":             {"mongodb", [][]byte{greeting[:3], greeting[3:40], greeting[40:]}, true},
		"welcome":               {"mongodb", [][]byte{welcome}, false},
		"welcome, then refused": {"mongodb", [][]byte{welcome, greeting}, false},
		"another protocol":      {"postgres", [][]byte{greeting}, false},
		"nonsense":              {"mongodb", [][]byte{bytes.Repeat([]byte{0xff}, 200)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := echo(t)
			cfg.Protocol = c.protocol
			told := make(chan error, 10)
			cfg.Refused = func(err error) { told <- err }
			client := dial(t, serve(t, cfg))
			got := ""
			for _, answer := range c.answers {
				if _, err := client.Write(answer); err != nil {
					t.Fatal(err)
				}
				if c.told {
					continue
				}
				b := make([]byte, len(answer))
				if _, err := io.ReadFull(client, b); err != nil {
					t.Fatal(err)
				}
				got += string(b)
			}
			rest, _ := io.ReadAll(closeWrite(t, client))
			got += string(rest)
			if c.told {
				if err := <-told; err.Error() != "access to db denied" || len(told) != 0 || strings.Contains(got, "denied") {
					t.Errorf("told: %v, and the client got %q", err, got)
				}
			} else if len(told) != 0 || got != string(bytes.Join(c.answers, nil)) {
				t.Errorf("told %d times, and the client got %q", len(told), got)
			}
		})
	}
}

func closeWrite(t *testing.T, conn *net.TCPConn) *net.TCPConn {
	t.Helper()
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return conn
}
