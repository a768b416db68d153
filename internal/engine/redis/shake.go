package redis

import (
	"context"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Harmless implements engine.Shaker. A server that wants a certificate of its clients (tls-auth-clients) logs a warning for each that
// has none; those in AWS want none.
func (e *Engine) Harmless(db *resource.Database) bool { return db.InAWS() }

// AskForTLS implements engine.Shaker: TLS comes first.
func (e *Engine) AskForTLS(*session.Upstream) error { return nil }

// Addresses implements engine.Seeker. Of a cluster it is the node that the URI names: sessions begin there.
func (e *Engine) Addresses(_ context.Context, db *resource.Database) ([]string, error) {
	place, err := db.RedisPlace()
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the uri cannot be used: %s", err)
	}
	return []string{place.Address}, nil
}
