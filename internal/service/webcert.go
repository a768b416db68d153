package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

const (
	selfSignedLife  = 365 * 24 * time.Hour
	selfSignedRenew = 30 * 24 * time.Hour // before its end
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
		if host = d.cfg.AdvertiseIP; host == "" {
			host = d.cfg.Nodename
		}
	}
	return net.JoinHostPort(host, port)
}

// mysqlAddr returns the address by which people know the proxy's port for clients of MySQL.
func (d *daemon) mysqlAddr(public string, listener net.Listener) string {
	if address := d.cfg.Proxy.MySQL.PublicAddr; address != "" {
		return address
	}
	host, _, _ := net.SplitHostPort(public)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return net.JoinHostPort(host, port)
}

// webNames returns the hosts by which people know the proxy, the first of them in links.
func (d *daemon) webNames(public string) ([]string, error) {
	var hosts []string
	for i, address := range append([]string{public}, d.cfg.Proxy.PublicAddrs...) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			if i == 0 {
				return nil, fmt.Errorf("public address %q: %w", address, err)
			}
			host = address
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// webCertificates are the certificates of the web address: configured ones, chosen by server name, or one that
// the proxy signs itself. Safe for concurrent use.
type webCertificates struct {
	load   func() ([]*tls.Certificate, error)
	files  []string // that load reads
	logger *slog.Logger

	current atomic.Pointer[[]*tls.Certificate]
	stamps  []stamp // of the files when they were read last; owned by who reads
}

// stamp tells whether a file was replaced.
type stamp struct {
	changed time.Time
	size    int64
}

func (d *daemon) webCertificates(public string) (*webCertificates, error) {
	hosts, err := d.webNames(public)
	if err != nil {
		return nil, err
	}
	w := &webCertificates{logger: d.logger.With("component", "proxy")}
	if len(d.cfg.Proxy.KeyPairs) == 0 {
		w.load = func() ([]*tls.Certificate, error) {
			cert, err := d.selfSigned(hosts)
			return []*tls.Certificate{cert}, err
		}
	} else {
		w.load = d.configuredCertificates
		for _, pair := range d.cfg.Proxy.KeyPairs {
			w.files = append(w.files, pair.CertFile, pair.KeyFile)
		}
	}
	return w, w.read()
}

func (w *webCertificates) read() error {
	w.stamps = w.stamp()
	certs, err := w.load()
	if err != nil {
		return err
	}
	w.current.Store(&certs)
	return nil
}

func (w *webCertificates) stamp() []stamp {
	stamps := make([]stamp, len(w.files))
	for i, file := range w.files {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// ownCertificateLook is how often a self-signed certificate is looked at, whether it has to be renewed, when files never are.
const ownCertificateLook = time.Hour

// run reads the certificates again when their files change, which is looked at that often unless it is 0, and when told to, until the context ends. While they
// cannot be read the old ones stay.
func (w *webCertificates) run(ctx context.Context, every time.Duration, reload <-chan struct{}) {
	var ticks <-chan time.Time
	if len(w.files) == 0 && every == 0 {
		every = ownCertificateLook
	}
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		told := false
		select {
		case <-ctx.Done():
			return
		case <-reload:
			told = true
		case <-ticks:
		}
		changed := len(w.files) > 0 && !slices.Equal(w.stamps, w.stamp())
		if len(w.files) > 0 && !changed && !told {
			continue
		}
		switch err := w.read(); {
		case err != nil:
			w.logger.Error("web certificates cannot be read; those in use stay", "error", err)
		case changed || told:
			w.logger.Info("web certificates were read again", "expires", w.expires())
		}
	}
}

// get implements mtls.Certificate.
func (w *webCertificates) get(serverName string) (*tls.Certificate, error) {
	certs := *w.current.Load()
	for _, cert := range certs {
		if serverName != "" && cert.Leaf.VerifyHostname(serverName) == nil {
			return cert, nil
		}
	}
	return certs[0], nil
}

// expires returns when the first of the certificates ends.
func (w *webCertificates) expires() time.Time {
	certs := *w.current.Load()
	first := certs[0].Leaf.NotAfter
	for _, cert := range certs[1:] {
		if cert.Leaf.NotAfter.Before(first) {
			first = cert.Leaf.NotAfter
		}
	}
	return first
}

func (d *daemon) configuredCertificates() ([]*tls.Certificate, error) {
	var certs []*tls.Certificate
	for _, pair := range d.cfg.Proxy.KeyPairs {
		cert, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
		if err != nil {
			return nil, fault.Wrap(fault.BadParameter, err, "proxy_service.https_keypairs: %s and %s cannot be used together: %s", pair.CertFile, pair.KeyFile, err)
		}
		certs = append(certs, &cert)
	}
	return certs, nil
}

// selfSigned reads the certificate that the proxy signs for itself, or makes it when it is not there, names other
// hosts, or ends soon.
func (d *daemon) selfSigned(hosts []string) (*tls.Certificate, error) {
	certFile, keyFile := filepath.Join(d.cfg.DataDir, "webproxy_cert.pem"), filepath.Join(d.cfg.DataDir, "webproxy_key.pem")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	named := func(host string) bool { return cert.Leaf.VerifyHostname(host) == nil }
	if err == nil && !slices.ContainsFunc(hosts, func(host string) bool { return !named(host) }) &&
		d.now().Add(selfSignedRenew).Before(cert.Leaf.NotAfter) {
		return &cert, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading own web certificate: %w", err)
	}
	certPEM, keyPEM, err := makeSelfSigned(hosts, d.now())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(durable.WriteFile(keyFile, keyPEM, 0o600), durable.WriteFile(certFile, certPEM, 0o644)); err != nil {
		return nil, err
	}
	d.logger.Warn("the proxy has no certificate for its web address and signed one itself; browsers warn and tsh needs --insecure until proxy_service.https_keypairs names one", "hosts", hosts)
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	return &cert, err
}

func makeSelfSigned(hosts []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	tmpl := &x509.Certificate{
		Subject:  pkix.Name{CommonName: hosts[0], Organization: []string{"Sallyport, self-signed"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, host)
		}
	}
	cert, key, err := ca.SelfSigned(tmpl, now, selfSignedLife)
	if err != nil {
		return nil, nil, fmt.Errorf("making web certificate: %w", err)
	}
	keyPEM, err = ca.EncodeKey(key)
	return ca.EncodeCertificate(cert.Raw), keyPEM, err
}
