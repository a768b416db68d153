package mysql

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cancelkey"
	"sallyport/internal/mysqlwire"
)

const killTime = 10 * time.Second

// prepareKill returns what kills the session that a request is about, to be called once; nil when there is none.
func (t *threads) prepareKill(key cancelkey.Key) func(context.Context) error {
	n, how, again := t.take(key)
	if n == nil {
		return nil
	}
	return func(ctx context.Context) error {
		defer n.running.Done()
		if again {
			return nil // the next statement may run by now
		}
		return n.kill(ctx, how, key.ClientAddress)
	}
}

// kill ends what the session does, for whoever is at the address, which is recorded in that session.
func (n *thread) kill(ctx context.Context, how killing, address string) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	defer context.AfterFunc(n.relay.ctx, cancel)()
	event := &audit.MySQLProcessKill{ConnectionMeta: audit.ConnectionMeta{RemoteAddr: address}, ProcessID: n.relay.number}
	if _, err := n.session.Record(ctx, event); err != nil {
		return err
	}
	return n.relay.killBackend(ctx, how)
}

// killBackend has the database end what it does for the session, over a connection of its own.
func (r *relay) killBackend(ctx context.Context, how killing) error {
	b, err := r.again(ctx)
	if err != nil {
		return err
	}
	defer b.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = b.conn.SetDeadline(time.Unix(1, 0)) })()
	statement := append([]byte{byte(mysqlwire.ComQuery)}, how.statement(r.number)...)
	if _, err := b.conn.Write(mysqlwire.AppendPacket(nil, 0, statement)); err != nil {
		return err
	}
	payload, _, err := mysqlwire.ReadPacket(b.conn, loginPacket)
	if err != nil || len(payload) == 0 || payload[0] != mysqlwire.HeaderError {
		return err
	}
	refused, err := mysqlwire.ParseError(payload)
	if err != nil {
		return err
	}
	return &refused
}

// stopDatabase ends what the database does for a session that is over: it would not notice.
func (r *relay) stopDatabase() {
	r.session.Abort()
	ctx, cancel := context.WithTimeout(r.lasting, goodbyeTime)
	defer cancel()
	err := r.killBackend(ctx, killConnection)
	if err != nil && !isGone(err) && !isKilled(err) { // else it is gone, and the statement with it
		r.engine.cfg.Logger.Warn("a statement may go on after its session", "sid", r.session.ID(), "error", err)
	}
}

func isKilled(err error) bool {
	refused, ok := errors.AsType[*mysqlwire.ServerError](err)
	return ok && refused.Code == errNoThread.code
}
