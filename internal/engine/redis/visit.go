package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/resource"
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

	account  string // in the database
	password string // that opened it, to open it again after RESET
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
	place, err := resource.ParseRedisURI(v.session.Database().Spec.URI)
	if err != nil {
		return v.sayNo(ctx, fault.Wrap(fault.BadParameter, err, "the uri of database %q cannot be used: %s", v.session.Database().GetName(), err))
	}
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
	r := newRelay(ctx, v, b)
	if place.Cluster {
		if r.cluster, err = joinCluster(ctx, b, place.Address); err != nil {
			return v.turnAway(ctx, err)
		}
		r.server.address = place.Address
		r.cluster.nodes[place.Address] = r.server
	}
	return r.run()
}

// turnAway ends a visit before the relay.
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
		return v.sayNo(ctx, err)
	}
}

// sayNo ends a visit before the relay, tells the client why, and returns that.
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
	return data[:min(len(data), maxPayload)]
}

// first returns the client's first command that says anything about what it wants. Of one that is not about who it is
// no more than the name need have arrived. Nil is a command that is not known.
func (v *visit) first(ctx context.Context) (*command, error) {
	for {
		c, err := v.next(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := v.beforeLogin(c)
		if answer == nil || err != nil {
			return c, err
		}
		if err := v.answer(answer); err != nil {
			return nil, err
		}
	}
}

// beforeLogin returns what is answered to commands that need no database, or nil.
func (v *visit) beforeLogin(c *command) ([]byte, error) {
	switch {
	case c == nil:
	case c.role == quit:
		_, _ = v.client.Write(resp.AppendSimple(nil, "OK"))
		return nil, errGoodbye
	case c.role == reset:
		return resp.AppendSimple(nil, "RESET"), nil
	case c.role == login:
		if _, ok := parseAuth(v.parser.Args); !ok {
			return resp.AppendError(nil, codeError, "wrong number of arguments for 'auth' command"), nil
		}
	}
	return nil, nil
}

// answer answers the command that has just been read, and leaves it behind.
func (v *visit) answer(reply []byte) error {
	if _, err := v.client.Write(reply); err != nil {
		return fmt.Errorf("answering the client: %w", io.EOF)
	}
	v.session.Count(len(reply), 0)
	return v.skip()
}

// skip leaves the command that has just been read behind.
func (v *visit) skip() error {
	size, _, err := v.parser.Parse(v.in.Buf[v.in.Scanned:v.in.End], resp.DefaultLimits)
	v.in.Scanned += size
	v.in.Start = v.in.Scanned
	return err
}

// next reads a command as far as it matters before the login. It stays where it is.
func (v *visit) next(ctx context.Context) (*command, error) {
	for {
		data := v.in.Buf[v.in.Scanned:v.in.End]
		size, atLeast, err := v.parser.Parse(data, resp.DefaultLimits)
		switch {
		case err != nil:
			return nil, err
		case size > 0 && len(v.parser.Args) == 0:
			v.in.Scanned += size
			v.in.Start = v.in.Scanned
			continue
		case size > 0:
			if v.parser.Inline && isWeb(v.parser.Args) {
				return nil, fmt.Errorf("%w: a web request", resp.ErrProtocol)
			}
			return find(v.engine.table, v.parser.Args), nil
		}
		if name := v.parser.Name(data); name != nil && !v.isLogin(name) {
			return nil, nil
		}
		if len(data) > maxFirst {
			return nil, fmt.Errorf("%w: a command of more than %d bytes before the login", resp.ErrProtocol, maxFirst)
		}
		v.in.Expect(atLeast)
		if err := v.fill(ctx, len(data) > 0); err != nil {
			return nil, err
		}
	}
}

func (v *visit) isLogin(name []byte) bool {
	c := lookUp(v.engine.table, name)
	return c != nil && (c.role == login || c.role == hello || c.role == quit || c.role == reset)
}

// isWeb tells what browsers send, who can be made to send it to any port.
func isWeb(args [][]byte) bool {
	return is(args[0], "post") || is(args[0], "host:") || bytes.HasPrefix(args[len(args)-1], []byte("HTTP/"))
}

// fill reads from the client. A command that has begun must go on.
func (v *visit) fill(ctx context.Context, underWay bool) error {
	defer context.AfterFunc(ctx, func() { _ = v.client.SetReadDeadline(time.Unix(1, 0)) })()
	deadline := time.Time{}
	if underWay {
		deadline = time.Now().Add(commandTimeout)
	}
	_ = v.client.SetReadDeadline(deadline)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	n, err := v.in.Fill(v.client, underWay)
	v.session.Count(0, n)
	switch {
	case err == nil, n > 0:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.New(fault.ConnectionProblem, "the command did not arrive within %s", commandTimeout)
	default:
		return fmt.Errorf("reading from the client: %w", errors.Join(err, io.EOF))
	}
}

// complete reads the rest of a command of which only the name has arrived. It stays where it is.
func (v *visit) complete(ctx context.Context) error {
	for {
		data := v.in.Buf[v.in.Scanned:v.in.End]
		size, atLeast, err := v.parser.Parse(data, resp.DefaultLimits)
		switch {
		case err != nil || size > 0:
			return err
		case len(data) > maxFirst:
			return fault.New(fault.Unauthenticated, "Authentication required, before a command of more than %d bytes", maxFirst)
		}
		v.in.Expect(atLeast)
		if err := v.fill(ctx, true); err != nil {
			return err
		}
	}
}
