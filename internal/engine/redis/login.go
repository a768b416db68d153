package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

const (
	maxLoginReply = 1 << 20
	maxAttempts   = 10 // of a client to give the password
)

// backend is a connection to the database.
type backend struct {
	conn net.Conn
	in   *inbox.Inbox // what was read from it
	up   *session.Upstream

	number uint64 // the database's own of the connection, once it is logged in; 0 if it does not tell
}

// connect opens TLS on the way to the database. Nothing is said before.
func connect(ctx context.Context, e *Engine, up *session.Upstream) (*backend, error) {
	late := fault.New(fault.ConnectionProblem, "the database did not complete the TLS handshake within %s; check that its uri names its TLS port (tls-port)", engine.LoginTimeout)
	if service := up.Service(); service != "" {
		late = fault.New(fault.ConnectionProblem, "Connection timeout on %s database. Please verify if in-transit encryption is enabled on the server: it did not complete the TLS handshake within %s", service, engine.LoginTimeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, engine.LoginTimeout, late)
	defer cancel()
	conn, err := up.StartTLS(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return &backend{conn: conn, in: inbox.New(&e.buffers), up: up}, nil
}

// ask sends commands and reads as many replies. With an error it returns those that came.
func (b *backend) ask(ctx context.Context, commands ...[]string) (values []resp.Value, err error) {
	err = engine.LogIn(ctx, b.conn, func(context.Context) error {
		values, err = b.exchange(commands)
		return engine.ExplainLogin(b.up, err)
	})
	return values, err
}

func (b *backend) exchange(commands [][]string) (values []resp.Value, err error) {
	var message []byte
	for _, c := range commands {
		message = resp.AppendCommand(message, c...)
	}
	if _, err := b.conn.Write(message); err != nil {
		return nil, fmt.Errorf("sending the login: %w", err)
	}
	for len(values) < len(commands) {
		data := b.in.Buf[b.in.Scanned:b.in.End]
		v, size, err := resp.Decode(data)
		if err != nil {
			return values, desynchronised("in answer to the login: %v", err)
		}
		if size > 0 {
			values = append(values, v)
			b.in.Scanned += size
			b.in.Start = b.in.Scanned
			continue
		}
		if len(data) > maxLoginReply {
			return values, desynchronised("more than %d bytes in answer to the login", maxLoginReply)
		}
		if _, err := b.in.Fill(b.conn, len(data) > 0); err != nil {
			return values, fmt.Errorf("reading the answer to the login: %w", errors.New(err.Error()))
		}
	}
	return values, nil
}

// authenticate logs in with a password, or without: then it does for an account that wants none, or that the
// certificate has opened already.
func (b *backend) authenticate(ctx context.Context, account, password string) error {
	commands := [][]string{{"AUTH", account, password}, {"CLIENT", "ID"}}
	if password == "" {
		commands = append(commands, []string{"ACL", "WHOAMI"})
	}
	values, err := b.ask(ctx, commands...)
	refused := password != "" && len(values) > 0 && values[0].IsError()
	if err != nil && !refused { // who refuses need not answer the rest
		return err
	}
	if len(values) > 1 && values[1].Type == resp.Integer {
		b.number, _ = strconv.ParseUint(values[1].Text, 10, 64)
	}
	switch answer := values[0]; {
	case answer.Type == resp.Simple && answer.Text == "OK":
		return nil
	case password == "" && values[2].Type == resp.Bulk && values[2].Text == account:
		return nil
	case answer.Type == resp.Error:
		advice := b.up.Advice(cred.Refusal{Code: resp.Code([]byte(answer.Text)), Message: answer.Text})
		return &refusedLogin{reply: answer.Text, advice: advice}
	default:
		return desynchronised("%q in answer to AUTH", answer.Text)
	}
}

// logIn logs in to the database as the account that was authorised: with the credential, without any, or with the
// password that the client gives. Until then nothing else of the client is passed on.
func (v *visit) logIn(ctx context.Context, b *backend, c *command, given credentials) error {
	if b.up.Password != "" {
		v.opened = true
		return b.present(ctx, b.up.Password)
	}
	var refused error
	for attempts := 0; attempts < maxAttempts; attempts++ {
		switch {
		case given.given:
			err := b.authenticate(ctx, b.up.User, given.password)
			if err == nil {
				return v.welcome(c, given)
			}
			if refused = err; !isRefused(err) {
				return err
			}
			if err := v.recordRefused(ctx, err); err != nil {
				return err
			}
		case refused == nil:
			err := b.authenticate(ctx, b.up.User, "")
			if err == nil || !isRefused(err) {
				return err
			}
			refused = err
		}
		var err error
		if c, err = v.retry(ctx, c, given, refused); err != nil {
			return err
		}
		given = credentialsOf(c, v.parser.Args)
	}
	return fault.Wrap(fault.AccessDenied, refused, "no password opened the account %q in %d attempts; connect again", v.account, maxAttempts)
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*refusedLogin](err)
	return ok
}

// welcome tells a client that gave the password in AUTH that it is logged in. What else the other commands do is for
// the database to say.
func (v *visit) welcome(c *command, given credentials) error {
	v.password = given.password
	if c.role != login {
		return nil
	}
	return v.answer(resp.AppendSimple(nil, "OK"))
}

// recordRefused keeps that a password was wrong.
func (v *visit) recordRefused(ctx context.Context, cause error) error {
	event := &audit.DatabaseQueryFailed{DatabaseQuery: *v.lastQuery(), Error: cause.Error()}
	_, err := v.session.Record(ctx, event)
	return err
}

// retry answers the command, which did not lead to a login, and reads the next one that may. A client that gives up
// leaves the refusal behind.
func (v *visit) retry(ctx context.Context, c *command, given credentials, refused error) (*command, error) {
	for {
		answer, err := v.beforeLogin(c)
		switch {
		case err != nil:
			return nil, err
		case answer != nil:
		case given.given && given.user != v.account:
			answer = otherAccount(given, v.account, len(v.parser.Args) != 2).reply()
		case given.given:
			answer = replyOf(refused)
		default:
			answer = resp.AppendError(nil, codeNoAuth, passwordWanted(v.session.Database(), v.account, refused))
		}
		if err := v.complete(ctx); err != nil {
			return nil, err
		}
		if err := v.answer(answer); err != nil {
			return nil, &told{refused}
		}
		if c, err = v.next(ctx); err != nil {
			if errors.Is(err, io.EOF) {
				err = &told{refused}
			}
			return nil, err
		}
		if given = credentialsOf(c, v.parser.Args); given.given && given.user == v.account {
			return c, nil
		}
	}
}
