package engine_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/inbox"
)

const mebibyte = 1 << 20

// step is what a client sends, or a database takes, after a pause.
type step struct {
	pause time.Duration
	bytes int
}

// TestAShareHasToGoOn looks at a session that has room for a large message, while another one comes to wait for that.
func TestAShareHasToGoOn(t *testing.T) {
	t.Parallel()
	const (
		client, others = "came from the client", "others need the memory"
		never          = 0
	)
	cases := []struct {
		name     string
		steps    []step
		database bool          // it takes the message that came from the client before
		waits    time.Duration // when another session begins to wait; 0 for never
		want     string        // why the session ends; "" if it does not
		after    time.Duration // that ends then
	}{
		{"a client that sends nothing", nil, false, never, client, pace},
		{"a client that sends nothing, while another waits", nil, false, time.Second, client, pace},
		{"a client that pauses", []step{{9 * time.Second, mebibyte}, {9 * time.Second, mebibyte}}, false, time.Second, "", 0},
		{"a client that sends a little of a large message now and then", []step{{6 * time.Second, mebibyte - 1}, {6 * time.Second, mebibyte}}, false, never, client, pace},
		{"a client that stops later", []step{{9 * time.Second, mebibyte}, {11 * time.Second, mebibyte}}, false, never, client, 19 * time.Second},
		{"a client whose message comes in small pieces", []step{{5 * time.Second, mebibyte / 2}, {4 * time.Second, mebibyte / 2}, {9 * time.Second, mebibyte}}, false, never, "", 0},
		{"a database that takes nothing, while nobody waits", []step{{time.Minute, mebibyte}}, true, never, "", 0},
		{"a database that takes nothing, while another waits", nil, true, 5 * time.Second, others, pace},
		{"a database that has taken nothing for long, when another comes", []step{{time.Minute, mebibyte}}, true, 50 * time.Second, others, 50 * time.Second},
		{"a database that is slow, while another waits", []step{{9 * time.Second, mebibyte}, {9 * time.Second, mebibyte}}, true, 5 * time.Second, "", 0},
		{"a database that stops later", []step{{9 * time.Second, mebibyte}, {11 * time.Second, mebibyte}}, true, 12 * time.Second, others, 19 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := engine.NewBudget(200, pace)
				ctx, end := context.WithCancelCause(t.Context())
				share := b.Share("me", end)
				if err := share.Grow(ctx, 100, nothing); err != nil {
					t.Fatal(err)
				}
				near, far := net.Pipe()
				began, ended := time.Now(), make(chan time.Duration, 1)
				context.AfterFunc(ctx, func() {
					ended <- time.Since(began)
					_ = near.Close()
				})
				if c.waits > 0 {
					time.AfterFunc(c.waits, func() {
						_ = b.Share("another", func(error) {}).Grow(t.Context(), 60, nothing)
					})
				}
				go func() {
					for _, s := range c.steps {
						if time.Sleep(s.pause); c.database {
							_, _ = io.CopyN(io.Discard, far, int64(s.bytes))
						} else {
							_, _ = far.Write(make([]byte, s.bytes))
						}
					}
					if c.want != "" { // it stops
						<-ctx.Done()
					}
					_ = far.Close()
				}()
				if c.database {
					_, _ = share.Write(near, make([]byte, mebibyte*(len(c.steps)+1)))
				} else {
					in := inbox.New(new(inbox.Pool))
					for err := error(nil); err == nil; in.Sent() {
						_, err = share.Fill(in, near, true)
						in.Scanned = in.End
					}
				}
				share.Release()
				time.Sleep(time.Hour)
				cause := context.Cause(ctx)
				end(nil)
				after := <-ended
				switch {
				case c.want == "" && cause != nil:
					t.Errorf("the session ended: %v", cause)
				case c.want != "" && (!fault.Is(cause, fault.LimitExceeded) || !strings.Contains(fault.Message(cause), c.want) || after != c.after):
					t.Errorf("the session ended after %s: %v; want %q after %s", after, cause, c.want, c.after)
				}
				synctest.Wait()
			})
		})
	}
}

// TestAClientThatWasHeldUpHasItsTime from then on: while a session sends on what came before, or waits for more room, it is not
// the client that pauses.
func TestAClientThatWasHeldUpHasItsTime(t *testing.T) {
	t.Parallel()
	for name, heldUp := range map[string]func(share *engine.Share, others []*engine.Share) error{
		"by what we did": func(*engine.Share, []*engine.Share) error {
			time.Sleep(time.Minute)
			return nil
		},
		"by what is sent on before more room is waited for": func(share *engine.Share, others []*engine.Share) error {
			return share.Grow(context.Background(), 90, func() error {
				time.Sleep(time.Minute)
				others[0].Release()
				return nil
			})
		},
		"by a wait for more room": func(share *engine.Share, others []*engine.Share) error {
			time.AfterFunc(14*time.Second, others[0].Release)
			time.Sleep(5 * time.Second)
			return share.Grow(context.Background(), 90, nothing)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := engine.NewBudget(200, pace)
				held := others(t, b, []use{{"a", 60}, {"b", 10}})
				ctx, end := context.WithCancelCause(t.Context())
				share := b.Share("me", end)
				if err := share.Grow(ctx, 60, nothing); err != nil {
					t.Fatal(err)
				}
				if err := held[1].Grow(ctx, 80, nothing); err != nil { // beyond the budget, so that nobody else has more
					t.Fatal(err)
				}
				if err := heldUp(share, held); err != nil {
					t.Fatal(err)
				}
				near, far := net.Pipe()
				context.AfterFunc(ctx, func() { _ = near.Close() })
				began := time.Now()
				_, _ = share.Fill(inbox.New(new(inbox.Pool)), near, true)
				if took := time.Since(began); took != pace || context.Cause(ctx) == nil {
					t.Errorf("the client had %s, and the session ended with %v", took, context.Cause(ctx))
				}
				share.Release()
				_ = far.Close()
			})
		})
	}
}

// TestAnIdleClientHasNoShare that it would have to go on with.
func TestAnIdleClientHasNoShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := engine.NewBudget(200, pace)
		ctx, end := context.WithCancelCause(t.Context())
		share := b.Share("me", end)
		if err := share.Grow(ctx, 100, nothing); err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		time.AfterFunc(time.Hour, func() { _ = far.Close() })
		_, _ = share.Fill(inbox.New(new(inbox.Pool)), near, false)
		if cause := context.Cause(ctx); cause != nil {
			t.Errorf("the session ended: %v", cause)
		}
	})
}
