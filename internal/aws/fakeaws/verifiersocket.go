package fakeaws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// maxLogin bounds what is read of one login, in bytes.
const maxLogin = 64 << 10

// ServeVerifier answers one Login (a JSON object) per connection to a unix socket with a Verdict, until ctx ends.
func (w *World) ServeVerifier(ctx context.Context, path string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("listening for logins to judge: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // ends Accept
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			_ = listener.Close() // it is of no use any more
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() { w.judge(conn) })
	}
}

func (w *World) judge(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // a deadline that cannot be set does no harm here
	var login Login
	verdict := Verdict{Reason: "the login is not a JSON object"}
	if json.NewDecoder(io.LimitReader(conn, maxLogin)).Decode(&login) == nil {
		verdict = w.Verify(login)
	}
	_ = json.NewEncoder(conn).Encode(verdict) // the server that asked is gone: it has refused the login by itself
}

// AskVerifier sends a login to a verifier's socket. Any error means refusal.
func AskVerifier(ctx context.Context, path string, login Login) (Verdict, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return Verdict{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewEncoder(conn).Encode(login); err != nil {
		return Verdict{}, err
	}
	var verdict Verdict
	err = json.NewDecoder(io.LimitReader(conn, maxLogin)).Decode(&verdict)
	return verdict, err
}
