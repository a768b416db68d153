package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/session"
)

func TestWelcome(t *testing.T) {
	t.Parallel()
	over := errors.New("over")
	cases := map[string]struct {
		client func(conn net.Conn)
		want   error
	}{
		"a client that reads it is welcome":           {func(conn net.Conn) { _, _ = conn.Read(make([]byte, 10)) }, nil},
		"one that is gone has left":                   {func(conn net.Conn) { _ = conn.Close() }, io.EOF},
		"one that does not read waits for the ending": {func(net.Conn) {}, over},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				time.AfterFunc(time.Minute, func() { end(over) })
				client, conn := net.Pipe()
				go c.client(client)
				if err := engine.Welcome(ctx, conn, &session.Session{}, []byte("welcome")); !errors.Is(err, c.want) {
					t.Errorf("welcomed with %v, want %v", err, c.want)
				}
			})
		})
	}
}
