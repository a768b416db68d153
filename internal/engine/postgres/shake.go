package postgres

import (
	"errors"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Harmless implements engine.Shaker. A client that goes after the handshake is no matter of complaint for the server: it takes it for
// one that did not like what it saw, or for a monitor (postgresql.org, backend_startup.c, ProcessStartupPacket). It asks for a
// certificate and does not insist on one before it knows the account.
func (e *Engine) Harmless(*resource.Database) bool { return true }

// AskForTLS implements engine.Shaker.
func (e *Engine) AskForTLS(up *session.Upstream) error {
	err := requestTLS(up)
	if _, known := errors.AsType[*fault.Error](err); known || err == nil {
		return err
	}
	return fault.Wrap(fault.ConnectionProblem, err, "the database broke the connection off when it was asked for TLS; look into its log, and check that its address leads to the database itself")
}
