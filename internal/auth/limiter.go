package auth

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sallyport/internal/fault"
)

// What strangers may do from one source (an IPv4 address or an IPv6 /64).
const (
	strangerRate  = rate.Limit(20.0 / 60)
	strangerBurst = 40
	maxSources    = 100_000 // kept at once
)

// limiter bounds calls by source. Safe for concurrent use.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	sources map[string]*rate.Limiter // guarded by mu
	swept   time.Time                // guarded by mu
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, sources: make(map[string]*rate.Limiter)}
}

// allow counts a call and refuses when there were too many.
func (l *limiter) allow(source string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.sweep(now)
	src := l.sources[sourcePrefix(source)]
	if src == nil {
		src = rate.NewLimiter(strangerRate, strangerBurst)
		l.sources[sourcePrefix(source)] = src
	}
	if !src.AllowN(now, 1) {
		return fault.New(fault.LimitExceeded, "too many attempts from your address; wait a minute and try again")
	}
	return nil
}

// sweep forgets sources whose allowance is full again.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute && len(l.sources) < maxSources {
		return
	}
	l.swept = now
	for source, src := range l.sources {
		if src.TokensAt(now) >= strangerBurst {
			delete(l.sources, source)
		}
	}
}

func sourcePrefix(source string) string {
	if host, _, err := net.SplitHostPort(source); err == nil {
		source = host
	}
	addr, err := netip.ParseAddr(source)
	if err != nil || addr.Unmap().Is4() {
		return source
	}
	prefix, _ := addr.Prefix(64)
	return prefix.String()
}

type peerKey struct{}

// WithPeer returns a context that carries the address of the TCP peer of a call.
func WithPeer(ctx context.Context, addr string) context.Context {
	return context.WithValue(ctx, peerKey{}, addr)
}

// sourceOf returns the client's address of a call: as stated by a proxy, whom the table lets state it,
// or else the TCP peer.
func sourceOf(ctx context.Context, stated string) string {
	if c := callerOf(ctx); stated != "" && c != nil && c.id != nil && c.id.HasSystemRole("Proxy") {
		return stated
	}
	peer, _ := ctx.Value(peerKey{}).(string)
	return peer
}
