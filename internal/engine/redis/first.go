package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// first answers commands that need no database, as PING, and returns the first one that does. It returns as soon as the name of
// that command has arrived, unless the command says who the client is: then with its arguments. A command whose name is not known is nil.
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
