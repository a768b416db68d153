package agent

import (
	"context"
	"crypto/tls"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/quota"
)

const (
	// expiredTime is how long a visitor whose certificate has expired has to say something that can be answered.
	expiredTime = handshakeTimeout
	// lastWords is how long the engine may take to leave then.
	lastWords = 2 * time.Second
	// maxExpiredUsers bounds the memory for them.
	maxExpiredUsers = 1024
)

// expiredRate is how often a user is told: each time is an event in the audit log.
var expiredRate = quota.Rate{PerMinute: 30, Burst: 30}

// tellExpired has the engine tell a user that the certificate has expired. Whoever has an old certificate can come here, so the visitor
// stays the stranger that it was: it is counted neither among the sessions nor among the user's connections, and does not stay for long. The
// refusal of the session keeps it from the database.
func (a *Agent) tellExpired(ctx context.Context, client *tls.Conn, v *visit) {
	if !a.expired.Take(v.id.Name) {
		a.refuseUser(v.dispatch, v.id.Name, v.refusal)
		return
	}
	defer a.sessions.await()()
	ctx, stop := context.WithTimeoutCause(ctx, expiredTime, v.refusal)
	defer stop()
	hungUp := time.AfterFunc(expiredTime+lastWords, func() { _ = client.NetConn().Close() }) // on whoever reads nothing
	defer hungUp.Stop()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s, err := a.newSession(client, v, end)
	if err != nil {
		a.refuseUser(v.dispatch, v.id.Name, err)
		return
	}
	err = engine.Guard("engine", func() error { return v.serve(ctx, client, s) })
	logger := a.Logger.With("user", v.id.Name, "db", v.db.GetName(), "client", v.dispatch.ClientAddress)
	logPanic(logger, err)
	logger.Info("client refused", "error", v.refusal)
	if a.counters.end(v.db.Spec.Protocol, resultRefused); !s.Opened() { // it was not told, as it asked for nothing
		a.recordRefusal(v.dispatch, v.id.Name, v.refusal)
	}
	if err := s.Close("", nil); err != nil {
		logger.Error("a refused session did not end well", "error", err)
	}
}
