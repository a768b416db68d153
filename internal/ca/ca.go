// Package ca makes the cluster's certificate authorities and signs certificates with them. It signs
// what it is told and knows no users, roles or rules.
package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Type is what an authority's certificates are for. A certificate of one type is never accepted where
// another is due.
type Type string

// The authorities of a cluster.
const (
	HostCA     Type = "host"      // auth servers, proxies, agents
	UserCA     Type = "user"      // people and programs that use the cluster
	DatabaseCA Type = "db"        // what self-hosted databases present
	ClientCA   Type = "db_client" // what agents present to self-hosted databases
)

// Types lists all authorities in the order in which they are shown.
var Types = []Type{HostCA, UserCA, DatabaseCA, ClientCA}

// Lifetime of an authority's own certificate.
const Lifetime = 10 * 365 * 24 * time.Hour

// Backdating of every certificate, for clocks that are behind.
const Backdating = time.Minute

// Authority is a certificate authority with its private key. Safe for concurrent use.
type Authority struct {
	Type Type
	Cert *x509.Certificate
	key  crypto.Signer
}

// New makes an authority with a fresh ECDSA P-256 key.
func New(t Type, cluster string, now time.Time) (*Authority, error) {
	cert, key, err := SelfSigned(&x509.Certificate{
		Subject:        pkix.Name{Organization: []string{cluster}, CommonName: cluster + " " + string(t)},
		KeyUsage:       x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:           true,
		MaxPathLen:     0,
		MaxPathLenZero: true,
	}, now, Lifetime)
	if err != nil {
		return nil, fmt.Errorf("making %s authority: %w", t, err)
	}
	return &Authority{Type: t, Cert: cert, key: key}, nil
}

// SelfSigned makes a fresh key and a certificate that the key signs itself. The template says what it is for;
// serial number and validity are filled in.
func SelfSigned(tmpl *x509.Certificate, now time.Time, life time.Duration) (*x509.Certificate, crypto.Signer, error) {
	key, err := GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	if tmpl.SerialNumber, err = newSerial(); err != nil {
		return nil, nil, err
	}
	tmpl.NotBefore, tmpl.NotAfter, tmpl.BasicConstraintsValid = now.Add(-Backdating), now.Add(life), true
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("reading own certificate: %w", err)
	}
	return cert, key, nil
}

// Load reads an authority from its PEM certificate and PKCS#8 PEM key.
func Load(t Type, certPEM, keyPEM []byte) (*Authority, error) {
	cert, err := ParseCertificate(certPEM)
	if err != nil {
		return nil, fmt.Errorf("reading %s authority: %w", t, err)
	}
	key, err := ParseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading %s authority: %w", t, err)
	}
	return &Authority{Type: t, Cert: cert, key: key}, nil
}

// CertPEM returns the authority's certificate.
func (a *Authority) CertPEM() []byte { return EncodeCertificate(a.Cert.Raw) }

// KeyPEM returns the authority's private key as PKCS#8. The caller keeps it secret.
func (a *Authority) KeyPEM() ([]byte, error) { return EncodeKey(a.key) }

// Request is what one certificate is to say.
type Request struct {
	PublicKey   crypto.PublicKey // ECDSA P-256 or larger, Ed25519, or RSA of at least 2048 bits
	Subject     pkix.Name
	Extensions  []pkix.Extension
	Hosts       []string // DNS names and IP addresses
	ExtKeyUsage []x509.ExtKeyUsage
	NotAfter    time.Time // cut to the authority's own end
}

// Sign issues a leaf certificate and returns it as DER.
func (a *Authority) Sign(req Request, now time.Time) ([]byte, error) {
	if err := checkPublicKey(req.PublicKey); err != nil {
		return nil, err
	}
	if !req.NotAfter.After(now) {
		return nil, errors.New("certificate would have ended before it began")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	notAfter := req.NotAfter
	if notAfter.After(a.Cert.NotAfter) {
		notAfter = a.Cert.NotAfter
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               req.Subject,
		NotBefore:             now.Add(-Backdating),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           req.ExtKeyUsage,
		ExtraExtensions:       req.Extensions,
		BasicConstraintsValid: true,
	}
	for _, host := range req.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.Cert, req.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	return der, nil
}

// Pin returns "sha256:" and the hexadecimal SHA-256 of the certificate's public key.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making serial number: %w", err)
	}
	return serial, nil
}

// EncodeCertificate returns DER as PEM.
func EncodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
