package fakeaws

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Authority signs the certificates of this world's servers, for any name that Amazon owns and for this machine.
type Authority struct {
	random io.Reader
	now    func() time.Time
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate

	mu     sync.Mutex
	issued map[string]*tls.Certificate
	serial int64
}

func newAuthority(random io.Reader, now func() time.Time) (*Authority, error) {
	a := &Authority{random: random, now: now, issued: map[string]*tls.Certificate{}, serial: 1}
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making the key of the authority: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Local AWS Root CA", Organization: []string{"Local AWS"}},
		NotBefore: now().Add(-24 * time.Hour), NotAfter: now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of the authority: %w", err)
	}
	a.key = key
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

// PEM is the authority's own certificate, as a bundle.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// WriteBundle writes the bundle to a file, for AWS_CA_BUNDLE, SSL_CERT_FILE or tls.ca_cert_file.
func (a *Authority) WriteBundle(path string) error { return os.WriteFile(path, a.PEM(), 0o644) }

// Pool trusts this authority only.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Names says what a certificate is issued for. A certificate without DNSNames is a legacy one, with a common name only.
type Names struct {
	CommonName string
	DNSNames   []string
	IPs        []net.IP
}

// Issue makes a certificate with its key, valid for 90 days of this world's time.
func (a *Authority) Issue(names Names) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.random)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.serial++
	serial := a.serial
	a.mu.Unlock()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names.CommonName},
		DNSNames: names.DNSNames, IPAddresses: names.IPs, NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().AddDate(0, 0, 90),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(a.random, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}

// IssuePEM is Issue for servers that read files.
func (a *Authority) IssuePEM(names Names) (certificate, key []byte, err error) {
	issued, err := a.Issue(names)
	if err != nil {
		return nil, nil, err
	}
	for _, der := range issued.Certificate {
		certificate = append(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// GetCertificate issues on demand for the name a client asks for, and for the address it reached where it names none.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	names := Names{CommonName: name, DNSNames: []string{name}}
	switch {
	case name == "" || net.ParseIP(name) != nil:
		address, ok := hello.Conn.LocalAddr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("the client names no host")
		}
		name = address.IP.String()
		names = Names{CommonName: name, IPs: []net.IP{address.IP}}
	case name == "localhost":
	case bundles[name] != nil:
	case strings.HasSuffix(name, ".amazonaws.com"), strings.HasSuffix(name, ".amazonaws.com.cn"):
	default:
		return nil, fmt.Errorf("%q is no name of AWS", name)
	}
	a.mu.Lock()
	issued := a.issued[name]
	a.mu.Unlock()
	if issued != nil {
		return issued, nil
	}
	issued, err := a.Issue(names)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued[name] = issued
	return issued, nil
}
