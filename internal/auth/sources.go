package auth

import (
	"context"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/peer"
	"sallyport/internal/quota"
)

// quotas bounds what callers may do.
type quotas struct {
	strangers    *quota.Quota // by source
	certificates *quota.Quota // by user
	searches     *quota.Quota // of the audit log, by user
}

func newQuotas(now func() time.Time) quotas {
	const sources, users = 100_000, 10_000
	return quotas{
		strangers:    quota.New(quota.Config{PerMinute: 20, Burst: 40, Keys: sources, Now: now}),
		certificates: quota.New(quota.Config{PerMinute: 60, Burst: 60, Keys: users, Now: now}),
		searches:     quota.New(quota.Config{PerMinute: 10 * 60, Burst: 20, Keys: users, Now: now}),
	}
}

// allowStranger counts a call of somebody who has shown no certificate.
func (a *Authority) allowStranger(source string) error {
	if !a.quotas.strangers.Take(peer.Source(source)) {
		return fault.New(fault.LimitExceeded, "too many attempts from your address; wait a minute and try again")
	}
	return nil
}

type peerKey struct{}

// WithPeer returns a context that carries the address from which a call comes: of the TCP peer, or of the client whom a
// proxy has introduced.
func WithPeer(ctx context.Context, addr string) context.Context {
	return context.WithValue(ctx, peerKey{}, addr)
}

// peerOf returns the address from which a call comes, "host:port", or "" when it is made within the process.
func peerOf(ctx context.Context) string {
	address, _ := ctx.Value(peerKey{}).(string)
	return address
}

// sourceOf returns the address of the person or host for whom a call is made: as stated by a proxy, whom the table lets
// state it, or else that of the call.
func sourceOf(ctx context.Context, stated string) string {
	if c := callerOf(ctx); stated != "" && c != nil && c.id != nil && c.id.HasSystemRole("Proxy") {
		return stated
	}
	return peerOf(ctx)
}
