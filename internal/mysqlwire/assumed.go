package mysqlwire

import (
	"io"
	"regexp"
	"strings"
)

// Handshake are the flags of a handshake with a client, whatever its database can.
const Handshake = Protocol41 | SecureConnection | PluginAuth | LongAuthData | ConnectWithDB | ConnectAttrs

// What is assumed of a database that is not known yet.
const (
	// AssumedVersion is shown to clients.
	AssumedVersion = "8.0.0-Sallyport"
	// AssumedCollation is utf8mb4_general_ci.
	AssumedCollation = 45
	// AssumedFlags are what every server has since 5.5.
	AssumedFlags = LongPassword | FoundRows | LongFlag | ConnectWithDB | NoSchema | ODBC | IgnoreSpace | Protocol41 | Interactive |
		IgnoreSIGPIPE | Transactions | Reserved | SecureConnection | MultiStatements | MultiResults | PSMultiResults
)

// StatusAutocommit is the status of a session at its beginning.
const StatusAutocommit uint16 = 1 << 1

// Numbers of connections that clients are greeted with before their database gives them one begin here and end before
// twice that: far from those that servers give, which count from 1.
const FirstShown = 1 << 30

// GreetingOf returns the greeting that begins a session, but for flags of TLS. The nonce has NonceSize bytes.
func GreetingOf(version string, flags Flags, collation byte, connection uint32, nonce []byte) *Greeting {
	method := CachingSHA2
	if IsMariaDB(version) {
		method = NativePassword
	}
	return &Greeting{Version: version, Connection: connection, Flags: flags, Collation: collation, Status: StatusAutocommit, Nonce: nonce, Method: method}
}

var plainVersion = regexp.MustCompile(`^[0-9][-0-9A-Za-z.+~_]{0,63}$`)

// IsVersion reports whether a text looks like the version of a server, and a short one.
func IsVersion(text string) bool { return plainVersion.MatchString(text) }

// IsMariaDB reports whether a version is one of MariaDB's.
func IsMariaDB(version string) bool { return strings.Contains(version, "MariaDB") }

// NewNonce returns what clients scramble passwords with: no zeros, and no dollar sign, as servers do.
func NewNonce(random io.Reader) ([]byte, error) {
	nonce := make([]byte, NonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, err
	}
	for i := range nonce {
		if nonce[i] &= 0x7f; nonce[i] == 0 || nonce[i] == '$' {
			nonce[i]++
		}
	}
	return nonce, nil
}
