package mysql

import (
	"context"
	"net"

	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

// insideTLS is the number of the first packet inside TLS: greeting and request for TLS came before.
const insideTLS = 2

// ServeGreeted implements engine.Greeted. The greeting travelled unencrypted, so somebody on the way may have changed it. Only the
// capabilities count that the client repeats inside TLS, and of those only the ones that the proxy offered and that we pass on.
func (e *Engine) ServeGreeted(ctx context.Context, client net.Conn, s *session.Session, greeting []byte) error {
	d := &dialogue{conn: client, sequence: insideTLS}
	g, thread, err := e.resume(greeting, s)
	if err != nil {
		if _, gone := meet(ctx, d, func() (h hello, err error) { _, err = d.receive(maxResponse, maxHandshake); return h, err }); gone != nil {
			return gone
		}
		return d.sayNo(ctx, err)
	}
	return e.serve(ctx, d, s, thread, func() (hello, error) {
		h, err := d.hear(s, g)
		h.greeted = true
		return h, err
	})
}

// resume reads the greeting and gives the session the number in it.
func (e *Engine) resume(greeting []byte, s *session.Session) (*mysqlwire.Greeting, *thread, error) {
	g, err := mysqlwire.ParseGreeting(greeting)
	if err != nil || g.Flags&mysqlwire.TLS == 0 || len(g.Nonce) != mysqlwire.NonceSize {
		return nil, nil, fault.Wrap(fault.ConnectionProblem, err, "the proxy does not say properly how it greeted the client; run the same version on the proxy and on the agent")
	}
	thread, err := e.threads.claim(g.Connection, s)
	return g, thread, err
}
