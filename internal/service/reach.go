package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"sallyport/internal/cache"
	"sallyport/internal/detour"
	"sallyport/internal/resource"
)

// attemptTime is how long an address may take to answer while there are others to try.
const attemptTime = 3 * time.Second

// reach is the ways to the auth server: the addresses of the configuration, then those of the proxies that the
// cluster knows. One that failed is tried after those that did not. Safe for concurrent use.
type reach struct {
	configured []string
	dialer     *detour.Dialer
	now        func() time.Time

	mu     sync.Mutex
	known  func() []string      // addresses of the cluster's proxies; nil while they are not known; guarded by mu
	failed map[string]time.Time // last failures of addresses that did not work since; guarded by mu
}

// learn says where further addresses come from.
func (r *reach) learn(known func() []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = known
}

// addresses returns all addresses in the order in which they are to be tried.
func (r *reach) addresses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.configured)
	if r.known != nil {
		for _, address := range r.known() {
			if !slices.Contains(all, address) {
				all = append(all, address)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return r.failed[a].Compare(r.failed[b]) })
	return all
}

// note keeps whether an address worked.
func (r *reach) note(address string, works bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if works {
		delete(r.failed, address)
		return
	}
	if r.failed == nil {
		r.failed = make(map[string]time.Time)
	}
	r.failed[address] = r.now()
}

// dial opens a connection that leads to the auth server: directly, or through a proxy, which tells it by its
// protocol.
func (r *reach) dial(ctx context.Context) (net.Conn, error) { return first(ctx, r, r.dialer.Dial) }

// dialTLS is dial for this process's own calls: an address at which somebody listens, but through which nothing
// comes back, counts as failed too.
func (r *reach) dialTLS(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
	return first(ctx, r, func(ctx context.Context, address string) (*tls.Conn, error) {
		conn, err := r.dialer.DialTLS(ctx, address, cfg)
		if err == nil {
			r.note(address, true)
		}
		return conn, err
	})
}

// first returns what can be opened at the first address that works.
func first[C any](ctx context.Context, r *reach, open func(ctx context.Context, address string) (C, error)) (conn C, err error) {
	var failures []error
	addresses := r.addresses()
	for i, address := range addresses {
		attempt, cancel := context.WithCancel(ctx)
		if i < len(addresses)-1 {
			attempt, cancel = context.WithTimeout(ctx, attemptTime)
		}
		conn, err = open(attempt, address)
		cancel()
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
		r.note(address, false)
		if ctx.Err() != nil {
			break
		}
	}
	if len(failures) == 0 {
		return conn, errors.New("no address of the cluster is known")
	}
	return conn, fmt.Errorf("no address of the cluster answers: %w", errors.Join(failures...))
}

// proxyAddresses returns the addresses of the cluster's other proxies. While the auth server is away they are
// those that were known last.
func (d *daemon) proxyAddresses() []string {
	var addresses []string
	if d.cfg.ProxyAddr != "" && !d.cfg.Proxy.Enabled {
		addresses = append(addresses, d.cfg.ProxyAddr)
	}
	for _, proxy := range cache.ListKnown[*resource.Proxy](d.cache, resource.KindProxy) {
		if address := proxy.Spec.PublicAddr; proxy.GetName() != d.hostID && !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// newReach returns the configured ways to the auth server.
func (d *daemon) newReach() *reach {
	r := &reach{dialer: d.dialer, now: d.now}
	for _, address := range append([]string{d.cfg.AuthAddr, d.cfg.ProxyAddr}, d.cfg.OtherAddrs...) {
		if address != "" {
			r.configured = append(r.configured, address)
		}
	}
	return r
}

// authProxies returns the proxies through which the auth server may be reached. A proxy itself uses none: two
// that lost sight of the auth server would pass a connection to and fro.
func (d *daemon) authProxies() []string {
	if d.cfg.Proxy.Enabled {
		return nil
	}
	return d.proxyAddresses()
}
