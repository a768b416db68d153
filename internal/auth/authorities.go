package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// authorityKeys is one authority: the key that signs, and everything that is trusted.
type authorityKeys struct {
	signer   *ca.Authority
	trusted  []*x509.Certificate
	rotation resource.Rotation
}

// openAuthorities reads the authorities, making those that are missing.
func (a *Authority) openAuthorities(ctx context.Context) error {
	a.authorities = make(map[ca.Type]*authorityKeys)
	for _, typ := range ca.Types {
		stored := &resource.CertAuthority{}
		err := a.load(ctx, resource.KindCertAuthority, string(typ), stored)
		if errors.Is(err, store.ErrNotFound) {
			stored, err = a.makeAuthority(ctx, typ)
		}
		if err != nil {
			return fmt.Errorf("opening %s authority: %w", typ, err)
		}
		keys, err := loadAuthority(typ, stored)
		if err != nil {
			return err
		}
		a.authorities[typ] = keys
	}
	return nil
}

func (a *Authority) makeAuthority(ctx context.Context, typ ca.Type) (*resource.CertAuthority, error) {
	authority, err := ca.New(typ, a.cluster, a.Now())
	if err != nil {
		return nil, err
	}
	key, err := authority.KeyPEM()
	if err != nil {
		return nil, err
	}
	r, err := resource.New(resource.KindCertAuthority)
	if err != nil {
		return nil, err
	}
	made := r.(*resource.CertAuthority)
	made.Metadata.Name = string(typ)
	made.Spec.Type = string(typ)
	made.Spec.ClusterName = a.cluster
	made.Spec.ActiveKeys.TLS = []resource.TLSKeyPair{{Cert: authority.CertPEM(), Key: key}}
	if err := made.Validate(); err != nil {
		return nil, err
	}
	_, err = a.create(ctx, made)
	return made, err
}

func loadAuthority(typ ca.Type, stored *resource.CertAuthority) (*authorityKeys, error) {
	active := stored.Spec.ActiveKeys.TLS
	if len(active) == 0 {
		return nil, fmt.Errorf("%s authority has no key", typ)
	}
	signer, err := ca.Load(typ, active[0].Cert, active[0].Key)
	if err != nil {
		return nil, err
	}
	keys := &authorityKeys{signer: signer, rotation: stored.Spec.Rotation}
	for _, pair := range append(active, stored.Spec.AdditionalTrustedKeys.TLS...) {
		cert, err := ca.ParseCertificate(pair.Cert)
		if err != nil {
			return nil, fmt.Errorf("reading %s authority: %w", typ, err)
		}
		keys.trusted = append(keys.trusted, cert)
	}
	return keys, nil
}

func (a *Authority) authority(typ ca.Type) *authorityKeys {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.authorities[typ]
}

// Trust returns what the cluster's members trust now.
func (a *Authority) Trust() *mtls.Trust {
	a.mu.RLock()
	defer a.mu.RUnlock()
	trust := &mtls.Trust{Cluster: a.cluster, Authorities: make(map[ca.Type][]*x509.Certificate)}
	for typ, keys := range a.authorities {
		trust.Authorities[typ] = keys.trusted
	}
	return trust
}

// publicAuthorities returns the authorities' certificates for the API.
func (a *Authority) publicAuthorities() []*sallyportv1.Authority {
	var all []*sallyportv1.Authority
	for _, typ := range ca.Types {
		keys := a.authority(typ)
		public := &sallyportv1.Authority{Type: string(typ), Rotation: rotationText(keys.rotation)}
		for _, cert := range keys.trusted {
			public.Certificates = append(public.Certificates, ca.EncodeCertificate(cert.Raw))
		}
		all = append(all, public)
	}
	return all
}

func rotationText(r resource.Rotation) string {
	switch {
	case r.State == resource.RotationInProgress:
		return "rotation in progress, phase " + r.Phase
	case r.LastRotated != nil:
		return "rotated " + r.LastRotated.UTC().Format(time.DateTime) + " UTC"
	default:
		return "never updated"
	}
}

// signIdentity issues a certificate for an identity: a user's from the user authority, a host's from the
// host authority. It returns DER.
func (a *Authority) signIdentity(id *identity.Identity, publicKey any, expires time.Time) ([]byte, error) {
	ext, err := id.Extension()
	if err != nil {
		return nil, err
	}
	req := ca.Request{
		PublicKey:   publicKey,
		Subject:     id.Subject(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotAfter:    expires,
	}
	req.Extensions = append(req.Extensions, ext)
	typ := ca.UserCA
	if id.Kind == identity.Host {
		typ = ca.HostCA
		req.ExtKeyUsage = append(req.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		req.Hosts = []string{id.Name + "." + id.Cluster}
	}
	return a.authority(typ).signer.Sign(req, a.Now())
}

// hostLifetime is how long a host's certificate is valid; it is renewed at half of it.
const hostLifetime = 7 * 24 * time.Hour

// LocalIdentity makes a key and a certificate for this process with the system roles, for as long as
// hosts' certificates live. The chain holds the host authority, so that pinned clients can check it.
func (a *Authority) LocalIdentity(hostID string, lifetime time.Duration, roles ...resource.SystemRole) (*identity.Identity, *tls.Certificate, error) {
	id := &identity.Identity{Kind: identity.Host, Cluster: a.cluster, Name: hostID}
	for _, role := range roles {
		id.SystemRoles = append(id.SystemRoles, string(role))
	}
	key, err := ca.GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := a.signIdentity(id, key.Public(), a.Now().Add(lifetime))
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("reading own certificate: %w", err)
	}
	id.Issued, id.Expires = leaf.NotBefore, leaf.NotAfter
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	for _, trusted := range a.authority(ca.HostCA).trusted {
		cert.Certificate = append(cert.Certificate, trusted.Raw)
	}
	return id, cert, nil
}
