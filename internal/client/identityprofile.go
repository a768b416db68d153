package client

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// ForIdentity returns a profile in whose folder the files of database logins go that are made with an
// identity file. It is not listed among the logins; each identity file has a folder of its own.
func (h Home) ForIdentity(path, proxy string, c *Credentials) *Profile {
	sum := sha256.Sum256([]byte(path))
	own := Home{filepath.Join(h.dir, "identities", hex.EncodeToString(sum[:8]))}
	return &Profile{WebProxyAddr: proxy, User: c.Identity.Name, Cluster: c.Identity.Cluster, TLSRouting: true, home: own}
}
