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

// Verifier answers logins on a unix socket.
type Verifier struct {
	world    *World
	listener net.Listener
}

// ListenVerifier opens the socket; Serve must follow.
func (w *World) ListenVerifier(ctx context.Context, path string) (*Verifier, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening for logins to judge: %w", err)
	}
	return &Verifier{w, listener}, nil
}

// Serve answers one Login (a JSON object) per connection with a Verdict, until ctx ends.
func (v *Verifier) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = v.listener.Close() }) // ends Accept
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := v.listener.Accept()
		if err != nil {
			_ = v.listener.Close() // it is of no use any more
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() { v.world.judge(conn) })
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
