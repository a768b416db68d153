// Package cancelkey names a running session in a request to cancel what it is doing, which arrives on another
// connection than the session's own.
package cancelkey

// Key names a session: the number by which the client knows it, and a secret that only the client has.
type Key struct {
	ProcessID     uint32
	Secret        []byte
	ClientAddress string // host:port of whoever asks, for the limit on guessing
}
