package service

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
)

const (
	selfSignedLife = 365 * 24 * time.Hour
)

// publicAddr returns the address by which people know the proxy.
func (d *daemon) publicAddr(listener net.Listener) string {
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if len(d.cfg.Proxy.PublicAddrs) > 0 {
		address := d.cfg.Proxy.PublicAddrs[0]
		if _, _, err := net.SplitHostPort(address); err == nil {
			return address
		}
		return net.JoinHostPort(address, port)
	}
	host, _, _ := net.SplitHostPort(d.cfg.Proxy.ListenAddr)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = d.cfg.Nodename
	}
	return net.JoinHostPort(host, port)
}

// webCertificate returns the certificate of the web address: configured ones, chosen by server name, or
// one that signs itself.
func (d *daemon) webCertificate(public string) (mtls.Certificate, error) {
	if len(d.cfg.Proxy.KeyPairs) == 0 {
		cert, err := d.selfSigned(public)
		return func(string) (*tls.Certificate, error) { return cert, err }, err
	}
	var certs []*tls.Certificate
	for _, pair := range d.cfg.Proxy.KeyPairs {
		cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
		if err != nil {
			return nil, fault.Wrap(fault.BadParameter, err, "proxy_service.https_keypairs: %s and %s cannot be used together: %s", pair.CertFile, pair.KeyFile, err)
		}
		certs = append(certs, &cert)
	}
	return func(serverName string) (*tls.Certificate, error) {
		for _, cert := range certs {
			if serverName != "" && cert.Leaf.VerifyHostname(serverName) == nil {
				return cert, nil
			}
		}
		return certs[0], nil
	}, nil
}

// selfSigned reads or makes the certificate that the proxy signs for itself.
func (d *daemon) selfSigned(public string) (*tls.Certificate, error) {
	certFile, keyFile := filepath.Join(d.cfg.DataDir, "webproxy_cert.pem"), filepath.Join(d.cfg.DataDir, "webproxy_key.pem")
	host, _, err := net.SplitHostPort(public)
	if err != nil {
		return nil, fmt.Errorf("public address %q: %w", public, err)
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && cert.Leaf.VerifyHostname(host) == nil && d.now().Before(cert.Leaf.NotAfter) {
		return &cert, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading own web certificate: %w", err)
	}
	certPEM, keyPEM, err := makeSelfSigned(host, d.now())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(durable.WriteFile(keyFile, keyPEM, 0o600), durable.WriteFile(certFile, certPEM, 0o644)); err != nil {
		return nil, err
	}
	d.logger.Warn("the proxy has no certificate for its web address and signed one itself; browsers warn and tsh needs --insecure until proxy_service.https_keypairs names one", "host", host)
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	return &cert, err
}

func makeSelfSigned(host string, now time.Time) (certPEM, keyPEM []byte, err error) {
	tmpl := &x509.Certificate{
		Subject:  pkix.Name{CommonName: host, Organization: []string{"Sallyport, self-signed"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
	} else {
		tmpl.DNSNames = append(tmpl.DNSNames, host)
	}
	cert, key, err := ca.SelfSigned(tmpl, now, selfSignedLife)
	if err != nil {
		return nil, nil, fmt.Errorf("making web certificate: %w", err)
	}
	keyPEM, err = ca.EncodeKey(key)
	return ca.EncodeCertificate(cert.Raw), keyPEM, err
}
