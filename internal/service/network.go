package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
)

// keepAlive notices a peer that is gone within a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3}

// newDialer returns what opens connections to the cluster.
func (d *daemon) newDialer(mode detour.Mode) *detour.Dialer {
	return detour.New(detour.Config{
		TCP: dialTCP,
		Web: func(host string) *tls.Config {
			return mtls.At(d.now, mtls.ToWeb(host, d.cfg.Insecure, mtls.ProtocolHTTP))
		},
		Mode: mode, Now: d.now,
	})
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", address)
}

func listen(address, setting string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	listener, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "cannot listen on %s: %s; stop what uses the port, or set %s to another address", address, listenReason(err), setting)
	}
	return listener, nil
}

func listenReason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err.Error()
	}
	return fmt.Sprint(err)
}
