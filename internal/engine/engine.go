// Package engine defines what speaks one database protocol between a client and a database.
package engine

import (
	"context"
	"net"

	"sallyport/internal/cancelkey"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Engine serves clients of one protocol.
//
// Serve gets a context that ends for a stated cause, the client's connection, authenticated and
// decrypted, and a session that holds the only door to the database. It speaks to the client, touching
// nothing else, until it knows what the client wants; calls Open once; tells a refusal in the client's own
// protocol; hands every command to Record before forwarding it; and returns when the context ends or
// either side closes, leaving no goroutine behind: nil for an ordinary goodbye, otherwise the first real
// cause. It closes neither connection: the agent closes the client, the session the database.
type Engine interface {
	Serve(ctx context.Context, client net.Conn, s *session.Session) error
}

// Canceller is an engine whose protocol cancels a running command over another connection.
type Canceller interface {
	// FindCancel returns what cancels what the session of the key is running, to be called once; nil when it knows no
	// such key, or the source asks too often.
	FindCancel(key cancelkey.Key) func(context.Context)
	// CancelFound notes that somebody else knows the key of a request that this one has passed on.
	CancelFound(request cancelkey.ID)
}

// Checker is an engine that can log in to a database without a client, to find out whether that works.
type Checker interface {
	// Check opens the probe, logs in, tells the probe what it found, and hangs up. It sends the database nothing
	// beyond the login. It returns the first thing that went wrong, which it has told. The caller closes the probe.
	Check(ctx context.Context, p *session.Probe) error
}

// Greeted is an engine whose protocol begins in clear, so that a proxy may have said its first words.
type Greeted interface {
	// ServeGreeted is Engine.Serve for a client that a proxy has sent the greeting, that has asked for TLS then, and that
	// goes on inside it.
	ServeGreeted(ctx context.Context, client net.Conn, s *session.Session, greeting []byte) error
}

// Scout is an engine that greets clients as their database would, and has to know that greeting before it may dial the
// database for them.
type Scout interface {
	// Look connects to a database that it does not know yet, reads what that says first, and hangs up. It sends
	// nothing. Safe for concurrent use.
	Look(ctx context.Context, db *resource.Database, dial func(ctx context.Context, network, address string) (net.Conn, error)) error
}

// Seeker is an engine whose databases may be at several addresses, or at one that their URI names in its own way.
type Seeker interface {
	// Addresses returns where a database of one's own is, host:port. It can be used when it can be reached at any of them.
	Addresses(ctx context.Context, db *resource.Database) ([]string, error)
}

// Shaker is an engine that can try the TLS of databases without an account.
type Shaker interface {
	// Harmless reports whether the database takes a handshake without an account as nothing out of the ordinary: it
	// neither counts it as a failed login or connection, nor complains of it in its log.
	Harmless(db *resource.Database) bool
	// AskForTLS has the database agree to TLS on a fresh connection. Where TLS comes before anything else, it does nothing.
	AskForTLS(up *session.Upstream) error
}
