package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/session"
)

func TestLogInIsNotWaitedForLonger(t *testing.T) {
	t.Parallel()
	over, refused := errors.New("over"), errors.New("refused")
	read := func(conn net.Conn) error { _, err := conn.Read(make([]byte, 10)); return err }
	for name, c := range map[string]struct {
		ends     time.Duration // the session
		converse func(net.Conn) error
		want     string
	}{
		"one that succeeds":                         {time.Hour, func(net.Conn) error { return nil }, ""},
		"one that is refused":                       {time.Hour, func(net.Conn) error { return refused }, "refused"},
		"a database that says nothing":              {time.Hour, read, "the database did not complete the login within 15s; try again, and check its load"},
		"one that says nothing as the session ends": {time.Second, read, "over"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				stop := time.AfterFunc(c.ends, func() { end(over) })
				defer stop.Stop()
				conn, database := net.Pipe()
				defer database.Close()
				got := ""
				if err := engine.LogIn(ctx, conn, func(context.Context) error { return c.converse(conn) }); err != nil {
					got = err.Error()
				}
				if got != c.want {
					t.Errorf("logged in with %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestExplainLogin(t *testing.T) {
	t.Parallel()
	proves := func(context.Context, cred.Challenge) (cred.Proof, error) { return cred.Proof{}, nil }
	for name, c := range map[string]struct {
		up   session.Upstream
		err  error
		want string
	}{
		"who is shown a certificate may not trust it":  {session.Upstream{}, io.EOF, "tctl auth sign --format=db"},
		"who is shown a password needs no certificate": {session.Upstream{Password: "secret"}, io.EOF, "it may be restarting or failing over"},
		"who asks AWS needs none either":               {session.Upstream{Prove: proves}, io.EOF, "it may be restarting or failing over"},
		"what is in words stays as it is":              {session.Upstream{}, fault.New(fault.AccessDenied, "the account is locked"), "the account is locked"},
	} {
		if got := engine.ExplainLogin(&c.up, c.err); !errors.Is(got, c.err) || !strings.Contains(fault.Message(got), c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := engine.ExplainLogin(&session.Upstream{}, nil); err != nil {
		t.Errorf("a login that went well: %v", err)
	}
}
