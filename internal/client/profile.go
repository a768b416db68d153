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

	"github.com/goccy/go-yaml"

	"sallyport/internal/ca"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
)

// Home is the folder in which tsh keeps logins, ~/.tsh unless TELEPORT_HOME says otherwise:
//
//	current-profile                                host of the proxy in use
//	<proxy host>.yaml                              profile
//	keys/<proxy host>/<user>.key, .crt             login
//	keys/<proxy host>/cas/<cluster>.pem            host authority: what clients trust as the server
//	keys/<proxy host>/certs.pem                    all authorities
//	keys/<proxy host>/<user>-db/<cluster>/<db>.key, .crt   database logins
//	keys/<proxy host>/<user>-db/proxy-localca.pem, .key    authority of local proxies
type Home struct{ dir string }

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

// OpenHome returns the folder. It is made by the first login.
func OpenHome(dir string) (Home, error) {
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return Home{}, fault.Wrap(fault.BadParameter, err, "there is no home directory; set TELEPORT_HOME to a folder for logins")
		}
		dir = filepath.Join(user, ".tsh")
	}
	return Home{dir}, nil
}

// ErrNotLoggedIn means that there is no profile to use.
var ErrNotLoggedIn = fault.New(fault.Unauthenticated, "Not logged in.")

// Current returns the profile of the proxy, or of the one in use when proxy is empty.
func (h Home) Current(proxy string) (*Profile, error) {
	host := ProxyHost(proxy)
	if host == "" {
		data, err := os.ReadFile(filepath.Join(h.dir, "current-profile"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNotLoggedIn
		}
		if err != nil {
			return nil, h.unreadable(err)
		}
		host = strings.TrimSpace(string(data))
	}
	return h.profile(host)
}

func (h Home) profile(host string) (*Profile, error) {
	if host == "" || strings.ContainsAny(host, "/\\") || strings.HasPrefix(host, ".") {
		return nil, ErrNotLoggedIn
	}
	data, err := os.ReadFile(filepath.Join(h.dir, host+".yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotLoggedIn
	}
	if err != nil {
		return nil, h.unreadable(err)
	}
	p := &Profile{home: h}
	if err := yaml.Unmarshal(data, p); err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the profile of %s cannot be read; log in again with tsh login --proxy=%s", host, host)
	}
	return p, nil
}

// Profiles returns all profiles, by host.
func (h Home) Profiles() ([]*Profile, error) {
	entries, err := os.ReadDir(h.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, h.unreadable(err)
	}
	var all []*Profile
	for _, entry := range entries {
		host, ok := strings.CutSuffix(entry.Name(), ".yaml")
		if !ok {
			continue
		}
		p, err := h.profile(host)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// unreadable says that logins cannot be looked for, which is not that there are none.
func (h Home) unreadable(err error) error {
	return fault.Wrap(fault.BadParameter, err, "the logins in %s cannot be read: %s; set TELEPORT_HOME to a folder of your own", h.dir, fault.Reason(err))
}

// ProxyHost returns the host of "host:port" or "host".
func ProxyHost(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// Save writes the profile with its login and makes it the one in use.
func (h Home) Save(p *Profile, c *Credentials) error {
	p.home, p.PostgresAddr, p.TLSRouting = h, p.WebProxyAddr, true
	data, err := yaml.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding profile: %w", err)
	}
	host := ProxyHost(p.WebProxyAddr)
	if err := p.writeKeyPair(p.loginPath(), c, false); err != nil {
		return err
	}
	if err := p.SaveAuthorities(c); err != nil {
		return err
	}
	return errors.Join(
		durable.WriteFile(filepath.Join(h.dir, host+".yaml"), data, 0o640),
		durable.WriteFile(filepath.Join(h.dir, "current-profile"), []byte(host), 0o640),
	)
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

// DatabasePaths returns the files of a database login, which may not exist.
func (p *Profile) DatabasePaths(service string) (cert, key string) {
	base := filepath.Join(p.databaseDir(), service)
	return base + ".crt", base + ".key"
}

// Credentials returns the login.
func (p *Profile) Credentials() (*Credentials, error) {
	c, err := p.readKeyPair(p.loginPath()+".crt", p.loginPath()+".key")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotLoggedIn
	}
	return c, err
}

// DatabaseCredentials returns a database login, or fs.ErrNotExist.
func (p *Profile) DatabaseCredentials(service string) (*Credentials, error) {
	cert, key := p.DatabasePaths(service)
	return p.readKeyPair(cert, key)
}

func (p *Profile) readKeyPair(certFile, keyFile string) (*Credentials, error) {
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
		return nil, fmt.Errorf("reading %s: %w", keyFile, err)
	}
	trust, err := p.readTrust()
	if err != nil {
		return nil, err
	}
	return NewCredentials(key, certPEM, trust)
}

func (p *Profile) readTrust() (*mtls.Trust, error) {
	data, err := os.ReadFile(filepath.Join(p.keys(), "certs.pem"))
	if err != nil {
		return nil, err
	}
	certs, err := ca.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("reading authorities: %w", err)
	}
	return trustOf(certs), nil
}

// SaveDatabase writes a database login. Clients of MongoDB want certificate and key in one file: in that of the certificate.
func (p *Profile) SaveDatabase(service string, c *Credentials) error {
	together := c.Identity.Route != nil && c.Identity.Route.Protocol == resource.ProtocolMongoDB
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

// Remove deletes the profile and all keys and certificates of its proxy, those of earlier users too: no
// profile leads to them.
func (h Home) Remove(p *Profile) error {
	host := ProxyHost(p.WebProxyAddr)
	if host == "" || host != filepath.Base(host) || strings.HasPrefix(host, ".") {
		return fault.New(fault.BadParameter, "the profile names no proxy; remove its files from %s by hand", h.dir)
	}
	err := errors.Join(os.RemoveAll(p.keys()), removeFile(filepath.Join(h.dir, host+".yaml")))
	current, readErr := os.ReadFile(filepath.Join(h.dir, "current-profile"))
	if readErr == nil && strings.TrimSpace(string(current)) == host {
		err = errors.Join(err, removeFile(filepath.Join(h.dir, "current-profile")))
	}
	return err
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
