package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// Visitor is who has come to a listener for clients of databases.
type Visitor struct {
	Identity *identity.Identity // nil without a certificate
	// Expired says that the certificate has expired, and what to do; nil for all others. Such a visitor has shown who it was, and is a
	// stranger now: it may be told that in the protocol of its database, and nothing else is to be done for it.
	Expired error
}

// Reception takes in clients of databases. All fields must be set unless stated.
type Reception struct {
	Certificate Certificate
	Trust       Source
	Now         func() time.Time
	Protocols   []string // that are spoken; may be empty
	Strangers   bool     // a client without a certificate is taken in too
}

// Receive makes the handshake with a client. Certificates are verified as by Server. What is different is a user's that was right
// until it expired: clients of databases show nothing of an alert of TLS that helps, so its owner is taken in to be told.
//
// No configuration that takes expired certificates leaves this function, so that nobody can read an identity from such a connection
// and miss that it has expired.
func (r *Reception) Receive(ctx context.Context, conn net.Conn) (*tls.Conn, *Visitor, error) {
	cfg := At(r.Now, Server(r.Certificate, r.Trust, !r.Strangers, r.Protocols...))
	visitor := &Visitor{}
	cfg.VerifyConnection = func(cs tls.ConnectionState) (err error) {
		if len(cs.PeerCertificates) == 0 && r.Strangers {
			return nil
		}
		if visitor, err = r.Trust().visitor(cs.PeerCertificates, r.Now()); err != nil {
			return newPeerError(cs.PeerCertificates, err)
		}
		return nil
	}
	client := tls.Server(conn, cfg)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("handshake: %w", err)
	}
	return client, visitor, nil
}

// visitor is Verify for clients of databases. All that is verified of a certificate that has expired is verified as it was in its last
// moment, with the authorities that are valid now.
func (t *Trust) visitor(chain []*x509.Certificate, now time.Time) (*Visitor, error) {
	id, err := t.Verify(chain, x509.ExtKeyUsageClientAuth, now)
	if err == nil {
		return &Visitor{Identity: id}, nil
	}
	if len(chain) == 0 || !now.After(chain[0].NotAfter) {
		return nil, err
	}
	was, wrong := t.valid(now).Verify(chain, x509.ExtKeyUsageClientAuth, chain[0].NotAfter)
	// A proxy asks for a certificate for the moment, and its users have another, which has not expired.
	if wrong != nil || was.Kind != identity.User || was.ProxySession {
		return nil, err
	}
	return &Visitor{Identity: was, Expired: Expired(was.Expires, err)}, nil
}

// valid returns the trust in those authorities whose own certificates are valid.
func (t *Trust) valid(now time.Time) *Trust {
	valid := &Trust{Cluster: t.Cluster, Authorities: make(map[ca.Type][]*x509.Certificate)}
	for typ, all := range t.Authorities {
		for _, cert := range all {
			if !now.Before(cert.NotBefore) && !now.After(cert.NotAfter) {
				valid.Authorities[typ] = append(valid.Authorities[typ], cert)
			}
		}
	}
	return valid
}

// Expired is what users are told whose certificate has ended. The cause, for the log, may be nil.
func Expired(at time.Time, cause error) error {
	return fault.Wrap(fault.AccessDenied, cause, "your certificate expired at %s; log in again with tsh login", at.UTC().Format(time.RFC3339))
}
