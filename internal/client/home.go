package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"sallyport/internal/durable"
	"sallyport/internal/fault"
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
//	identities/<file>/keys/...                     the same of database logins with an identity file
type Home struct{ dir string }

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
var ErrNotLoggedIn = fault.New(fault.Unauthenticated, "Not logged in. Run tsh login --proxy=HOST:PORT first.")

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
