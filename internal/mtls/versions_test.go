package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/mtls"
)

// tickets counts the sessions that a server offers to resume.
type tickets int

func (c *tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *tickets) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		*c++
	}
}

// old are the suites of TLS 1.2 that are not both authenticated encryption and with ephemeral keys.
var old = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
}

// peers are what the other side may be able to do, and whether that is enough.
var peers = []struct {
	name     string
	min, max uint16
	suites   []uint16
	enough   bool
	newest   bool // also where only programs of ours come
}{
	{"TLS 1.0", tls.VersionTLS10, tls.VersionTLS10, nil, false, false},
	{"TLS 1.1", tls.VersionTLS10, tls.VersionTLS11, nil, false, false},
	{"TLS 1.2 with old suites", tls.VersionTLS12, tls.VersionTLS12, old, false, false},
	{"TLS 1.2", tls.VersionTLS12, tls.VersionTLS12, nil, true, false},
	{"TLS 1.3", tls.VersionTLS13, tls.VersionTLS13, nil, true, true},
	{"anything", tls.VersionTLS10, tls.VersionTLS13, nil, true, true},
}

func TestServersTakeNoOldTLSAndOfferNoResumption(t *testing.T) {
	t.Parallel()
	p := newParties(t, "one.local")
	cert := p.sign(ca.HostCA, p.host("Auth"), 2*time.Hour, both...)
	user := p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageClientAuth)
	get := func(string) (*tls.Certificate, error) { return cert, nil }
	for name, server := range map[string]*tls.Config{
		"of the cluster":       mtls.Server(get, p.trust, true),
		"for strangers":        mtls.Server(get, p.trust, false),
		"for programs of ours": mtls.Newest(mtls.Server(get, p.trust, true)),
		"of the web":           mtls.Web(get),
		"on the user's host":   mtls.Local(cert, func() (*x509.Certificate, error) { return user.Leaf, nil }),
	} {
		for _, peer := range peers {
			var offered tickets
			client := &tls.Config{
				MinVersion: peer.min, MaxVersion: peer.max, CipherSuites: peer.suites, ServerName: "x",
				Certificates: []tls.Certificate{*user}, InsecureSkipVerify: true, ClientSessionCache: &offered,
			}
			state, serverErr, clientErr := shake(t, server, client)
			want := peer.enough
			if name == "for programs of ours" {
				want = peer.newest
			}
			if got := serverErr == nil && clientErr == nil; got != want {
				t.Errorf("a server %s and a client of %s: %v, %v", name, peer.name, serverErr, clientErr)
			}
			if offered > 0 {
				t.Errorf("a server %s offers a client of %s to resume", name, peer.name)
			}
			if want && peer.max == tls.VersionTLS13 && state.Version != tls.VersionTLS13 {
				t.Errorf("a server %s speaks %s with a client of %s", name, tls.VersionName(state.Version), peer.name)
			}
		}
	}
}

func TestClientsTakeNoOldTLSAndResumeNothing(t *testing.T) {
	t.Parallel()
	p := newParties(t, "one.local")
	cert := p.sign(ca.HostCA, p.host("Auth"), 2*time.Hour, both...)
	cert.Certificate = append(cert.Certificate, p.authorities[ca.HostCA].Cert.Raw)
	named := p.named("db.example.com")
	user := p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageClientAuth)
	roots := p.trust().Pool(ca.HostCA)
	for name, c := range map[string]struct {
		client *tls.Config
		server *tls.Certificate
	}{
		"of the cluster":          {mtls.Client(func(string) (*tls.Certificate, error) { return user, nil }, p.trust, "Auth", "auth"), cert},
		"that knows a pin":        {mtls.Pinned([]string{ca.Pin(p.authorities[ca.HostCA].Cert)}), cert},
		"that knows a name":       {mtls.Named("db.example.com", roots, user), named},
		"of the web":              {mtls.ToWeb("db.example.com", true), named},
		"of a proxy":              {mtls.ToProxy("db.example.com", true, p.trust), named},
		"of a database":           {mtls.Upstream(mtls.UpstreamCheck{ServerName: "db.example.com", Roots: roots}, user), named},
		"of a database, any name": {mtls.Upstream(mtls.UpstreamCheck{ServerName: "x", SkipName: true, Roots: roots}, user), named},
		"of a database, anything": {mtls.Upstream(mtls.UpstreamCheck{ServerName: "x", AcceptAnything: true}, user), named},
	} {
		for _, peer := range peers {
			server := &tls.Config{
				MinVersion: peer.min, MaxVersion: peer.max, CipherSuites: peer.suites,
				Certificates: []tls.Certificate{*c.server}, ClientAuth: tls.RequestClientCert,
			}
			for range 2 {
				state, serverErr, clientErr := shake(t, server, c.client)
				if got := serverErr == nil && clientErr == nil; got != peer.enough {
					t.Errorf("a client %s and a server of %s: %v, %v", name, peer.name, serverErr, clientErr)
				}
				if state.DidResume {
					t.Errorf("a client %s resumed a session with a server of %s", name, peer.name)
				}
			}
		}
	}
}

// named is a certificate of a server that is known by a DNS name.
func (p *parties) named(host string) *tls.Certificate {
	p.t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		p.t.Fatal(err)
	}
	der, err := p.authorities[ca.HostCA].Sign(ca.Request{PublicKey: key.Public(), Hosts: []string{host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestProtocolsThatAreNotSpokenAreRefused(t *testing.T) {
	t.Parallel()
	p := newParties(t, "one.local")
	cert := p.sign(ca.HostCA, p.host("Auth"), 2*time.Hour, both...)
	user := p.sign(ca.UserCA, p.user(), 2*time.Hour, x509.ExtKeyUsageClientAuth)
	get := func(string) (*tls.Certificate, error) { return cert, nil }
	for name, server := range map[string]*tls.Config{
		"of the cluster": mtls.Server(get, p.trust, true, mtls.ProtocolHTTP2, mtls.ProtocolHTTP),
		"of the web":     mtls.Web(get, mtls.ProtocolHTTP2, mtls.ProtocolHTTP),
		"on the user's host": mtls.Local(cert, func() (*x509.Certificate, error) { return user.Leaf, nil },
			mtls.ProtocolHTTP2, mtls.ProtocolHTTP),
	} {
		for _, c := range []struct {
			offered []string
			spoken  string
			ok      bool
		}{
			{nil, "", true},
			{[]string{mtls.ProtocolHTTP}, mtls.ProtocolHTTP, true},
			{[]string{"teleport-postgres", mtls.ProtocolHTTP2}, mtls.ProtocolHTTP2, true},
			{[]string{"teleport-postgres"}, "", false},
			{[]string{"h3", "H2", "http/1.0"}, "", false},
		} {
			client := &tls.Config{ServerName: "x", InsecureSkipVerify: true, Certificates: []tls.Certificate{*user}, NextProtos: c.offered}
			state, serverErr, clientErr := shake(t, server, client)
			if got := serverErr == nil && clientErr == nil; got != c.ok || state.NegotiatedProtocol != c.spoken {
				t.Errorf("a server %s and %q: %q, %v, %v", name, c.offered, state.NegotiatedProtocol, serverErr, clientErr)
			}
		}
	}
}
