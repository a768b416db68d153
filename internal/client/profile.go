package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/internal/ca"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
)

// Profile is one login.
type Profile struct {
	WebProxyAddr  string `yaml:"web_proxy_addr"`      // host:port
	PostgresAddr  string `yaml:"postgres_proxy_addr"` // host:port for clients of PostgreSQL: the same, as one port serves all
	User          string `yaml:"user"`
	Cluster       string `yaml:"cluster"`
	TLSRouting    bool   `yaml:"tls_routing_enabled"`
	AuthConnector string `yaml:"auth_connector"` // how the user logged in
	MFAMode       string `yaml:"mfa_mode"`
	Insecure      bool   `yaml:"insecure,omitempty"` // logged in with --insecure: the web certificate is not verified
	// Detours says that something in front of the proxy ends TLS.
	Detours bool `yaml:"tls_routing_conn_upgrade_required,omitempty"`

	home Home
}

// ProxyHost returns the host of "host:port" or "host".
func ProxyHost(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// SaveAuthorities writes what the holder of the credentials trusts.
func (p *Profile) SaveAuthorities(c *Credentials) error {
	if err := os.MkdirAll(filepath.Dir(p.CAPath()), 0o700); err != nil {
		return fmt.Errorf("keeping login: %w", err)
	}
	return errors.Join(
		durable.WriteFile(p.CAPath(), c.AuthoritiesPEM(ca.HostCA), 0o640),
		durable.WriteFile(filepath.Join(p.keys(), "certs.pem"), c.AuthoritiesPEM(ca.Types...), 0o640),
	)
}

// writeKeyPair writes two files; together says that the key is wanted in that of the certificate as well.
func (p *Profile) writeKeyPair(path string, c *Credentials, together bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keeping login: %w", err)
	}
	key, err := ca.EncodeKey(c.Key)
	if err != nil {
		return err
	}
	cert := ca.EncodeCertificate(c.Cert.Raw)
	if together {
		cert = append(cert, key...)
	}
	return errors.Join(
		durable.WriteFile(path+".key", key, 0o600),
		durable.WriteFile(path+".crt", cert, 0o600),
	)
}

func (p *Profile) keys() string {
	return filepath.Join(p.home.dir, "keys", ProxyHost(p.WebProxyAddr))
}

func (p *Profile) loginPath() string { return filepath.Join(p.keys(), p.User) }

// CAPath returns the file that database clients trust as the server's authority.
func (p *Profile) CAPath() string { return filepath.Join(p.keys(), "cas", p.Cluster+".pem") }

func (p *Profile) databaseDir() string {
	return filepath.Join(p.keys(), p.User+"-db", p.Cluster)
}

// LocalCAPath returns the file with the authority of local proxies, which may not exist.
func (p *Profile) LocalCAPath() string {
	return filepath.Join(p.keys(), p.User+"-db", "proxy-localca.pem")
}

// WebCertificatePath returns the file with the proxy's web certificate for clients of logins that do not verify it otherwise. It may
// not exist.
func (p *Profile) WebCertificatePath() string {
	return filepath.Join(p.keys(), p.User+"-db", "proxy-web.pem")
}

// DatabasePaths returns the files of a database login, which may not exist.
func (p *Profile) DatabasePaths(service string) (cert, key string) {
	base := filepath.Join(p.databaseDir(), service)
	return base + ".crt", base + ".key"
}

// Credentials returns the login.
func (p *Profile) Credentials() (*Credentials, error) {
	c, err := p.readKeyPair(p.loginPath()+".crt", p.loginPath()+".key", "tsh login")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotLoggedIn
	}
	return c, err
}

// DatabaseCredentials returns a database login, or fs.ErrNotExist.
func (p *Profile) DatabaseCredentials(service string) (*Credentials, error) {
	cert, key := p.DatabasePaths(service)
	return p.readKeyPair(cert, key, "tsh db login "+service)
}

// readKeyPair reads files that a command has written.
func (p *Profile) readKeyPair(certFile, keyFile, command string) (*Credentials, error) {
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := ca.ParseKey(keyPEM)
	if err != nil {
		return nil, damaged(keyFile, err, command)
	}
	trust, err := p.readTrust()
	if err != nil {
		return nil, err
	}
	c, err := NewCredentials(key, certPEM, trust)
	if err != nil {
		return nil, damaged(certFile, err, command)
	}
	return c, nil
}

func (p *Profile) readTrust() (*mtls.Trust, error) {
	file := filepath.Join(p.keys(), "certs.pem")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := ca.ParseCertificates(data)
	if err != nil {
		return nil, damaged(file, err, "tsh login")
	}
	return trustOf(certs), nil
}

func damaged(file string, err error, command string) error {
	return fault.Wrap(fault.BadParameter, err, "%s is damaged: %s; write it anew with %s", file, err, command)
}

// SaveDatabase writes a database login. Clients that want certificate and key in one file find both in that of the certificate.
func (p *Profile) SaveDatabase(service string, c *Credentials) error {
	together := c.Identity.Route != nil && resource.ProtocolNamed(c.Identity.Route.Protocol).KeyBesideCertificate
	return p.writeKeyPair(filepath.Join(p.databaseDir(), service), c, together)
}

// RemoveDatabase removes a database login and reports whether there was one.
func (p *Profile) RemoveDatabase(service string) (bool, error) {
	cert, key := p.DatabasePaths(service)
	err := os.Remove(cert)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, errors.Join(err, os.Remove(key))
}

// Databases returns the database logins that can be read, by name.
func (p *Profile) Databases() ([]*Credentials, error) {
	paths, err := filepath.Glob(filepath.Join(p.databaseDir(), "*.crt"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var all []*Credentials
	for _, path := range paths {
		c, err := p.DatabaseCredentials(strings.TrimSuffix(filepath.Base(path), ".crt"))
		if err != nil || c.Identity.Route == nil {
			continue // a file that is not ours, or half removed
		}
		all = append(all, c)
	}
	return all, nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
