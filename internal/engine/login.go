package engine

import (
	"context"
	"errors"
	"net"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/session"
)

// LoginTimeout is how long a database may take for a login.
const LoginTimeout = 15 * time.Second

// ErrLate is the cause for which the context of a login ends when that takes too long.
var ErrLate = fault.New(fault.ConnectionProblem, "the database did not complete the login within %s; try again, and check its load", LoginTimeout)

// LoginContext returns a context that ends for ErrLate when a login takes too long.
func LoginContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, LoginTimeout, ErrLate)
}

// LogIn has the conversation of a login over a connection. When that takes too long, or the context ends, it unblocks the
// conversation and returns the cause.
func LogIn(ctx context.Context, conn net.Conn, converse func(context.Context) error) error {
	ctx, cancel := LoginContext(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := converse(ctx)
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// ExplainLogin puts what the network or the database's TLS said during a login into words. Errors that are in words already
// come back as they are.
func ExplainLogin(up *session.Upstream, err error) error {
	err = up.Explain(err)
	_, known := errors.AsType[*fault.Error](err)
	switch {
	case err == nil, known:
		return err
	case up.Password != "", up.Prove != nil: // it is shown no certificate
		return fault.Wrap(fault.ConnectionProblem, err, "the database broke the connection off during the login; try again, since it may be restarting or failing over, and look into its log")
	default:
		return fault.Wrap(fault.ConnectionProblem, err,
			"the database broke the connection off during the login; its log tells why, and if it does not trust our certificate, give it the authority from tctl auth sign --format=db")
	}
}
