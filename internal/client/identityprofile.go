package client

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// identities is the folder of what is stored for identity files.
const identities = "identities"

// ForIdentity returns a profile in whose folder the files of database logins go that are made with an
// identity file. It is not listed among the logins; each identity file has a folder of its own.
func (h Home) ForIdentity(path, proxy string, c *Credentials) *Profile {
	sum := sha256.Sum256([]byte(path))
	own := Home{filepath.Join(h.dir, identities, hex.EncodeToString(sum[:8]))}
	return &Profile{WebProxyAddr: proxy, User: c.Identity.Name, Cluster: c.Identity.Cluster, TLSRouting: true, home: own}
}

// Identities returns profiles of the identity files with which somebody has logged in to databases. The files themselves may be gone.
func (h Home) Identities() ([]*Profile, error) {
	home := os.DirFS(h.dir) // whose path may have characters of patterns
	folders, err := fs.Glob(home, identities+"/*/keys/*/*-db/*")
	if err != nil {
		return nil, err
	}
	var all []*Profile
	for _, folder := range folders {
		if info, err := fs.Stat(home, folder); err != nil || !info.IsDir() {
			continue
		}
		words := strings.Split(folder, "/")
		all = append(all, &Profile{WebProxyAddr: words[3], User: strings.TrimSuffix(words[4], "-db"), Cluster: words[5], TLSRouting: true,
			home: Home{filepath.Join(h.dir, filepath.FromSlash(path.Join(words[:2]...)))}})
	}
	return all, nil
}

// RemoveIdentities deletes all that is stored for identity files.
func (h Home) RemoveIdentities() error { return os.RemoveAll(filepath.Join(h.dir, identities)) }
