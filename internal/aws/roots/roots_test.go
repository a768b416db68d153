package roots_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/roots"
	"sallyport/internal/fault"
)

// authority returns a certificate with the name, in PEM.
func authority(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// publisher serves bundles for every host.
type publisher struct {
	mu    sync.Mutex
	body  []byte
	tag   string
	away  bool
	moved string   // redirects there
	asked []string // "HEAD https://..."
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}
	p.asked = append(p.asked, r.Method+" "+r.URL.String())
	w := httptest.NewRecorder()
	if p.moved != "" {
		http.Redirect(w, r, p.moved, http.StatusFound)
		return w.Result(), nil
	}
	if p.tag != "" {
		w.Header().Set("ETag", p.tag)
	}
	_, _ = w.Write(p.body)
	return w.Result(), nil
}

func (p *publisher) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *publisher) requests() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.asked = nil }()
	return strings.Join(p.asked, "\n")
}

func newStore(dir string, p *publisher) *roots.Store {
	return roots.New(roots.Config{Dir: dir, Client: &http.Client{Transport: p}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
}

func name(t testing.TB, s *roots.Store, typ endpoint.Type, region string) string {
	t.Helper()
	got, err := s.For(t.Context(), typ, region)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Certificates) != 1 {
		t.Fatalf("got %d certificates", len(got.Certificates))
	}
	return got.Certificates[0].Subject.CommonName
}

func TestWhereBundlesComeFrom(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		typ    endpoint.Type
		region string
		url    string // "" for the system's
	}{
		{endpoint.RDS, "us-west-1", "https://truststore.pki.rds.amazonaws.com/us-west-1/us-west-1-bundle.pem"},
		{endpoint.DocumentDB, "eu-west-1", "https://truststore.pki.rds.amazonaws.com/eu-west-1/eu-west-1-bundle.pem"},
		{endpoint.RDS, "us-gov-east-1", "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/us-gov-east-1/us-gov-east-1-bundle.pem"},
		{endpoint.RDS, "cn-northwest-1", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/cn-northwest-1/cn-northwest-1-bundle.pem"},
		{endpoint.Redshift, "us-west-1", "https://s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt"},
		{endpoint.RedshiftServerless, "us-gov-west-1", "https://s3.amazonaws.com/redshift-downloads/amazon-trust-ca-bundle.crt"},
		{endpoint.Redshift, "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn/redshift-downloads-cn/amazon-trust-ca-bundle.crt"},
		{endpoint.ElastiCache, "us-west-1", "https://www.amazontrust.com/repository/AmazonRootCA1.pem"},
		{endpoint.ElastiCacheServerless, "us-west-1", "https://www.amazontrust.com/repository/AmazonRootCA1.pem"},
		{endpoint.MemoryDB, "us-west-1", "https://www.amazontrust.com/repository/AmazonRootCA1.pem"},
		{endpoint.DynamoDB, "us-west-1", "https://www.amazontrust.com/repository/AmazonRootCA1.pem"},
		{endpoint.Keyspaces, "us-west-1", "https://certs.secureserver.net/repository/sf-class2-root.crt"},
		{endpoint.RDSProxy, "us-west-1", ""},
		{endpoint.OpenSearch, "cn-north-1", ""},
	} {
		p := &publisher{body: authority(t, "one")}
		got, err := newStore(t.TempDir(), p).For(t.Context(), test.typ, test.region)
		if err != nil {
			t.Fatal(err)
		}
		asked := p.requests()
		if test.url == "" {
			if !got.System || len(got.Certificates) > 0 || asked != "" {
				t.Errorf("%s in %s: %+v, asked %s", test.typ, test.region, got, asked)
			}
			continue
		}
		if got.System || asked != "GET "+test.url || !strings.Contains(got.From, test.url) {
			t.Errorf("%s in %s: asked %s, from %q", test.typ, test.region, asked, got.From)
		}
	}
}

func TestBundlesAreKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "roots")
	p := &publisher{body: authority(t, "one"), tag: `"1"`}
	s := newStore(dir, p)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { name(t, s, endpoint.RDS, "us-west-1") })
	}
	group.Wait()
	if asked := p.requests(); strings.Count(asked, "\n") != 0 || asked == "" {
		t.Errorf("asked %s", asked)
	}
	for _, file := range []string{"rds-us-west-1.pem", "rds-us-west-1.version"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	// The next process has no way to the Internet.
	p.set(func() { p.away = true })
	if got := name(t, newStore(dir, p), endpoint.RDS, "us-west-1"); got != "one" {
		t.Errorf("after a restart: %s", got)
	}
	_, err := newStore(dir, p).For(t.Context(), endpoint.RDS, "us-west-2")
	if !fault.Is(err, fault.ConnectionProblem) || !strings.Contains(fault.Message(err), "tls.ca_cert_file") || !strings.Contains(fault.Message(err), "us-west-2-bundle.pem") {
		t.Errorf("a bundle that was never downloaded: %v", err)
	}
	// A damaged file is replaced, and an error is not kept.
	if err := os.WriteFile(filepath.Join(dir, "rds-us-west-1.pem"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = newStore(dir, p)
	if _, err := s.For(t.Context(), endpoint.RDS, "us-west-1"); err == nil {
		t.Error("a damaged file served")
	}
	p.set(func() { p.away = false })
	if got := name(t, s, endpoint.RDS, "us-west-1"); got != "one" {
		t.Errorf("after damage: %s", got)
	}
}

func TestWhatIsNoBundle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		p    *publisher
	}{
		{"a page of a captive portal", &publisher{body: []byte("<html>log in</html>")}},
		{"nothing", &publisher{}},
		{"a key among the certificates", &publisher{body: append(authority(t, "one"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"...)}},
		{"a broken certificate", &publisher{body: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}},
		{"too much", &publisher{body: append(authority(t, "one"), make([]byte, 5<<20)...)}},
		{"a redirection to clear text", &publisher{moved: "http://169.254.169.254/latest/"}},
	} {
		dir := t.TempDir()
		if _, err := newStore(dir, test.p).For(t.Context(), endpoint.RDS, "us-west-1"); !fault.Is(err, fault.ConnectionProblem) {
			t.Errorf("%s: %v", test.name, err)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%s was kept", test.name)
		}
		if asked := test.p.requests(); strings.Contains(asked, "http://") {
			t.Errorf("%s: asked %s", test.name, asked)
		}
	}
	if _, err := newStore(t.TempDir(), &publisher{}).For(t.Context(), endpoint.RDS, "../../etc/x"); !fault.Is(err, fault.BadParameter) {
		t.Errorf("a region that leads elsewhere: %v", err)
	}
}

// TestRefresh lets days pass.
func TestRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const url = "https://truststore.pki.rds.amazonaws.com/us-west-1/us-west-1-bundle.pem"
		one, two := authority(t, "one"), authority(t, "two")
		p := &publisher{body: one, tag: `"1"`}
		s := newStore(t.TempDir(), p)
		name(t, s, endpoint.RDS, "us-west-1")
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		running.Go(func() { s.Run(ctx) })
		defer func() {
			stop()
			running.Wait()
		}()
		for _, step := range []struct {
			name   string
			change func()
			after  time.Duration
			asked  string
			serves string
		}{
			{"the first download", func() {}, 0, "GET " + url, "one"},
			{"nothing is asked in the first hours", func() {}, 23 * time.Hour, "", "one"},
			{"after a day it is compared", func() {}, 2 * time.Hour, "HEAD " + url, "one"},
			{"the next day there is no way out", func() { p.away = true }, 25 * time.Hour, "", "one"},
			{"and it is compared as soon as there is", func() { p.away = false }, time.Hour, "HEAD " + url, "one"},
			{"a new one is downloaded", func() { p.body, p.tag = two, `"2"` }, 25 * time.Hour, "HEAD " + url + "\nGET " + url, "two"},
			{"what is no bundle replaces nothing, and is tried again every hour", func() { p.body, p.tag = []byte("oops"), `"3"` }, 24 * time.Hour,
				strings.Repeat("HEAD "+url+"\nGET "+url+"\n", 2), "two"},
		} {
			p.set(step.change)
			time.Sleep(step.after)
			synctest.Wait()
			if asked := p.requests(); asked != strings.TrimSpace(step.asked) {
				t.Errorf("%s: asked\n%s", step.name, asked)
			}
			if got := name(t, s, endpoint.RDS, "us-west-1"); got != step.serves {
				t.Errorf("%s: serves %s", step.name, got)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(authority(f, "one"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if certs, err := roots.Parse(data); (err == nil) != (len(certs) > 0) {
			t.Errorf("%d certificates, %v", len(certs), err)
		}
	})
}
