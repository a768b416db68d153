// Package roots gives the certificate authorities of databases in AWS. Bundles are downloaded once, kept in the
// data directory, and compared with what AWS publishes every day; without a way to the Internet the kept ones
// serve.
package roots

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

// Config is what a Store is made of. All fields must be set.
type Config struct {
	Dir    string // of the kept bundles; made when needed
	Client *http.Client
	Logger *slog.Logger
	Now    func() time.Time
}

// Store gives authorities. Safe for concurrent use.
type Store struct {
	cfg    Config
	client *http.Client

	mu      sync.Mutex
	bundles map[string]*bundle // by name of the source; guarded by mu
}

// bundle is one set of authorities.
type bundle struct {
	source source

	loading chan struct{} // holds one token: whoever has it reads or downloads
	mu      sync.Mutex
	certs   []*x509.Certificate // nil until known; guarded by mu
	since   time.Time           // of the download; guarded by mu
	checked time.Time           // when it was last found to be current; guarded by mu
}

// Authorities are what certificates of a database may come from.
type Authorities struct {
	Certificates []*x509.Certificate // shared; must not be changed
	System       bool                // those of the system are it
	From         string              // in words
}

const (
	// RefreshEvery is how old the last comparison with the published bundle gets.
	RefreshEvery = 24 * time.Hour

	retryEvery      = time.Hour
	downloadTimeout = 20 * time.Second
	maxBundle       = 4 << 20
)

// New returns a store that has read nothing yet.
func New(cfg Config) *Store {
	client := *cfg.Client
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" || len(via) > 3 {
			return errors.New("redirected to a place that is not trusted")
		}
		return nil
	}
	return &Store{cfg: cfg, client: &client, bundles: make(map[string]*bundle)}
}

// For returns the authorities of a kind of database in a region. It downloads them if they were never
// downloaded before. The error is a fault.
func (s *Store) For(ctx context.Context, t endpoint.Type, region string) (Authorities, error) {
	if !endpoint.IsRegion(region) {
		return Authorities{}, fault.New(fault.BadParameter, "%q is not a region of AWS; correct aws.region", region)
	}
	src, ok := sourceOf(t, region)
	if !ok {
		return Authorities{System: true, From: "the authorities of the agent's system"}, nil
	}
	b := s.bundle(src)
	certs, since := b.known()
	if certs == nil {
		if err := s.load(ctx, b); err != nil {
			return Authorities{}, fault.Wrap(fault.ConnectionProblem, err,
				"the certificate authorities of %s in %s cannot be downloaded from %s: %s; let the agent reach that address, or download the file elsewhere and name it in tls.ca_cert_file of the database",
				t, region, src.url, reason(err))
		}
		certs, since = b.known()
	}
	return Authorities{Certificates: certs, From: fmt.Sprintf("the authorities in %s, downloaded %s", src.url, since.UTC().Format(time.DateOnly))}, nil
}

func (s *Store) bundle(src source) *bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bundles[src.name]
	if b == nil {
		b = &bundle{source: src, loading: make(chan struct{}, 1)}
		s.bundles[src.name] = b
	}
	return b
}

func (b *bundle) known() ([]*x509.Certificate, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.certs, b.since
}

// load reads the kept bundle, or downloads it.
func (s *Store) load(ctx context.Context, b *bundle) error {
	select {
	case b.loading <- struct{}{}:
		defer func() { <-b.loading }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if certs, _ := b.known(); certs != nil {
		return nil // by another, while we waited
	}
	if data, err := os.ReadFile(s.path(b, ".pem")); err == nil {
		certs, err := Parse(data)
		if err == nil {
			b.set(certs, modified(s.path(b, ".pem"), s.cfg.Now()), modified(s.path(b, ".version"), time.Time{}))
			return nil
		}
		s.cfg.Logger.Warn("kept certificate authorities are damaged; downloading them again", "file", s.path(b, ".pem"), "error", err)
	}
	return s.download(ctx, b)
}

func (b *bundle) set(certs []*x509.Certificate, since, checked time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.certs, b.since, b.checked = certs, since, checked
}

func modified(path string, otherwise time.Time) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return otherwise
	}
	return info.ModTime()
}

func (s *Store) path(b *bundle, ending string) string {
	return filepath.Join(s.cfg.Dir, b.source.name+ending)
}

// Parse reads a bundle of certificates in PEM. Anything that is not a certificate is an error: it is then not
// the file that was meant.
func Parse(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a %s is in the bundle", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing certificate %d of the bundle: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate is in the bundle")
	}
	return certs, nil
}

func (s *Store) keep(b *bundle, data []byte, version string) error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(s.path(b, ".pem"), data, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(s.path(b, ".version"), []byte(version), 0o600)
}
