// Package cancelkey names a running session in a request to cancel what it is doing, which arrives on another
// connection than the session's own.
package cancelkey

import (
	"crypto/rand"
	"encoding/hex"

	"sallyport/internal/peer"
	"sallyport/internal/resource"
)

// Key names a session: the number by which the client knows it, and a secret that only the client has.
type Key struct {
	// Protocol is that of the session, as resource.ProtocolPostgres. Whoever takes the request from a client states it,
	// for the client does not: no other protocol's sessions are found by the key.
	Protocol      string
	ProcessID     uint32
	Secret        []byte
	ClientAddress string // host:port of whoever asks
	Request       ID     // of the request that shows the key
}

// Source returns who asks, for the limit on guessing: of strangers all that is known is their address. Where an agent names the user
// and the database in place of a secret, users of one address do not stand for each other.
func (k *Key) Source() string {
	if resource.ProtocolNamed(k.Protocol).Asker == resource.AskerByOwner {
		return "owner " + hex.EncodeToString(k.Secret[:max(len(k.Secret)-1, 0)]) // the last byte says what to kill
	}
	return peer.Source(k.ClientAddress)
}

// ID names one request, whose key several agents are asked for.
type ID [16]byte

// NewID returns an id for a request that just came in.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return id
}
