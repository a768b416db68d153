package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"sallyport/internal/cache"
	"sallyport/internal/resource"
)

// attemptTime is how long an address may take to answer while there are others to try.
const attemptTime = 3 * time.Second

// reach is the ways to the auth server: the addresses of the configuration, then those of the proxies that the
// cluster knows. One that failed is tried after those that did not. Safe for concurrent use.
type reach struct {
	configured []string
	dialTCP    func(ctx context.Context, address string) (net.Conn, error)
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
// protocol. It is returned with its address.
func (r *reach) dial(ctx context.Context) (net.Conn, string, error) {
	var failures []error
	addresses := r.addresses()
	for i, address := range addresses {
		attempt, cancel := context.WithCancel(ctx)
		if i < len(addresses)-1 {
			attempt, cancel = context.WithTimeout(ctx, attemptTime)
		}
		conn, err := r.dialTCP(attempt, address)
		cancel()
		if err == nil {
			return conn, address, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
		r.note(address, false)
	}
	if len(failures) == 0 {
		return nil, "", errors.New("no address of the cluster is known")
	}
	return nil, "", fmt.Errorf("no address of the cluster answers: %w", errors.Join(failures...))
}

// dialHeard is dial for this process's own calls: an address at which somebody listens, but through which
// nothing comes back, counts as failed too.
func (r *reach) dialHeard(ctx context.Context) (net.Conn, error) {
	conn, address, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &heardConn{Conn: conn, note: func(works bool) { r.note(address, works) }}, nil
}

// heardConn notes once whether the other side says anything.
type heardConn struct {
	net.Conn
	note func(works bool)
	once sync.Once
}

// Read implements net.Conn.
func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.once.Do(func() { c.note(true) })
	}
	return n, err
}

// Close implements net.Conn.
func (c *heardConn) Close() error {
	c.once.Do(func() { c.note(false) })
	return c.Conn.Close()
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
	r := &reach{dialTCP: d.dialTCP, now: d.now}
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
