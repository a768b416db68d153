package proxy

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"sallyport/internal/admission"
)

// believeBalancer makes a request that a known balancer has passed on one of the client that it names. What others
// say about where they come from is not looked at. A header that several have written into may have been begun
// by the client, and such a request is refused.
func (p *Proxy) believeBalancer(r *http.Request, visitor *admission.Visitor) error {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !slices.ContainsFunc(p.cfg.Balancers, func(known netip.Prefix) bool { return known.Contains(peer.Addr().Unmap()) }) {
		return nil
	}
	said := r.Header.Values("X-Forwarded-For")
	switch {
	case len(said) == 0: // its own request, such as a health check
		return nil
	case len(said) > 1 || strings.Contains(said[0], ","):
		return errors.New("X-Forwarded-For names more than one address; have the balancer replace what its clients send")
	}
	client, err := clientAddress(strings.TrimSpace(said[0]))
	if err != nil {
		return errors.New("X-Forwarded-For is not an address")
	}
	if visitor != nil {
		if err := visitor.ComesFrom(client.String()); err != nil {
			return err
		}
	}
	r.RemoteAddr = client.String()
	return nil
}

// clientAddress reads an address with or without a port, which some balancers add.
func clientAddress(text string) (netip.AddrPort, error) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(withPort.Addr().Unmap().WithZone(""), withPort.Port()), nil
	}
	address, err := netip.ParseAddr(text)
	return netip.AddrPortFrom(address.Unmap().WithZone(""), 0), err
}
