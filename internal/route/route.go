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

	// NativePostgres is the ALPN name that libpq offers for TLS from the first byte (PostgreSQL 17, "SSL Session
	// Encryption").
	NativePostgres = "postgresql"
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

// Speaks reports whether a name that a client and a listener agreed on by ALPN is one of a database protocol. Clients that
// offer none agree on none.
func Speaks(spoken, protocol string) bool {
	return spoken == "" || spoken == Protocol(protocol) || spoken == NativePostgres && Protocol(protocol) == Protocol("postgres")
}

// IsProtocol reports whether an ALPN name is one that clients of databases offer.
func IsProtocol(name string) bool {
	return strings.HasPrefix(name, protocolPrefix) || name == NativePostgres
}

// Protocol returns the ALPN name of a database protocol. CockroachDB speaks PostgreSQL's.
func Protocol(protocol string) string {
	if protocol == "cockroachdb" {
		protocol = "postgres"
	}
	return protocolPrefix + protocol
}
