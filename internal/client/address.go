package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
)

// Ports at which clusters listen when nobody says otherwise.
const (
	DefaultPort     = "3080" // proxies
	webPort         = "443"  // proxies beside other web servers
	defaultAuthPort = "3025" // auth servers
)

// WithPort returns the address of a proxy with the default port, if it has none.
func WithPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(address, DefaultPort)
}

// ProxyAddresses returns where a proxy may be: at the address, or without a port in it at those of proxies.
func ProxyAddresses(address string) []string { return withPorts(address, DefaultPort, webPort) }

// AuthAddresses returns where an auth server, or a proxy instead of it, may be.
func AuthAddresses(address string) []string {
	return withPorts(address, defaultAuthPort, DefaultPort, webPort)
}

// CheckAddress returns why what was given by a flag is no address, or nil. None given is none that is wrong.
func CheckAddress(flag, address string) error {
	if scheme, _, found := strings.Cut(address, "://"); found || strings.Contains(address, "/") {
		wrong := "a path"
		if found {
			wrong = scheme + "://"
		}
		return fault.New(fault.BadParameter, "%s: %q is not an address; give host[:port] without %s", flag, address, wrong)
	}
	_, port, err := net.SplitHostPort(address)
	bare := strings.Trim(address, "[]")
	switch {
	case err != nil && (!strings.Contains(bare, ":") || net.ParseIP(bare) != nil):
		return nil
	case err != nil || port == "" || strings.Trim(port, "0123456789") != "":
		return fault.New(fault.BadParameter, "%s: %q is not an address; give host[:port]", flag, address)
	}
	return nil
}

func withPorts(address string, ports ...string) []string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return []string{address}
	}
	var all []string
	for _, port := range ports {
		all = append(all, net.JoinHostPort(strings.Trim(address, "[]"), port))
	}
	return all
}

// findTime is how long an address may take to answer that is one of several.
const findTime = 10 * time.Second

// FirstAnswer asks all addresses at once and returns the one that answers first, or what went wrong at
// each.
func FirstAnswer(ctx context.Context, addresses []string, ask func(ctx context.Context, address string) error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	type answer struct {
		address string
		err     error
	}
	answers := make(chan answer, len(addresses))
	for _, address := range addresses {
		asking.Go(func() { answers <- answer{address, ask(ctx, address)} })
	}
	var failed error
	for range addresses {
		got := <-answers
		if got.err == nil {
			return got.address, nil
		}
		if failed = errors.Join(failed, got.err); fault.Is(got.err, fault.LimitExceeded) {
			failed = errors.Join(got.err, failed) // it is the right address, and says so
		}
	}
	return "", failed
}

// Find returns the address at which the cluster of the credentials answers. A single one is not asked: the
// call that follows will tell.
func (c *Credentials) Find(ctx context.Context, dialer *detour.Dialer, addresses []string) (string, error) {
	if len(addresses) == 1 {
		return addresses[0], nil
	}
	address, err := FirstAnswer(ctx, addresses, func(ctx context.Context, address string) error {
		api := c.API(dialer, address)
		defer api.Close()
		_, err := api.Cluster.Ping(ctx, &sallyportv1.PingRequest{})
		if err != nil && !fault.Is(err, fault.ConnectionProblem) {
			return nil // the cluster answers, and says why it does not serve this caller
		}
		return err
	})
	if err != nil {
		return "", fault.Wrap(fault.ConnectionProblem, err, "the cluster %q answers neither at %s; check the address, or give the port too",
			c.Identity.Cluster, strings.Join(addresses, " nor at "))
	}
	return address, nil
}
