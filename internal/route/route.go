// Package route names databases on the wire: in the TLS server name by which a proxy finds an agent, and
// in the application protocol that tells which language follows.
package route

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

const (
	infix          = ".db."
	protocolPrefix = "teleport-"
	idSize         = 32
)

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ID returns the 32 lower-case base32 characters by which a database service is known on the wire: the
// first 160 bits of the SHA-256 of its name. Any name becomes one valid DNS label.
func ID(service string) string {
	sum := sha256.Sum256([]byte(service))
	return encoding.EncodeToString(sum[:])[:idSize]
}

// ServerName returns the TLS server name of a database service in a cluster.
func ServerName(service, cluster string) string { return ID(service) + infix + cluster }

// Fold returns a server name in the one form in which names are compared: lower case, without the dot at
// the end of absolute names (RFC 4343; RFC 6066, section 3).
func Fold(serverName string) string { return strings.TrimSuffix(strings.ToLower(serverName), ".") }

// ParseServerName returns the id in a server name of the cluster's databases.
func ParseServerName(name, cluster string) (id string, ok bool) {
	id, ok = strings.CutSuffix(name, infix+cluster)
	return id, ok && len(id) == idSize
}

// Speaks reports whether a name that a client and a listener agreed on by ALPN is one of a database protocol. Native is
// libpq's own name for PostgreSQL's. Clients that offer none agree on none.
func Speaks(spoken, native, protocol string) bool {
	return spoken == "" || spoken == Protocol(protocol) || spoken == native && Protocol(protocol) == Protocol("postgres")
}

// Protocol returns the ALPN name of a database protocol. CockroachDB speaks PostgreSQL's.
func Protocol(protocol string) string {
	if protocol == "cockroachdb" {
		protocol = "postgres"
	}
	return protocolPrefix + protocol
}
