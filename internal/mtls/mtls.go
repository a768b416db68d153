// Package mtls is the one place where TLS configurations of the cluster's own connections are made.
//
// It fixes what must be the same everywhere: protocol versions, no session resumption (a resumed session
// would skip the check of the authorities, which may have changed), and that a certificate counts only
// for the authority that issued it.
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/identity"
)

// Protocol names that tell the connections on the proxy's one port apart.
const (
	ProtocolAuth   = "teleport-auth@"         // the auth server's API, end to end
	ProtocolTunnel = "teleport-reversetunnel" // control connection of an agent
	ProtocolProxy  = "sallyport-proxy"        // pages of the proxy, which shows itself as a host of the cluster
	ProtocolHTTP2  = "h2"
	ProtocolHTTP   = "http/1.1"
)

// At makes a configuration of this package use a clock, and returns it. Call it before the configuration is used.
func At(now func() time.Time, cfg *tls.Config) *tls.Config {
	cfg.Time = now
	return cfg
}

// Newest makes a configuration of this package take TLS 1.3 only, and returns it. Call it before the configuration is
// used. It is for listeners to which only programs of ours come.
func Newest(cfg *tls.Config) *tls.Config {
	cfg.MinVersion = tls.VersionTLS13
	return cfg
}

// now returns the time by the configuration's clock.
func now(cfg *tls.Config) time.Time {
	if cfg.Time != nil {
		return cfg.Time()
	}
	return time.Now()
}

func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true, CipherSuites: suites()}
}

// suites are the AEAD suites with ephemeral keys of TLS 1.2; those of TLS 1.3 need no choice.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// Certificate returns the certificate to present for a server name, which is empty for clients; called
// for every handshake, so that renewed certificates take effect at once. It must be safe for concurrent
// use.
type Certificate func(serverName string) (*tls.Certificate, error)

// Server returns the configuration of a listener for clients of the cluster. With demand, a client
// without a certificate is refused; without, it is served as a stranger. The peer's identity is read
// from the connection state by PeerIdentity.
func Server(cert Certificate, trust Source, demand bool, protocols ...string) *tls.Config {
	cfg := base()
	cfg.NextProtos = protocols
	cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return cert(hello.ServerName) }
	cfg.ClientAuth = tls.RequestClientCert
	// A demanded certificate is missed below and not by crypto/tls, whose error has no type.
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 && !demand {
			return nil
		}
		if _, err := trust().Verify(cs.PeerCertificates, x509.ExtKeyUsageClientAuth, now(cfg)); err != nil {
			return newPeerError(cs.PeerCertificates, err)
		}
		return nil
	}
	return cfg
}

// PeerError is a handshake that failed because of the client's certificate, or for lack of one.
type PeerError struct {
	Name string // whom the certificate names, believed or not; may be empty
	Err  error
}

func newPeerError(chain []*x509.Certificate, err error) *PeerError {
	refused := &PeerError{Err: err}
	if len(chain) > 0 {
		if id, err := identity.FromCertificate(chain[0]); err == nil {
			refused.Name = id.Name
		}
	}
	return refused
}

func (e *PeerError) Error() string { return e.Err.Error() }

func (e *PeerError) Unwrap() error { return e.Err }

// Client returns the configuration of a connection to a host of the cluster that has the system role.
// The host is known by its identity, not by a DNS name; serverName only helps to route.
func Client(cert Certificate, trust Source, role, serverName string, protocols ...string) *tls.Config {
	cfg := base()
	cfg.NextProtos = protocols
	cfg.ServerName = serverName
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert("") }
	}
	// The standard check compares DNS names; ours checks chain, cluster and role instead.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		id, err := trust().Verify(cs.PeerCertificates, x509.ExtKeyUsageServerAuth, now(cfg))
		if err != nil {
			return err
		}
		if !id.HasSystemRole(role) {
			return fmt.Errorf("%s has not the role %s", id, role)
		}
		return nil
	}
	return cfg
}

// Pinned returns the configuration of a first contact with an auth server that is known only by the pin
// of its host authority. The server must send that authority's certificate along.
func Pinned(pins []string, protocols ...string) *tls.Config {
	cfg := base()
	cfg.NextProtos = protocols
	cfg.ServerName = "auth"
	cfg.InsecureSkipVerify = true // replaced by the pin
	cfg.VerifyConnection = func(cs tls.ConnectionState) error { return verifyPin(cs.PeerCertificates, pins, now(cfg)) }
	return cfg
}

func verifyPin(chain []*x509.Certificate, pins []string, now time.Time) error {
	for _, authority := range chain {
		for _, pin := range pins {
			if !authority.IsCA || ca.Pin(authority) != pin {
				continue
			}
			id, err := identity.FromCertificate(chain[0])
			if err != nil {
				return err
			}
			trust := &Trust{Cluster: id.Cluster, Authorities: map[ca.Type][]*x509.Certificate{ca.HostCA: {authority}}}
			if id, err = trust.Verify(chain, x509.ExtKeyUsageServerAuth, now); err != nil {
				return err
			}
			if !id.HasSystemRole("Auth") {
				return fmt.Errorf("%s has not the role Auth", id)
			}
			return nil
		}
	}
	return ErrPin
}

// ErrPin means that none of the configured pins is the pin of the server's authority.
var ErrPin = errors.New("the auth server's authority matches none of the given CA pins")

// Named returns the configuration of a client that knows the server by a DNS name and a set of roots:
// the proxy's web address, or an agent's listener.
func Named(serverName string, roots *x509.CertPool, cert *tls.Certificate, protocols ...string) *tls.Config {
	cfg := base()
	cfg.NextProtos = protocols
	cfg.ServerName = serverName
	cfg.RootCAs = roots
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	return cfg
}

// ToWeb returns the configuration of a client of a proxy's web address, which it knows by name. A client that is
// insecure was told to accept any certificate there.
func ToWeb(host string, insecure bool, protocols ...string) *tls.Config {
	cfg := Named(host, nil, nil, protocols...)
	cfg.InsecureSkipVerify = insecure
	return cfg
}

// ToProxy returns the configuration of a client of a proxy's web address that knows the cluster too. It takes a proxy that
// shows itself as a host of the cluster, and otherwise the web certificate as ToWeb does: a balancer in front may show that, and
// proxies of older versions do.
func ToProxy(host string, insecure bool, trust Source, protocols ...string) *tls.Config {
	cfg := ToWeb(host, insecure, append([]string{ProtocolProxy}, protocols...)...)
	cfg.InsecureSkipVerify = true // both are checked here
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if id, err := trust().Verify(cs.PeerCertificates, x509.ExtKeyUsageServerAuth, now(cfg)); err == nil && id.HasSystemRole("Proxy") || insecure {
			return nil
		}
		opts := x509.VerifyOptions{DNSName: host, Roots: cfg.RootCAs, CurrentTime: now(cfg), Intermediates: intermediates(cs)}
		if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
		}
		return nil
	}
	return cfg
}

// Web returns the configuration of the proxy's web listener, which asks for no client certificate.
func Web(cert Certificate, protocols ...string) *tls.Config {
	cfg := base()
	cfg.NextProtos = protocols
	cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return cert(hello.ServerName) }
	return cfg
}

// Local returns the configuration of a listener on the user's own machine, for clients that hold one known
// certificate: the one that client returns, asked for every handshake.
func Local(cert *tls.Certificate, client func() (*x509.Certificate, error), protocols ...string) *tls.Config {
	cfg := base()
	cfg.NextProtos = protocols
	cfg.Certificates = []tls.Certificate{*cert}
	cfg.ClientAuth = tls.RequireAnyClientCert // the chain does not matter: it is this one or none
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		want, err := client()
		if err != nil {
			return err
		}
		if !cs.PeerCertificates[0].Equal(want) {
			return errors.New("the client's certificate is not that of the database login")
		}
		return nil
	}
	return cfg
}

// PeerIdentity returns the identity of a connection whose configuration came from Server, or nil for a
// client without a certificate.
func PeerIdentity(cs *tls.ConnectionState) (*identity.Identity, error) {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return nil, nil
	}
	return identity.FromCertificate(cs.PeerCertificates[0])
}

// Upstream returns the configuration of an agent's connection to a database: the configured check of the
// server's certificate, and the client certificate if the database wants one.
func Upstream(check UpstreamCheck, cert *tls.Certificate) *tls.Config {
	cfg := base()
	cfg.ServerName = check.ServerName
	cfg.RootCAs = check.Roots
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	switch {
	case check.AcceptAnything:
		cfg.InsecureSkipVerify = true
	case check.SkipName:
		cfg.InsecureSkipVerify = true // the name only; the chain is checked here
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: check.Roots, Intermediates: intermediates(cs)})
			return err
		}
	}
	return cfg
}

// intermediates are what a peer sends after its own certificate.
func intermediates(cs tls.ConnectionState) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range cs.PeerCertificates[1:] {
		pool.AddCert(cert)
	}
	return pool
}

// UpstreamCheck says how a database's certificate is checked.
type UpstreamCheck struct {
	Roots          *x509.CertPool
	ServerName     string
	SkipName       bool // verify-ca
	AcceptAnything bool // insecure
}
