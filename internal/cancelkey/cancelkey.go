// Package cancelkey names a running session in a request to cancel what it is doing, which arrives on another
// connection than the session's own.
package cancelkey

import "crypto/rand"

// Key names a session: the number by which the client knows it, and a secret that only the client has.
type Key struct {
	// Protocol is that of the session, as resource.ProtocolPostgres. Whoever takes the request from a client states it,
	// for the client does not: no other protocol's sessions are found by the key.
	Protocol      string
	ProcessID     uint32
	Secret        []byte
	ClientAddress string // host:port of whoever asks, for the limit on guessing
	Request       ID     // of the request that shows the key
}

// ID names one request, whose key several agents are asked for.
type ID [16]byte

// NewID returns an id for a request that just came in.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return id
}
