package admission_test

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/admission"
)

type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

func TestGate(t *testing.T) {
	t.Parallel()
	g := admission.NewGate(admission.Limits{Strangers: 3, StrangersPerSource: 2, PerSource: 3})
	enter := func(a addr) *admission.Visitor {
		t.Helper()
		v, err := g.Enter(a)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		return v
	}
	full := func(why string, a addr) {
		t.Helper()
		if _, err := g.Enter(a); !errors.Is(err, admission.ErrFull) {
			t.Errorf("%s: got %v", why, err)
		}
	}
	first, second := enter("192.0.2.1:1"), enter("192.0.2.1:2")
	full("strangers of one source", "192.0.2.1:3")
	first.Known()
	first.Known()
	third := enter("192.0.2.1:3")
	full("all connections of one source", "192.0.2.1:4")
	enter("[2001:db8::1]:1")
	full("strangers of all sources", "192.0.2.9:1")
	first.Release()
	first.Release()
	second.Release()
	third.Release()
	enter("192.0.2.1:5")
	enter("192.0.2.9:1")
	full("strangers of all sources again", "192.0.2.9:2")
}

func TestOwnedConnectionEndsTheVisit(t *testing.T) {
	t.Parallel()
	g := admission.NewGate(admission.Limits{Strangers: 1, StrangersPerSource: 1, PerSource: 1})
	v, err := g.Enter(addr("192.0.2.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	near, _ := net.Pipe()
	conn := v.Own(near, 0)
	v.Release()
	if _, err := g.Enter(addr("192.0.2.1:2")); err == nil {
		t.Fatal("the visit ended before the connection")
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Enter(addr("192.0.2.1:2")); err != nil {
		t.Fatal(err)
	}
}

func TestStrangersAreNotWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.Defaults(10))
		open := func(known bool) net.Conn {
			v, err := g.Enter(addr("192.0.2.1:1"))
			if err != nil {
				t.Fatal(err)
			}
			near, far := net.Pipe()
			t.Cleanup(func() { _ = far.Close() })
			if known {
				v.Known()
			}
			return v.Own(near, time.Minute)
		}
		stranger, known := open(false), open(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if err := stranger.SetDeadline(time.Now()); err == nil {
			t.Error("a stranger's connection is still open")
		}
		if err := known.SetDeadline(time.Now()); err != nil {
			t.Errorf("a known client's connection: %v", err)
		}
		_, _ = stranger.Close(), known.Close()
	})
}
