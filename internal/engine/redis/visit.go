package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

const (
	commandTimeout = 30 * time.Second // for a command to arrive, before the client is logged in
	goodbyeTime    = time.Second
	maxFirst       = 192 << 10 // bytes of a command before that; the server allows 10 arguments of 16 KiB
	maxPayload     = 64 << 10  // of what cannot be read, that is recorded
)

// errGoodbye ends a session in the ordinary way.
var errGoodbye = errors.New("goodbye")

// visit is one client, from its first byte on.
type visit struct {
	engine  *Engine
	client  net.Conn
	session *session.Session
	in      *inbox.Inbox // what was read from the client
	parser  resp.Parser

	database string // the number of the logical one that the session is for; empty is 0
	account  string // in the database
	password string // that the client has opened it with, to open it again after RESET
	opened   bool   // it was opened with a credential, so that clients need no password
	record   recorder
}

// serve looks at what the client says first, opens the session and logs in, and relays.
func (v *visit) serve(ctx context.Context) error {
	c, err := v.first(ctx)
	if err != nil {
		return v.turnAway(ctx, err)
	}
	given := credentialsOf(c, v.parser.Args)
	route := v.session.Identity().Route
	want := session.Want{User: everyone}
	if given.given {
		want.User = given.user
	}
	if route != nil {
		want.Name = route.Database
		if route.User != "" {
			want.User = route.User
		}
	}
	if given.given && given.user != want.User {
		no := otherAccount(given, want.User, len(v.parser.Args) != 2)
		want.User = given.user
		return v.sayNo(ctx, v.session.Refuse(want, fault.New(fault.AccessDenied, "%s", no.text)))
	}
	v.account = want.User
	place, err := v.session.Database().RedisPlace()
	if err != nil {
		return v.sayNo(ctx, fault.Wrap(fault.BadParameter, err, "the uri of database %q cannot be used: %s", v.session.Database().GetName(), err))
	}
	if err := checkDatabase(want.Name, place.Cluster); err != nil {
		return v.sayNo(ctx, v.session.Refuse(want, err))
	}
	v.database = want.Name
	want.Seeds = func(context.Context) ([]string, error) { return []string{place.Address}, nil }
	up, err := v.session.Open(ctx, want)
	if err != nil {
		return v.sayNo(ctx, err)
	}
	b, err := connect(ctx, v.engine, up)
	if err != nil {
		return v.sayNo(ctx, err)
	}
	defer b.in.Release()
	if err := v.logIn(ctx, b, c, given); err != nil {
		return v.turnAway(ctx, err)
	}
	if err := v.selectFirst(ctx, b); err != nil {
		return v.turnAway(ctx, err)
	}
	v.session.SetBackend(b.number)
	r := newRelay(ctx, v, b)
	if place.Cluster {
		if r.cluster, err = joinCluster(ctx, b, place.Address); err != nil {
			return v.turnAway(ctx, err)
		}
		r.cluster.share = v.engine.large.Share(v.session.Identity().Name, r.end)
		r.server.address = place.Address
		r.cluster.nodes[place.Address] = r.server
	}
	return r.run()
}

// turnAway ends a visit before the relay: it records what broke the protocol or the limits, and tells the client by sayNo.
func (v *visit) turnAway(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errGoodbye):
		return nil
	case errors.Is(err, io.EOF), isTold(err):
		return err
	case errors.Is(err, resp.ErrProtocol):
		event := &audit.MalformedPacket{Payload: v.unread()}
		if _, recordErr := v.session.Record(ctx, event); recordErr != nil {
			err = errors.Join(err, recordErr)
		}
		return v.sayNo(ctx, malformed(err))
	default:
		if large, ok := errors.AsType[*resp.TooLarge](err); ok {
			event, no := v.refuseLarge(large)
			if _, recordErr := v.session.Record(ctx, event); recordErr != nil {
				no = errors.Join(no, recordErr)
			}
			return v.sayNo(ctx, no)
		}
		return v.sayNo(ctx, err)
	}
}

// refuseLarge returns what is recorded of a command beyond the limits, as far as it has arrived, and what is said of it.
func (v *visit) refuseLarge(large *resp.TooLarge) (*audit.DatabaseQueryFailed, error) {
	err := fault.New(fault.LimitExceeded, "a command has %d arguments, and at most %d pass through this system; send it in several", large.Arguments, resp.MaxArguments)
	if large.Bytes > 0 {
		err = fault.New(fault.LimitExceeded, "a command has at least %d bytes, and at most %d pass through this system; send large values in pieces, with APPEND or SETRANGE", large.Bytes, resp.MaxCommand)
	}
	event := &audit.DatabaseQueryFailed{Error: fault.Message(err), MessageSize: large.Bytes}
	if len(v.parser.Args) > 0 {
		event.DatabaseQuery = *v.lastQuery()
	}
	return event, err
}

// lastQuery returns the record of arguments that no relay has looked at: of a command before it, or of one beyond the limits.
func (v *visit) lastQuery() *audit.DatabaseQuery {
	var c reading
	c.read(v.parser.Args, lenOf(v.parser.Args))
	return v.record.query(&c)
}

// sayNo tells a client why its visit ends before the relay, and returns that. It records nothing.
func (v *visit) sayNo(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	if err := v.lastReply(replyOf(cause)); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

const maxRepeats = 100

// lastReply writes the last thing that a client is told. Some clients take an error in answer to HELLO for an old
// server, and go on; so for a little while that is the answer to whatever they say. And if the connection were closed
// while something is on its way from the client, what it was told would be lost.
func (v *visit) lastReply(message []byte) error {
	_ = v.client.SetDeadline(time.Now().Add(goodbyeTime))
	if _, err := v.client.Write(message); err != nil {
		return err
	}
	v.repeat(message)
	if half, ok := v.client.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, v.client)
	return nil
}

// repeat answers what the client still says, from the command behind the one that was answered.
func (v *visit) repeat(message []byte) {
	for answered := 0; answered < maxRepeats; {
		size, _, err := v.parser.Parse(v.in.Buf[v.in.Scanned:v.in.End], resp.DefaultLimits)
		if err != nil {
			return
		}
		if size > 0 {
			if v.in.Scanned += size; answered > 0 {
				if _, err := v.client.Write(message); err != nil {
					return
				}
			}
			v.in.Start = v.in.Scanned
			answered++
			continue
		}
		if n, err := v.in.Fill(v.client, v.in.Scanned < v.in.End); n == 0 && err != nil || v.in.End-v.in.Start > maxFirst {
			return
		}
	}
}

// unread returns the beginning of what was read and not understood.
func (v *visit) unread() []byte {
	data := v.in.Buf[v.in.Scanned:v.in.End]
	return engine.UpToSecrets(data[:min(len(data), maxPayload)], withSecrets)
}
