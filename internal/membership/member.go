// Package membership is a host's place in the cluster: its id, its key and certificate, and what it
// trusts. It joins with a token once, keeps what it got on disk, and renews it.
package membership

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/durable"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
)

// Member is a host of a cluster. Safe for concurrent use.
type Member struct {
	path string // of the file that keeps it; empty for a member that is not kept

	mu    sync.RWMutex
	id    *identity.Identity // guarded by mu
	cert  *tls.Certificate   // guarded by mu
	trust *mtls.Trust        // guarded by mu
}

// stored is the file's form. It holds the private key: mode 0600.
type stored struct {
	Cluster     string              `json:"cluster"`
	Key         string              `json:"key"`
	Certificate string              `json:"certificate"`
	Authorities map[string][]string `json:"authorities"`
}

// HostID reads the host's id from the data directory, making one when there is none.
func HostID(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "host_uuid")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := uuid.NewString()
		return id, durable.WriteFile(path, []byte(id), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("reading host id: %w", err)
	}
	id, err := uuid.Parse(strings.TrimSpace(string(data)))
	if err != nil {
		return "", fmt.Errorf("%s does not hold a UUID: restore it, or remove the data directory to join anew", path)
	}
	return id.String(), nil
}

// New returns a member that exists in memory only: one of the process that holds the authorities.
func New(id *identity.Identity, cert *tls.Certificate, trust *mtls.Trust) *Member {
	return &Member{id: id, cert: cert, trust: trust}
}

// Load reads the member that was kept at path, or fs.ErrNotExist.
func Load(path string) (*Member, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file stored
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	key, err := ca.ParseKey([]byte(file.Key))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	trust := &mtls.Trust{Cluster: file.Cluster, Authorities: make(map[ca.Type][]*x509.Certificate)}
	for typ, pems := range file.Authorities {
		for _, pem := range pems {
			cert, err := ca.ParseCertificate([]byte(pem))
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", path, err)
			}
			trust.Authorities[ca.Type(typ)] = append(trust.Authorities[ca.Type(typ)], cert)
		}
	}
	m := &Member{path: path}
	return m, m.set(key, []byte(file.Certificate), trust)
}

// set takes a certificate into use.
func (m *Member) set(key crypto.Signer, certPEM []byte, trust *mtls.Trust) error {
	leaf, err := ca.ParseCertificate(certPEM)
	if err != nil {
		return err
	}
	id, err := identity.FromCertificate(leaf)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id, m.trust = id, trust
	m.cert = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	return nil
}

// Replace takes the certificate and trust of another member, which was made for the same host.
func (m *Member) Replace(other *Member) {
	other.mu.RLock()
	defer other.mu.RUnlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.id, m.cert, m.trust = other.id, other.cert, other.trust
}

// Identity returns who the host is. It must not be changed.
func (m *Member) Identity() *identity.Identity {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.id
}

// Certificate implements mtls.Certificate.
func (m *Member) Certificate(string) (*tls.Certificate, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.cert, nil
}

// Trust implements mtls.Source.
func (m *Member) Trust() *mtls.Trust {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.trust
}

// save keeps the member on disk.
func (m *Member) save() error {
	if m.path == "" {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	key, err := ca.EncodeKey(m.cert.PrivateKey.(crypto.Signer))
	if err != nil {
		return err
	}
	file := stored{
		Cluster: m.trust.Cluster, Key: string(key), Certificate: string(ca.EncodeCertificate(m.cert.Certificate[0])),
		Authorities: make(map[string][]string),
	}
	for typ, certs := range m.trust.Authorities {
		for _, cert := range certs {
			file.Authorities[string(typ)] = append(file.Authorities[string(typ)], string(ca.EncodeCertificate(cert.Raw)))
		}
	}
	data, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("encoding host identity: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return fmt.Errorf("keeping host identity: %w", err)
	}
	return durable.WriteFile(m.path, data, 0o600)
}

// renewAt returns when the certificate is to be renewed: at half of its life.
func (m *Member) renewAt() time.Time {
	id := m.Identity()
	return id.Issued.Add(id.Expires.Sub(id.Issued) / 2)
}

// Renewer is the part of the API that renews.
type Renewer interface {
	RenewHostCertificate(context.Context, *sallyportv1.RenewHostCertificateRequest) (*sallyportv1.RenewHostCertificateResponse, error)
}
