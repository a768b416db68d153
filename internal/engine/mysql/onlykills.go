package mysql

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const (
	maxKillers = 2               // connections of a user to this agent that may only kill
	killerTime = 5 * time.Second // for such a one to say what it wants: clients do at once
	maxFirst   = 16 << 10        // bytes of that
)

// admit lets a user in who may only kill, unless there are as many as may be. Who is admitted has to leave.
func (k *killers) admit(user string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.visits[user] >= maxKillers {
		return false
	}
	if k.visits == nil {
		k.visits = make(map[string]int)
	}
	k.visits[user]++
	return true
}

func (k *killers) leave(user string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.visits[user]--; k.visits[user] == 0 {
		delete(k.visits, user)
	}
}

// serveKiller serves a connection beyond those that the user's roles allow, while another one of them has a statement
// running: it may stop that, by one command, as clients do when their user presses Ctrl-C, and nothing else. Nothing is dialled
// for it. What it kills is recorded in the session that is killed. If it kills nothing, or wants more, it is refused, and recorded as that.
func (e *Engine) serveKiller(ctx context.Context, d *dialogue, s *session.Session, want session.Want) error {
	killed, err := e.killOnce(ctx, d, s)
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

// killOnce lets a client in and does what it asks for, if that is a kill. The error says how the client left, or what else it wanted.
func (e *Engine) killOnce(ctx context.Context, d *dialogue, s *session.Session) (killed bool, err error) {
	defer context.AfterFunc(ctx, func() { _ = d.conn.SetDeadline(time.Unix(1, 0)) })()
	if err := d.send(mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit)); err != nil {
		return false, engine.LeftSilently(err)
	}
	payload, err := d.hurry(ctx, e.killers.patience)
	if err != nil {
		return false, err
	}
	shown, how := killOf(payload)
	if how == 0 {
		return false, errOnlyKills
	}
	found, err := e.killFor(ctx, s, shown, how)
	killed = found && err == nil
	if err := d.send(answerToKill(shown, found, err)); err != nil {
		return killed, engine.LeftSilently(err)
	}
	if _, err = d.hurry(ctx, e.killers.patience); err == nil {
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

// killOf returns which of our numbers a command kills, and how; 0 if it does not.
func killOf(payload []byte) (shown uint32, how killing) {
	if len(payload) == 0 {
		return 0, 0
	}
	switch command, body := mysqlwire.Command(payload[0]), payload[1:]; command {
	case mysqlwire.ComQuery:
		if k, ok := parseKill(body); ok {
			return uint32(k.number), k.how
		}
	case mysqlwire.ComProcessKill:
		if len(body) == 4 && isShown(uint64(binary.LittleEndian.Uint32(body))) {
			return binary.LittleEndian.Uint32(body), killConnection
		}
	}
	return 0, 0
}

func answerToKill(shown uint32, found bool, err error) []byte {
	switch {
	case !found:
		unknown := mysqlwire.ServerError{Code: errNoThread.code, State: errNoThread.state, Message: fmt.Sprintf("Unknown thread id: %d", shown)}
		return unknown.Append(nil)
	case err != nil:
		return errorOfKill(err).Append(nil)
	default:
		return mysqlwire.AppendOK(nil, mysqlwire.StatusAutocommit)
	}
}
