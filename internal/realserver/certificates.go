//go:build unix

package realserver

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"testing"
	"time"

	"sallyport/internal/ca"
)

// Authorities are those of a server that made its certificates itself.
type Authorities struct {
	DatabaseCA *ca.Authority // signed the server's certificate
	ClientCA   *ca.Authority // whose clients the server trusts
}

// ClientCertificate returns a certificate that opens an account which requires one, or with which anybody may connect.
func (a Authorities) ClientCertificate(t testing.TB, account string) *tls.Certificate {
	t.Helper()
	cert, err := Issue(a.ClientCA, account, nil, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatalf("signing a client certificate: %v", err)
	}
	return cert
}

// Certificates are a server's own, and of whose clients it accepts some. The zero value stands for new ones.
type Certificates struct {
	// DatabaseCA signs the server's certificate, ClientCA is whom it trusts; default: new ones.
	DatabaseCA, ClientCA *ca.Authority
	// ServerNames are what the server's certificate is for; default "localhost" and 127.0.0.1.
	ServerNames []string
	// CertFile, KeyFile and TrustFile are files to copy instead of making certificates: what the server
	// presents, and whose clients it accepts. All or none of them are set.
	CertFile, KeyFile, TrustFile string
}

// Names of the files that Write writes.
const (
	CertFile  = "server.crt"
	KeyFile   = "server.key"
	TrustFile = "clients.crt"
)

// Write hands the certificates and the key to the function that puts them into files, and returns their authorities, of which
// none are known if files are copied.
func (c Certificates) Write(commonName string, write func(name string, content []byte) error) (Authorities, error) {
	if c.CertFile != "" {
		return Authorities{}, c.copy(write)
	}
	var err error
	now := time.Now()
	if c.DatabaseCA == nil {
		if c.DatabaseCA, err = ca.New(ca.DatabaseCA, "test", now); err != nil {
			return Authorities{}, err
		}
	}
	if c.ClientCA == nil {
		if c.ClientCA, err = ca.New(ca.ClientCA, "test", now); err != nil {
			return Authorities{}, err
		}
	}
	authorities := Authorities{c.DatabaseCA, c.ClientCA}
	names := c.ServerNames
	if names == nil {
		names = []string{"localhost", "127.0.0.1"}
	}
	// For clients too, as tctl auth sign makes them.
	cert, err := Issue(c.DatabaseCA, commonName, names, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return Authorities{}, err
	}
	return authorities, writeFiles(cert, c.ClientCA.CertPEM(), write)
}

// writeFiles hands a server's certificate, its key and the authorities whose clients it trusts (PEM) to the function that puts
// them into files.
func writeFiles(cert *tls.Certificate, trusted []byte, write func(name string, content []byte) error) error {
	key, err := ca.EncodeKey(cert.PrivateKey.(crypto.Signer))
	if err != nil {
		return err
	}
	if err := write(KeyFile, key); err != nil {
		return err
	}
	if err := write(CertFile, ca.EncodeCertificate(cert.Certificate[0])); err != nil {
		return err
	}
	return write(TrustFile, trusted)
}

func (c Certificates) copy(write func(name string, content []byte) error) error {
	for name, path := range map[string]string{CertFile: c.CertFile, KeyFile: c.KeyFile, TrustFile: c.TrustFile} {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// Issue signs a certificate for a day.
func Issue(authority *ca.Authority, name string, hosts []string, usages ...x509.ExtKeyUsage) (*tls.Certificate, error) {
	key, err := ca.GenerateKey()
	if err != nil {
		return nil, err
	}
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: pkix.Name{CommonName: name}, Hosts: hosts,
		ExtKeyUsage: usages, NotAfter: time.Now().Add(24 * time.Hour),
	}, time.Now())
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
