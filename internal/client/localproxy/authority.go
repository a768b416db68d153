package localproxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/durable"
)

const (
	authorityLife = 365 * 24 * time.Hour
	authorityLeft = 30 * 24 * time.Hour // a new one is made when less is left
)

// loopback is all that a local authority can sign for.
var loopback = []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}

// LocalCertificate returns a new certificate for "localhost", for clients that trust the authority in the
// file, which is made when it is not there. The authority's key lies beside it in a file ending in .key; it
// can sign for this machine's loopback addresses only. Several processes may call it at once.
func LocalCertificate(path string, now time.Time) (*tls.Certificate, error) {
	keyPath := path[:len(path)-len(filepath.Ext(path))] + ".key"
	authority, err := readAuthority(keyPath)
	if errors.Is(err, fs.ErrNotExist) || err == nil && authority.Cert.NotAfter.Before(now.Add(authorityLeft)) {
		authority, err = makeAuthority(keyPath, err == nil, now)
	}
	if err != nil {
		return nil, fmt.Errorf("local authority: %w", err)
	}
	if err := durable.WriteFile(path, authority.CertPEM(), 0o640); err != nil {
		return nil, err
	}
	key, err := ca.GenerateKey()
	if err != nil {
		return nil, err
	}
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: pkix.Name{CommonName: "localhost"}, Hosts: []string{"localhost", "127.0.0.1", "::1"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: authority.Cert.NotAfter,
	}, now)
	if err != nil {
		return nil, fmt.Errorf("signing local certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// readAuthority reads key and certificate from one file.
func readAuthority(path string) (*ca.Authority, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keyBlock, rest := pem.Decode(data)
	if keyBlock == nil {
		return nil, fmt.Errorf("%s holds no key; remove it", path)
	}
	return ca.Load("local", rest, pem.EncodeToMemory(keyBlock))
}

// makeAuthority writes a new authority, which replaces an old one; without one, whichever process comes first
// makes it, and the others read it.
func makeAuthority(path string, replace bool, now time.Time) (*ca.Authority, error) {
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Sallyport local proxy"}, KeyUsage: x509.KeyUsageCertSign, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
	}
	for _, ip := range loopback {
		whole := net.CIDRMask(8*len(ip), 8*len(ip))
		tmpl.PermittedIPRanges = append(tmpl.PermittedIPRanges, &net.IPNet{IP: ip, Mask: whole})
	}
	cert, key, err := ca.SelfSigned(tmpl, now, authorityLife)
	if err != nil {
		return nil, err
	}
	keyPEM, err := ca.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	data := bytes.Join([][]byte{keyPEM, ca.EncodeCertificate(cert.Raw)}, nil)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if replace {
		err = durable.WriteFile(path, data, 0o600)
	} else {
		err = writeFirst(path, data)
	}
	if err != nil {
		return nil, err
	}
	return readAuthority(path)
}

// writeFirst writes a whole file, unless there is one by then.
func writeFirst(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".authority*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Close()); err == nil {
		if err = os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(temp.Name()))
}
