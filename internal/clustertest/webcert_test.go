package clustertest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// shown returns the certificate that a web address shows.
func shown(address string) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func showsName(address, name string) func() error {
	return func() error {
		cert, err := shown(address)
		if err == nil && cert.VerifyHostname(name) != nil {
			err = fmt.Errorf("it is for %v", cert.DNSNames)
		}
		return err
	}
}

// writeCertificate writes a certificate for a host and its key.
func writeCertificate(t *testing.T, pair config.KeyPair, host string) {
	t.Helper()
	cert, key, err := ca.SelfSigned(&x509.Certificate{DNSNames: []string{host}}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := ca.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(pair.CertFile, ca.EncodeCertificate(cert.Raw), 0o600), os.WriteFile(pair.KeyFile, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedWebCertificatesAreTakenIntoUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair := config.KeyPair{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	writeCertificate(t, pair, "first.example.com")
	c := clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) {
		cfg.Proxy.KeyPairs, cfg.Proxy.KeyPairsReload = []config.KeyPair{pair}, 10*time.Millisecond
	}})
	if err := showsName(c.Proxy, "first.example.com")(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pair.CertFile, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the fault is logged", func() error {
		if !strings.Contains(c.Log(), "web certificates cannot be read; those in use stay") {
			return errors.New("no such line")
		}
		return nil
	})
	if err := showsName(c.Proxy, "first.example.com")(); err != nil {
		t.Errorf("a broken file took the old certificate out of use: %v", err)
	}
	writeCertificate(t, pair, "second.example.com")
	clustertest.Eventually(t, "the new certificate is shown", showsName(c.Proxy, "second.example.com"))
}

// TestOwnWebCertificateIsMadeAnewBeforeItEnds starts a proxy again eleven months later.
func TestOwnWebCertificateIsMadeAnewBeforeItEnds(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Nodename, cfg.DataDir = "localhost", t.TempDir()
	cfg.Storage.Path, cfg.Storage.Sync = filepath.Join(cfg.DataDir, "backend"), "OFF"
	cfg.Auth.ClusterName, cfg.Auth.ListenAddr = clustertest.ClusterName, clustertest.FreeAddr(t)
	cfg.Proxy.ListenAddr = clustertest.FreeAddr(t)
	cfg.Proxy.PublicAddrs = []string{"one.example.com:443", "two.example.com:443", "three.example.com"}
	var serials []string
	for _, later := range []time.Duration{0, 300 * 24 * time.Hour, 340 * 24 * time.Hour} {
		daemon := clustertest.StartDaemonAt(t, cfg, func() time.Time { return time.Now().Add(later) })
		for _, name := range []string{"one.example.com", "two.example.com", "three.example.com", "localhost"} {
			clustertest.Eventually(t, name+" is named", showsName(cfg.Proxy.ListenAddr, name))
		}
		cert, err := shown(cfg.Proxy.ListenAddr)
		if err != nil {
			t.Fatal(err)
		}
		serials = append(serials, cert.SerialNumber.String())
		daemon.Stop(t)
	}
	if serials[0] != serials[1] || serials[1] == serials[2] {
		t.Errorf("after 0, 300 and 340 days: %v", serials)
	}
}
