package clustertest_test

import (
	"crypto/tls"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/mtls"
	"sallyport/internal/route"
)

// tickets counts the sessions that a server offers to resume.
type tickets int

func (c *tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *tickets) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		*c++
	}
}

// tlsDoor is one of the places where TLS ends.
type tlsDoor struct {
	name, address string
	clear         []byte // sent before TLS; its answer is one byte
	server        string
	protocols     []string
	cert          *tls.Certificate
	ask           string // what is answered
	newest        bool   // TLS 1.3 only
}

// knock does a handshake as the configuration wants it and returns what the door answers to its question.
func (d tlsDoor) knock(t *testing.T, cfg *tls.Config) (string, error) {
	t.Helper()
	conn := dialFrom(t, d.address, "127.0.0.1")
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	if len(d.clear) > 0 {
		if _, err := conn.Write(d.clear); err != nil {
			return "", err
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			return "", err
		}
	}
	cfg.ServerName, cfg.InsecureSkipVerify = d.server, true
	if cfg.NextProtos == nil {
		cfg.NextProtos = d.protocols
	}
	if d.cert != nil {
		cfg.Certificates = []tls.Certificate{*d.cert}
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(t.Context()); err != nil {
		return "", err
	}
	if _, err := io.WriteString(secured, d.ask); err != nil {
		return "", err
	}
	answer := make([]byte, 4096)
	n, err := secured.Read(answer)
	if n > 0 { // that it ends then is no matter
		err = nil
	}
	return string(answer[:n]), err
}

// databaseCertificate returns what tctl auth sign makes for a database at the host: it is for clients too, and its subject is
// that of a user of the host's name.
func databaseCertificate(t *testing.T, c *clustertest.Cluster, host string) *tls.Certificate {
	t.Helper()
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Admin.Certificates.SignDatabaseServerCertificate(t.Context(), &sallyportv1.SignDatabaseServerCertificateRequest{
		PublicKey: public, Hosts: []string{host},
	})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Join(key, res.GetCertificate())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestEveryDoorWantsNewTLSOffersNoResumptionAndSpeaksItsOwnProtocols(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	admin, err := client.ReadIdentityFile(filepath.Join(s.Config.DataDir, config.AdminFile))
	if err != nil {
		t.Fatal(err)
	}
	login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	ofDatabase := databaseCertificate(t, s.Cluster, "alice")
	const get, preface = "GET /web/ HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	hello, name := string(startup(196608, "user\x00postgres\x00\x00")), route.ServerName("orders", clustertest.ClusterName)
	const ssl = 80877103
	old := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}
	for _, door := range []tlsDoor{
		{"web", s.Proxy, nil, "proxy", []string{mtls.ProtocolHTTP}, nil, get, false},
		{"web of a host of the cluster", s.Proxy, nil, "proxy", []string{mtls.ProtocolProxy, mtls.ProtocolHTTP}, nil, get, true},
		{"tunnel", s.Proxy, nil, "proxy", []string{mtls.ProtocolTunnel, mtls.ProtocolHTTP2}, admin.Certificate(), preface, true},
		{"auth", s.Auth, nil, "auth", []string{mtls.ProtocolHTTP}, admin.Certificate(), get, true},
		{"auth through the proxy", s.Proxy, nil, "auth", []string{mtls.ProtocolAuth, mtls.ProtocolHTTP}, admin.Certificate(), get, true},
		{"agent", s.Proxy, nil, name, []string{route.Protocol("postgres")}, login.Certificate(), hello, false},
		{"agent of PostgreSQL's clients", s.Proxy, startup(ssl, ""), name, []string{route.NativePostgres}, login.Certificate(), hello, false},
		{"proxy that ends TLS", s.Proxy, nil, "proxy", []string{route.NativePostgres}, login.Certificate(), hello, false},
		{"proxy that ends TLS of PostgreSQL's clients", s.Proxy, startup(ssl, ""), "proxy", []string{route.NativePostgres}, login.Certificate(), hello, false},
	} {
		for _, peer := range []struct {
			name     string
			min, max uint16
			suites   []uint16
			ok       bool
		}{
			{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, nil, false},
			{"TLS 1.1", tls.VersionTLS10, tls.VersionTLS11, nil, false},
			{"TLS 1.2 with old suites", tls.VersionTLS12, tls.VersionTLS12, old, false},
			{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS12, nil, !door.newest},
			{"TLS 1.3", tls.VersionTLS13, tls.VersionTLS13, nil, true},
		} {
			var offered tickets
			answer, err := door.knock(t, &tls.Config{MinVersion: peer.min, MaxVersion: peer.max, CipherSuites: peer.suites, ClientSessionCache: &offered})
			if got := err == nil && answer != ""; got != peer.ok {
				t.Errorf("%s, %s: %q, %v", door.name, peer.name, answer, err)
			}
			if offered > 0 {
				t.Errorf("%s, %s: it offers to resume", door.name, peer.name)
			}
		}
		if door.cert != nil {
			stranger := door
			stranger.cert = nil
			answer, err := stranger.knock(t, &tls.Config{})
			refused := door.clear != nil && strings.Contains(answer, "no certificate for a database was shown")
			if err == nil && !refused && !strings.HasPrefix(door.name, "auth") { // where joins and logins come without one
				t.Errorf("%s answers a stranger %q", door.name, answer)
			}
			server := door
			server.cert = ofDatabase
			if answer, err := server.knock(t, &tls.Config{}); err == nil {
				t.Errorf("%s answers a database's certificate, which is for clients too, %q", door.name, answer)
			}
		}
	}

	// Who says a protocol and means another place is told nothing.
	for _, c := range []struct {
		name, address, server string
		cert                  *tls.Certificate
		protocols             []string
	}{
		{"a tunnel without HTTP/2", s.Proxy, "proxy", admin.Certificate(), []string{mtls.ProtocolTunnel}},
		{"pages in an unknown protocol", s.Proxy, "proxy", nil, []string{"h3"}},
		{"pages of a host in no protocol", s.Proxy, "proxy", nil, []string{mtls.ProtocolProxy}},
		{"auth without HTTP", s.Proxy, "auth", admin.Certificate(), []string{mtls.ProtocolAuth}},
		{"a tunnel at auth", s.Auth, "auth", admin.Certificate(), []string{mtls.ProtocolTunnel}},
		{"a database at auth", s.Auth, "auth", login.Certificate(), []string{route.Protocol("postgres")}},
		{"pages at an agent", s.Proxy, name, login.Certificate(), []string{mtls.ProtocolHTTP}},
		{"auth at an agent", s.Proxy, name, login.Certificate(), []string{mtls.ProtocolAuth}},
		{"a tunnel at an agent", s.Proxy, name, admin.Certificate(), []string{mtls.ProtocolTunnel}},
		{"another database's protocol at an agent", s.Proxy, name, login.Certificate(), []string{route.Protocol("mysql")}},
		{"another database's protocol where the proxy ends TLS", s.Proxy, "proxy", login.Certificate(), []string{route.Protocol("mysql")}},
		{"no database's protocol where the proxy ends TLS", s.Proxy, "proxy", login.Certificate(), []string{"teleport-nothing"}},
	} {
		door := tlsDoor{address: c.address, server: c.server, cert: c.cert, ask: get + hello}
		if answer, err := door.knock(t, &tls.Config{NextProtos: c.protocols}); err == nil {
			t.Errorf("%s: answered %q", c.name, answer)
		}
	}
}
