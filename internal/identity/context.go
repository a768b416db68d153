package identity

import "context"

type contextKey struct{}

// NewContext returns a context that carries the caller's verified identity.
func NewContext(ctx context.Context, id *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the verified identity of the caller, or nil for a caller without a certificate.
func FromContext(ctx context.Context) *Identity {
	id, _ := ctx.Value(contextKey{}).(*Identity)
	return id
}
