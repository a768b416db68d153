//go:build unix

package redisserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sallyport/internal/redisserver"
)

// client returns a client that trusts the authority and shows the certificate, if there is one.
func client(t *testing.T, addr string, authority *x509.Certificate, cert *tls.Certificate) *redis.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(authority)
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	c := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: config, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestOnlyCertificatesOfTheAuthorityConnect(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	other := redisserver.Start(t, redisserver.Options{})
	for name, c := range map[string]struct {
		cert *tls.Certificate
		ok   bool
	}{
		"its own":   {s.ClientCertificate(t, "alice"), true},
		"another's": {other.ClientCertificate(t, "alice"), false},
		"none":      {nil, false},
	} {
		err := client(t, s.Addr, s.DatabaseCA.Cert, c.cert).Ping(context.Background()).Err()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClusterOfThree(t *testing.T) {
	t.Parallel()
	c := redisserver.StartCluster(t, 3, redisserver.Options{})
	key := c.KeyOn(t, 2, "k")
	m := c.Nodes[2].Monitor(t)
	first := client(t, c.Nodes[0].Addr, c.DatabaseCA.Cert, c.Nodes[0].ClientCertificate(t, "alice"))
	if err := first.Set(t.Context(), key, "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "MOVED ") || !strings.HasSuffix(err.Error(), c.Nodes[2].Addr) {
		t.Fatalf("the first node said %v", err)
	}
	third := client(t, c.Nodes[2].Addr, c.DatabaseCA.Cert, c.Nodes[2].ClientCertificate(t, "alice"))
	if err := third.Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	m.Wait(t, `"`+key+`" "v"`)
}
