// Package client is what tsh and tctl share: who the user is, where that is kept, and how to reach the
// cluster with it.
package client

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/ca"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
)

// Credentials are a key, its certificate and what its holder trusts.
type Credentials struct {
	Key      crypto.Signer
	Cert     *x509.Certificate
	Identity *identity.Identity
	Trust    *mtls.Trust
}

// NewCredentials puts together what was issued for a key.
func NewCredentials(key crypto.Signer, certPEM []byte, trust *mtls.Trust) (*Credentials, error) {
	cert, err := ca.ParseCertificate(certPEM)
	if err != nil {
		return nil, err
	}
	id, err := identity.FromCertificate(cert)
	if err != nil {
		return nil, err
	}
	return &Credentials{Key: key, Cert: cert, Identity: id, Trust: trust}, nil
}

// ReadIdentityFile reads credentials from one file: key, certificate and authorities as PEM, in any order.
func ReadIdentityFile(path string) (*Credentials, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "identity file %s does not exist; make one with tctl auth sign or tsh login --out", path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fault.Wrap(fault.AccessDenied, err, "identity file %s cannot be read by this user; run the command as its owner", path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "identity file %s cannot be read: %s", path, fault.Reason(err))
	}
	credentials, err := parseIdentity(data)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "%s is no identity file of Sallyport: %s", path, err)
	}
	return credentials, nil
}

func parseIdentity(data []byte) (*Credentials, error) {
	var keyPEM, certPEM []byte
	var authorities []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		encoded := pem.EncodeToMemory(block)
		if block.Type == "PRIVATE KEY" {
			keyPEM = encoded
			continue
		}
		cert, err := ca.ParseCertificate(encoded)
		if err != nil {
			return nil, err
		}
		if !cert.IsCA {
			certPEM = encoded
			continue
		}
		authorities = append(authorities, cert)
	}
	if keyPEM == nil || certPEM == nil {
		return nil, errors.New("it lacks a key or a certificate")
	}
	key, err := ca.ParseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	return NewCredentials(key, certPEM, trustOf(authorities))
}

// trustOf sorts authorities by what they are for.
func trustOf(authorities []*x509.Certificate) *mtls.Trust {
	trust := &mtls.Trust{Authorities: make(map[ca.Type][]*x509.Certificate)}
	for _, cert := range authorities {
		typ, cluster := authorityOf(cert)
		trust.Cluster = cluster
		trust.Authorities[typ] = append(trust.Authorities[typ], cert)
	}
	return trust
}

// authorityOf tells the type and cluster of an authority from the names that package ca gives it.
func authorityOf(cert *x509.Certificate) (ca.Type, string) {
	cluster := strings.Join(cert.Subject.Organization, "")
	return ca.Type(strings.TrimPrefix(cert.Subject.CommonName, cluster+" ")), cluster
}

// Encode returns the credentials as one file. It holds the private key.
func (c *Credentials) Encode() ([]byte, error) {
	key, err := ca.EncodeKey(c.Key)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{key, ca.EncodeCertificate(c.Cert.Raw), c.AuthoritiesPEM(ca.Types...)}, nil), nil
}

// AuthoritiesPEM returns the certificates of authorities.
func (c *Credentials) AuthoritiesPEM(types ...ca.Type) []byte {
	var out []byte
	for _, typ := range types {
		for _, cert := range c.Trust.Authorities[typ] {
			out = append(out, ca.EncodeCertificate(cert.Raw)...)
		}
	}
	return out
}

// Certificate returns the credentials for TLS.
func (c *Credentials) Certificate() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{c.Cert.Raw}, PrivateKey: c.Key, Leaf: c.Cert}
}

// CheckValid returns why the credentials cannot be used now, or nil.
func (c *Credentials) CheckValid(now time.Time) error {
	switch {
	case now.Before(c.Cert.NotBefore):
		return fault.New(fault.Unauthenticated, "your certificate is valid only from %s on: compare the clock of this machine with the cluster's", c.Cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.Cert.NotAfter):
		return fault.New(fault.Unauthenticated, "your certificate expired at %s; log in again with tsh login, or have a new identity file made", c.Cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// API returns a client of the auth server at the address, which may be a proxy's. Close it.
func (c *Credentials) API(dialer *detour.Dialer, address string) *authapi.Client {
	cert := c.Certificate()
	return authapi.NewTLS(dialer.To(address), mtls.Client(
		func(string) (*tls.Certificate, error) { return cert, nil },
		func() *mtls.Trust { return c.Trust },
		"Auth", "auth."+c.Identity.Cluster, mtls.ProtocolAuth, mtls.ProtocolHTTP2))
}
