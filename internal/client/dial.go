package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"

	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
)

const dialTimeout = 10 * time.Second

// NewDialer returns what opens connections to clusters. One that is insecure accepts any certificate of whatever
// ends TLS in front of a proxy; the cluster itself is always verified.
func NewDialer(mode detour.Mode, insecure bool) *detour.Dialer {
	return detour.New(detour.Config{
		TCP:  dialTCP,
		Web:  func(host string) *tls.Config { return mtls.ToWeb(host, insecure, mtls.ProtocolHTTP) },
		Mode: mode, Now: time.Now,
	})
}

// dialTCP opens a connection to the cluster. Its error is for people.
func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil && ctx.Err() == nil {
		return nil, fault.Wrap(fault.ConnectionProblem, err, "the proxy or auth server at %s cannot be reached: %s; check the address, and that it runs", address, reason(err))
	}
	return conn, err
}

// reason returns why a connection failed, without the addresses.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer"
	}
	return err.Error()
}
