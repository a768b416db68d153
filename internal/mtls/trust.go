package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/identity"
)

// Trust is the set of authorities that a party accepts, by type.
type Trust struct {
	Cluster     string
	Authorities map[ca.Type][]*x509.Certificate
}

// Pool returns the certificates of one authority.
func (t *Trust) Pool(typ ca.Type) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range t.Authorities[typ] {
		pool.AddCert(cert)
	}
	return pool
}

// Source returns the current trust; it may change while connections live. It must be safe for
// concurrent use.
type Source func() *Trust

// Verify checks a peer's chain against the authority due for its kind of identity and returns the
// identity. Users are accepted from the user authority only, hosts from the host authority only, and
// only for this cluster.
func (t *Trust) Verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (*identity.Identity, error) {
	if len(chain) == 0 {
		return nil, errors.New("the peer showed no certificate")
	}
	id, err := identity.FromCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	typ := ca.UserCA
	if id.Kind == identity.Host {
		typ = ca.HostCA
	}
	opts := x509.VerifyOptions{Roots: t.Pool(typ), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
	if _, err := chain[0].Verify(opts); err != nil {
		return nil, fmt.Errorf("verifying certificate of %s: %w", id, aboutClocks(chain[0], now, err))
	}
	if id.Cluster != t.Cluster {
		return nil, fmt.Errorf("certificate is of cluster %q, not of %q", id.Cluster, t.Cluster)
	}
	return id, nil
}

// aboutClocks says what to look at when a certificate is not valid now, which is often a clock that is wrong.
func aboutClocks(cert *x509.Certificate, now time.Time, err error) error {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired {
		return err
	}
	if now.Before(cert.NotBefore) {
		return fmt.Errorf("it is valid from %s on and the clock of this host says %s; compare the clocks of both hosts: %w",
			cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), err)
	}
	return fmt.Errorf("it ended at %s and the clock of this host says %s; get a new one, or compare the clocks of both hosts: %w",
		cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), err)
}
