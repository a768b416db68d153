package clustertest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/clustertest"
	"sallyport/internal/mtls"
	"sallyport/internal/route"
)

// say sends bytes to the proxy's port, from a loopback address of the test's choice, and returns the answer
// up to the end of the connection.
func say(t *testing.T, address, from string, message []byte) []byte {
	t.Helper()
	conn := dialFrom(t, address, from)
	if _, err := conn.Write(message); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	answer, err := io.ReadAll(conn)
	if netErr, ok := err.(net.Error); ok && netErr.Timeout() {
		t.Fatalf("the connection stays open after %q", message)
	}
	return answer
}

func dialFrom(t *testing.T, address, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func startup(code uint32, body string) []byte {
	message := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(message, code), body...)
}

func TestStrangersAreTurnedAwayInTheirOwnLanguage(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	const gss, ssl = 80877104, 80877103
	for name, s := range map[string]struct {
		message []byte
		answer  string
	}{
		"plain HTTP":                    {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "This port speaks HTTPS"},
		"PostgreSQL without TLS":        {startup(196608, "user\x00alice\x00\x00"), "this port needs TLS"},
		"a second GSSENCRequest":        {append(startup(gss, ""), startup(gss, "")...), "N"},
		"an SSLRequest of another size": {startup(ssl, "more"), "this port needs TLS"},
		"text behind an SSLRequest":     {append(startup(ssl, ""), startup(196608, "user\x00alice\x00\x00")...), "S"},
		"a PROXY header":                {[]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), ""},
		"a binary PROXY header":         {[]byte("\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c"), ""},
		"a tunnel preface":              {append([]byte("\xf5SPT\x01"), make([]byte, 48)...), ""},
		"garbage":                       {[]byte{0xff, 0xfe, 0xfd}, ""},
	} {
		answer := say(t, c.Proxy, "127.0.0.1", s.message)
		if !strings.Contains(string(answer), s.answer) || s.answer == "" && len(answer) > 0 {
			t.Errorf("%s: answered %q", name, answer)
		}
		if name == "text behind an SSLRequest" && len(answer) > 1 && bytes.Contains(answer[1:], []byte("alice")) {
			t.Errorf("%s: text before TLS came back: %q", name, answer)
		}
	}
}

func TestUnknownDatabaseNamesLeadNowhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	pool := s.alice.Trust.Pool(ca.HostCA)
	for name, server := range map[string]string{
		"unknown database":  route.ServerName("nothing", clustertest.ClusterName),
		"another cluster":   route.ServerName("orders", "other.local"),
		"the plain name":    "orders.db." + clustertest.ClusterName,
		"a longer label":    "x" + route.ServerName("orders", clustertest.ClusterName),
		"a name beneath it": "x." + route.ServerName("orders", clustertest.ClusterName),
	} {
		conn := dialFrom(t, s.Proxy, "127.0.0.1")
		_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
		err := tls.Client(conn, mtls.Named(server, pool, s.alice.Certificate())).HandshakeContext(t.Context())
		if err == nil {
			t.Errorf("%s: a handshake succeeded", name)
		}
	}
	for name, server := range map[string]string{
		"mixed case":   strings.ToUpper(route.ServerName("orders", clustertest.ClusterName)),
		"exactly that": route.ServerName("orders", clustertest.ClusterName),
	} {
		conn := dialFrom(t, s.Proxy, "127.0.0.1")
		_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
		client := tls.Client(conn, mtls.Named(server, pool, s.alice.Certificate()))
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestACertificateOpensItsOwnDatabaseOnly shows the certificate of one database to another one.
func TestACertificateOpensItsOwnDatabaseOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	s.StartAgent(t, nil, s.database(t, "billing"))
	works(t, s.session(t, "orders"))
	works(t, s.session(t, "billing"))
	login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	conn := dialFrom(t, s.Proxy, "127.0.0.1")
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	client := tls.Client(conn, mtls.Named(route.ServerName("billing", clustertest.ClusterName), login.Trust.Pool(ca.HostCA), login.Certificate()))
	if _, err := client.Write(startup(196608, "user\x00postgres\x00database\x00postgres\x00\x00")); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(client)
	if !bytes.Contains(answer, []byte("FATAL")) || !bytes.Contains(answer, []byte(`your certificate is for database "orders", not for "billing"`)) {
		t.Fatalf("answered %q", answer)
	}
}

func TestLoginCertificateOpensNoDatabase(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	conn := dialFrom(t, s.Proxy, "127.0.0.1")
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	server := route.ServerName("orders", clustertest.ClusterName)
	client := tls.Client(conn, mtls.Named(server, s.alice.Trust.Pool(ca.HostCA), s.alice.Certificate()))
	if _, err := client.Write(startup(196608, "user\x00postgres\x00database\x00postgres\x00\x00")); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(client)
	if !bytes.Contains(answer, []byte("FATAL")) || !bytes.Contains(answer, []byte("tsh db login orders")) {
		t.Fatalf("answered %q", answer)
	}
}

// TestStrangersCannotUseUpTheDoor holds as many silent connections as one source may, and more, while a
// user from another address goes on as usual.
func TestStrangersCannotUseUpTheDoor(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	const allowed = 100
	var conns []net.Conn
	for range 2 * allowed {
		conns = append(conns, dialFrom(t, s.Proxy, "127.0.0.66"))
	}
	soon := time.Now().Add(5 * time.Second) // before the proxy gives up on silent ones
	ends := make(chan bool, 2*allowed)
	for _, conn := range conns {
		_ = conn.SetReadDeadline(soon)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ends <- !errors.Is(err, os.ErrDeadlineExceeded)
		}()
	}
	for closed, open := 0, 0; closed < allowed; {
		if <-ends {
			closed++
		} else if open++; open > allowed {
			t.Fatalf("%d silent connections stay", open)
		}
	}
	works(t, s.session(t, "orders"))
}
