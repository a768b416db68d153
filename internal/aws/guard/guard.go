// Package guard dials databases in AWS and nothing else: whatever a name resolves to, the agent's own services and those
// that give out its credentials are not connected to.
package guard

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
)

// Dialer returns a dialer like the one given that refuses addresses at which no database of AWS can be. It judges each
// address as it is about to be connected to, so that no answer of a name server comes between.
func Dialer(like net.Dialer) *net.Dialer {
	like.Control = nil
	like.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error { return Check(address) }
	return &like
}

// Check refuses an address, ip:port, that is not to be dialled. The error is a fault.
func Check(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.Wrap(fault.AccessDenied, err, "%q is not an address to dial", address)
	}
	if err := endpoint.DialAllowed(at.Addr()); err != nil {
		return fault.Wrap(fault.AccessDenied, err, "the agent does not connect there: %s; check what the name of the database resolves to", err)
	}
	return nil
}
