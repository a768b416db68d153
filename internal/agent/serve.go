package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/access"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/session"
	"sallyport/internal/tunnel"
)

const handshakeTimeout = 10 * time.Second

// Admit says whether a new connection would be taken.
func (a *Agent) Admit() tunnel.Verdict {
	switch {
	case a.draining.Load():
		return tunnel.Draining
	case a.sessions.count() >= a.MaxSessions:
		return tunnel.Busy
	default:
		return tunnel.Accepted
	}
}

// Serve serves a client's connection, which it owns: TLS, identity, session, engine. Authenticated is
// called when the client's handshake has succeeded.
func (a *Agent) Serve(ctx context.Context, conn net.Conn, d tunnel.Dispatch, authenticated func()) {
	defer conn.Close()
	client, visitor, err := a.handshake(ctx, conn)
	if err != nil {
		a.refuseConnection(d, err)
		return
	}
	defer client.Close()
	if visitor.Expired == nil {
		authenticated()
	}
	a.welcome(ctx, client, client.ConnectionState(), visitor, d)
}

// ServeTerminated is Serve for a client whose TLS the proxy in this process has ended. Between two parts of one process
// there is no second TLS: the proxy has just made the key of the session's certificate, and need not prove that. The
// certificate itself is verified as there.
func (a *Agent) ServeTerminated(ctx context.Context, client *tls.Conn, session *x509.Certificate, serverName string, d tunnel.Dispatch) {
	defer client.Close()
	id, err := a.Trust().Verify([]*x509.Certificate{session}, x509.ExtKeyUsageClientAuth, a.Now())
	if err != nil {
		a.refuseConnection(d, err)
		return
	}
	state := client.ConnectionState()
	state.ServerName, state.PeerCertificates = serverName, []*x509.Certificate{session}
	a.welcome(ctx, client, state, &mtls.Visitor{Identity: id}, d)
}

// welcome serves a client that has shown who it is.
func (a *Agent) welcome(ctx context.Context, client *tls.Conn, state tls.ConnectionState, visitor *mtls.Visitor, d tunnel.Dispatch) {
	v, err := a.newVisit(state, visitor, d)
	if err != nil {
		a.refuseUser(d, visitor.Identity.Name, err)
		return
	}
	if visitor.Expired != nil {
		a.tellExpired(ctx, client, v)
		return
	}
	defer a.sessions.release(v.id.Name)
	if err := a.admit(v); err != nil && v.refusal == nil {
		v.refusal, v.onlyCrowded = err, true
	}
	a.host(ctx, client, v)
}

// handshake takes a client in. It names the protocols of all engines, because clients of a database insist on theirs.
func (a *Agent) handshake(ctx context.Context, conn net.Conn) (*tls.Conn, *mtls.Visitor, error) {
	protocols := []string{route.NativePostgres}
	for protocol := range a.Engines {
		protocols = append(protocols, route.Protocol(protocol))
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	reception := mtls.Reception{Certificate: a.listener.get, Trust: a.Trust, Now: a.Now, Protocols: protocols}
	return reception.Receive(ctx, conn)
}

// host makes a session of the visit and lets the engine serve it.
func (a *Agent) host(ctx context.Context, client *tls.Conn, v *visit) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s, err := a.newSession(client, v, end)
	if err != nil {
		a.Logger.Error("no session", "user", v.id.Name, "db", v.db.GetName(), "error", err)
		return
	}
	live := &live{session: s, identity: v.id, end: end, expires: v.id.Expires}
	leave := a.sessions.enter(live)
	defer leave()
	logger := a.Logger.With("sid", s.ID(), "user", v.id.Name, "db", v.db.GetName(), "client", v.dispatch.ClientAddress)
	err = engine.Guard("engine", func() error { return v.serve(ctx, client, s) })
	if v.crowded != nil && s.Opened() {
		a.record(v.crowded)
	}
	reason := endReason(ctx, err)
	a.counters.end(v.db.Spec.Protocol, result(ctx, v, err))
	logPanic(logger, err)
	if err != nil {
		logger.Info("session ended", "reason", reason, "error", err)
	} else {
		logger.Info("session ended", "reason", reason)
	}
	closeErr := s.Close(reason, realCause(err))
	if closeErr != nil {
		logger.Error("end of session was not recorded", "error", closeErr)
	}
	var unrecorded *session.Unrecorded
	if errors.As(closeErr, &unrecorded) {
		a.late.keep(unrecorded.Line)
	}
	a.recordDisconnect(ctx, live, v, unrecorded != nil)
}

// logPanic has the log tell where an engine panicked, if the error is of that.
func logPanic(logger *slog.Logger, err error) {
	if p, ok := errors.AsType[*engine.Panic](err); ok {
		logger.Error("an engine has a fault", "panic", p.Error(), "stack", string(p.Stack))
	}
}

// serve runs the engine.
func (v *visit) serve(ctx context.Context, client net.Conn, s *session.Session) error {
	if v.greeted != nil {
		return v.greeted.ServeGreeted(ctx, client, s, []byte(v.dispatch.MySQLGreeting))
	}
	return v.protocol.Engine.Serve(ctx, client, s)
}

func (a *Agent) newSession(client *tls.Conn, v *visit, end context.CancelCauseFunc) (*session.Session, error) {
	caller := access.Caller{User: v.id.Name, Traits: v.id.Traits, MFAVerified: v.id.MFADevice != "", RequireMFA: a.defaults().RequireMFA}
	options := a.options(v.id)
	return session.New(session.Config{
		ID: uuid.NewString(), Cluster: a.Cluster, Identity: v.id, UserCertificate: v.pem,
		Database: v.db, CheckName: resource.EnforcesNames(v.db.Spec.Protocol),
		Decide: func(t access.Target) access.Decision {
			caller := caller
			caller.Roles = a.roles(v.id)
			decision := access.Check(caller, t)
			v.first.Do(func() { v.denied.Store(!decision.Allowed) })
			return decision
		},
		Denied: func() access.Commands {
			caller := caller
			caller.Roles = a.roles(v.id)
			return access.DeniedCommands(caller)
		},
		Options: options, Refusal: v.refusal, Crowded: v.onlyCrowded,
		Journal: a.Spool, StartAtAuth: a.startGate(), Strict: options.RecordingMode == resource.Strict, Tally: a.tallies[v.db.Spec.Protocol],
		UIDs:       a.UIDs,
		Server:     a.serverMeta(),
		ClientAddr: v.dispatch.ClientAddress, LocalAddr: v.dispatch.ListenerAddress,
		Credentials: a.Credentials, Dial: a.dialFor(v.db), Now: a.Now, End: end,
	})
}

// endReason says why a session ended, for its end event.
func endReason(ctx context.Context, err error) string {
	switch cause := context.Cause(ctx); {
	case cause != nil && !errors.Is(cause, context.Canceled):
		return cutReason(cause)
	case cause != nil:
		return "the service stopped"
	case err == nil:
		return "the client closed the session"
	case realCause(err) == nil:
		return "the connection to the client ended"
	default:
		return "error"
	}
}

// cutReason says why we ended a session, for the audit log: a message of the cluster's own choice has its cause behind it.
func cutReason(cause error) string {
	if _, ok := errors.AsType[*fault.Error](cause); ok {
		return cause.Error()
	}
	return fault.Message(cause)
}

// result says how a session ended, for the metrics.
func result(ctx context.Context, v *visit, err error) string {
	onlyKilled := v.onlyCrowded && realCause(err) == nil // beyond max_connections one may still stop a statement
	switch {
	case v.refusal != nil && !onlyKilled, v.denied.Load():
		return resultRefused
	case context.Cause(ctx) != nil:
		return resultCut
	case realCause(err) == nil:
		return resultEnded
	default:
		return resultError
	}
}

// realCause leaves out what only says that a connection ended.
func realCause(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
