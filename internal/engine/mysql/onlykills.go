package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const (
	maxOnlyKill  = 2               // connections of a user to this agent that may only kill
	onlyKillTime = 5 * time.Second // for such a one to say what it wants: clients do at once
	maxFirst     = 16 << 10        // bytes of that
)

// onlyKillers are the visitors who may only kill: connections beyond those that the roles of their user allow. It is safe for
// concurrent use.
type onlyKillers struct {
	patience time.Duration // with each

	mu    sync.Mutex
	users map[string]int // how many there are, by the names of their users; guarded by mu
}

// admit lets a user in who may only kill, unless there are as many as may be. Who is admitted has to leave.
func (k *onlyKillers) admit(user string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.users[user] >= maxOnlyKill {
		return false
	}
	if k.users == nil {
		k.users = make(map[string]int)
	}
	k.users[user]++
	return true
}

func (k *onlyKillers) leave(user string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.users[user]--; k.users[user] == 0 {
		delete(k.users, user)
	}
}

// serveOnlyKiller serves a connection beyond those that the user's roles allow, while another one of them has a statement
// running: it may stop that, by one command, as clients do when their user presses Ctrl-C, and nothing else. Nothing is dialled
// for it. What it kills is recorded in the session that is killed. If it kills nothing, or wants more, it is refused, and recorded as that.
func (e *Engine) serveOnlyKiller(ctx context.Context, d *dialogue, s *session.Session, want session.Want) error {
	killed, err := e.letKill(ctx, d, s)
	if errors.Is(err, errGoodbye) {
		err = nil
	}
	more := errors.Is(err, errOnlyKills)
	if killed && !more {
		return err
	}
	_, refusal := s.Open(ctx, want)
	if more {
		return d.sayNo(ctx, cmp.Or(refusal, err))
	}
	return errors.Join(refusal, err)
}

var errOnlyKills = errors.New("a connection that may only kill wanted something else")

// letKill lets a client in and does what it asks for, if that is a kill. The error says how the client left, or what else it wanted.
func (e *Engine) letKill(ctx context.Context, d *dialogue, s *session.Session) (killed bool, err error) {
	defer context.AfterFunc(ctx, func() { _ = d.conn.SetDeadline(time.Unix(1, 0)) })()
	if err := d.send(mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit)); err != nil {
		return false, engine.LeftSilently(err)
	}
	payload, err := d.hurry(ctx, e.onlyKillers.patience)
	if err != nil {
		return false, err
	}
	k, ok := parseKill(payload)
	if !ok {
		return false, errOnlyKills
	}
	found, err := e.requestKill(ctx, s, k.shown, k.how)
	killed = found && err == nil
	if err := d.send(answerToKill(k.shown, found, err)); err != nil {
		return killed, engine.LeftSilently(err)
	}
	if _, err = d.hurry(ctx, e.onlyKillers.patience); err == nil {
		err = errOnlyKills
	}
	return killed, err
}

// hurry reads a command of a client that may stay for a short time only; errGoodbye is the last one. What cannot be read is nothing
// that the client may want.
func (d *dialogue) hurry(ctx context.Context, patience time.Duration) ([]byte, error) {
	_ = d.conn.SetReadDeadline(time.Now().Add(patience))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	d.sequence = 0
	payload, err := d.receive(maxFirst, 0)
	d.sequence = 1
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fault.New(fault.ConnectionProblem, "the client, which may only kill, did not do so within %s", patience)
	case isGone(err):
		return nil, engine.LeftSilently(err)
	case err != nil:
		return nil, errOnlyKills
	case len(payload) > 0 && mysqlwire.Command(payload[0]) == mysqlwire.ComQuit:
		return nil, errGoodbye
	}
	return payload, nil
}

func answerToKill(shown uint32, found bool, err error) []byte {
	switch {
	case !found:
		unknown := mysqlwire.ServerError{Code: errNoThread.code, State: errNoThread.state, Message: fmt.Sprintf("Unknown thread id: %d", shown)}
		return unknown.Append(nil)
	case err != nil:
		return explainKill(err).Append(nil)
	default:
		return mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit)
	}
}
