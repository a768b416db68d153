package detour_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/detour"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
)

// authority signs what the tests show as web certificates.
func authority(t testing.TB) *ca.Authority {
	t.Helper()
	made, err := ca.New(ca.HostCA, "web", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// sign returns a certificate for names; with an extension, that of a member of a cluster.
func sign(t testing.TB, by *ca.Authority, names []string, extensions ...pkix.Extension) *tls.Certificate {
	t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := by.Sign(ca.Request{PublicKey: key.Public(), Hosts: names, Extensions: extensions, Subject: pkix.Name{CommonName: "host"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func pool(authorities ...*ca.Authority) *x509.CertPool {
	all := x509.NewCertPool()
	for _, one := range authorities {
		all.AddCert(one.Cert)
	}
	return all
}

// serveWeb serves HTTPS until the test ends.
func serveWeb(t testing.TB, listener net.Listener, cert *tls.Certificate, handler http.Handler, protocols ...string) {
	t.Helper()
	cfg := mtls.Web(func(string) (*tls.Certificate, error) { return cert, nil }, protocols...)
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(tls.NewListener(listener, cfg))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close()
		<-done
	})
}

// accepting hands the connections of detours on.
func accepting(t testing.TB, to func(conn *detour.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := detour.Accept(w, r)
		if err != nil {
			t.Errorf("accepting: %v", err)
			return
		}
		to(conn)
	})
}

// pair returns the two ends of a detour over TCP.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return pairOver(t, listener, func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}, listener.Addr().String())
}

// pipePair is pair over a pipe, for tests with a clock of their own. It returns what is beneath both ends too.
func pipePair(t testing.TB) (client, server net.Conn, wire [2]*countedConn) {
	t.Helper()
	listener := mux.NewListener(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443})
	near, far := net.Pipe()
	wire = [2]*countedConn{{Conn: near}, {Conn: addressed{far}}}
	client, server = pairOver(t, listener, func(context.Context, string) (net.Conn, error) {
		listener.Hand(wire[1])
		return wire[0], nil
	}, "192.0.2.1:443")
	return client, server, wire
}

// addressed is a pipe with addresses.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 1234} }

func pairOver(t testing.TB, listener net.Listener, tcp func(context.Context, string) (net.Conn, error), address string) (client, server net.Conn) {
	t.Helper()
	web := authority(t)
	accepted := make(chan net.Conn, 1)
	serveWeb(t, listener, sign(t, web, []string{"127.0.0.1", "192.0.2.1"}), accepting(t, func(conn *detour.Conn) { accepted <- conn }), mtls.ProtocolHTTP)
	dialer := detour.New(detour.Config{TCP: tcp, Mode: detour.Always, Now: time.Now,
		Web: func(host string) *tls.Config { return mtls.Named(host, pool(web), nil, mtls.ProtocolHTTP) }})
	client, err := dialer.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return client, server
}
