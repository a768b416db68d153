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
	strangers    *quota.Quota // attempts, by source
	questions    *quota.Quota // of strangers who ask what anyone may know, by source
	certificates *quota.Quota // by user
	searches     *quota.Quota // of the audit log, by user
	warnings     *quota.Quota // in the log about what strangers can repeat, by source
}

func newQuotas(strangers quota.Rate, now func() time.Time) quotas {
	const sources, users = 100_000, 10_000
	return quotas{
		strangers:    quota.New(quota.Config{Rate: strangers, Keys: sources, Now: now}),
		questions:    quota.New(quota.Config{Rate: strangers, Keys: sources, Now: now}),
		certificates: quota.New(quota.Config{Rate: quota.Rate{PerMinute: 60, Burst: 60}, Keys: users, Now: now}),
		searches:     quota.New(quota.Config{Rate: quota.Rate{PerMinute: 10 * 60, Burst: 20}, Keys: users, Now: now}),
		warnings:     quota.New(quota.Config{Rate: quota.Rate{PerMinute: 1, Burst: 1}, Keys: 100, Now: now}),
	}
}

// allowStranger counts a call of somebody who has shown no certificate.
func (a *Authority) allowStranger(source string) error {
	if !a.quotas.strangers.Take(peer.Source(source)) {
		return fault.New(fault.LimitExceeded, "too many attempts from your address; wait a minute and try again")
	}
	return nil
}

// allowQuestion counts a call that anyone may make, if it is a stranger's. It is apart from attempts, so that programs
// which ask often keep nobody behind the same address from logging in.
func (a *Authority) allowQuestion(ctx context.Context) error {
	if callerOf(ctx).id == nil && !a.quotas.questions.Take(peer.Source(peerOf(ctx))) {
		return fault.New(fault.LimitExceeded, "too many calls from your address; wait a few seconds and try again")
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
