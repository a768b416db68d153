// Package peer reads the addresses of those at the other end of connections: which count as one source, and whether one
// is where it must be.
package peer

import (
	"net"
	"net/netip"
)

// Source returns what counts as one source where connections and attempts are counted, of an address with or without a
// port: an IPv4 address, or the /64 of an IPv6 address, because every host there can take any of them (RFC 4291, section 2.5.4).
// What is no address is a source of its own.
func Source(address string) string {
	addr, ok := parse(address)
	if !ok {
		return host(address)
	}
	if addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // of an IPv6 address always possible
	return prefix.String()
}

// Host returns the address without its port, in its one canonical form; false for what is no IP address.
func Host(address string) (string, bool) {
	addr, ok := parse(address)
	if !ok {
		return "", false
	}
	return addr.String(), true
}

// Same reports whether both are the same IP address, whatever their ports. What is no IP address is the same as nothing.
func Same(one, other string) bool {
	a, ok := parse(one)
	b, also := parse(other)
	return ok && also && a == b
}

func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return address
}

// parse reads an address. IPv4 within IPv6 is IPv4, and a zone says only on which interface it was seen.
func parse(address string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(host(address))
	return addr.Unmap().WithZone(""), err == nil
}
