package mongodb

import (
	"context"

	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Harmless implements engine.Shaker. A server that wants a certificate of its clients logs an error for each that has none; those
// in AWS want none.
func (e *Engine) Harmless(db *resource.Database) bool { return db.InAWS() }

// AskForTLS implements engine.Shaker: TLS comes first.
func (e *Engine) AskForTLS(*session.Upstream) error { return nil }

// Addresses implements engine.Seeker.
func (e *Engine) Addresses(ctx context.Context, db *resource.Database) ([]string, error) {
	place, err := e.placeOf(db)
	if err != nil {
		return nil, err
	}
	return place.seeds(ctx)
}
