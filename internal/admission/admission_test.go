package admission_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/admission"
)

// visiting is a connection from an address, and whether it was closed.
type visiting struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func from(address string) *visiting { return &visiting{from: address} }

func (v *visiting) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(v.from))
}

func (v *visiting) Close() error {
	v.closed.Store(true)
	return nil
}

// TestWhoIsClosedForWhom lets visitors come in order; "+" before an address marks one who has become known.
func TestWhoIsClosedForWhom(t *testing.T) {
	t.Parallel()
	limits := admission.Limits{Strangers: 4, StrangersPerSource: 2, PerSource: 3}
	const a, b, c, d = "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"
	for name, s := range map[string]struct {
		come   []string
		closed []int // of those before the last
		full   bool  // the last is refused
	}{
		"within the limits nobody":                       {[]string{a, a, b}, nil, false},
		"the oldest stranger of the same source":         {[]string{b, a, a, a}, []int{1}, false},
		"not one who is known":                           {[]string{"+" + a, a, a}, nil, false},
		"the oldest stranger when a source has too many": {[]string{"+" + a, a, "+" + a, a}, []int{1}, false},
		"nobody when all of them are known":              {[]string{"+" + a, "+" + a, "+" + a, a}, nil, true},
		"the oldest stranger of all":                     {[]string{"+" + a, b, c, d, a, b}, []int{1}, false},
		"one place is enough":                            {[]string{a, b, a, c, a}, []int{0}, false},
		"one /64 of IPv6 is one source":                  {[]string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"}, []int{0}, false},
		"another /64 is another":                         {[]string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::3]:1"}, nil, false},
		"the same address within IPv6 is the same":       {[]string{a, a, "[::ffff:192.0.2.1]:1"}, []int{0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := admission.NewGate(limits)
			var all []*visiting
			for i, address := range s.come {
				address, known := strings.CutPrefix(address, "+")
				all = append(all, from(address))
				v, err := g.Enter(all[i])
				if last := i == len(s.come)-1; errors.Is(err, admission.ErrFull) != (last && s.full) {
					t.Fatalf("visitor %d: %v", i, err)
				}
				if known {
					v.Known()
				}
			}
			for i, v := range all {
				if got, want := v.closed.Load(), slices.Contains(s.closed, i); got != want {
					t.Errorf("visitor %d is closed: %t, want %t", i, got, want)
				}
			}
		})
	}
}

// TestCountsAreGivenBack has visitors leave in every way, some more than once, and then fills the gate again.
func TestCountsAreGivenBack(t *testing.T) {
	t.Parallel()
	g := admission.NewGate(admission.Limits{Strangers: 2, StrangersPerSource: 2, PerSource: 2})
	enter := func(address string) (*visiting, *admission.Visitor) {
		t.Helper()
		conn := from(address)
		v, err := g.Enter(conn)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		return conn, v
	}
	const a, b = "192.0.2.1:1", "192.0.2.2:1"
	_, crowded := enter(a)
	_, known := enter(a)
	known.Known()
	known.Known()
	third, _ := enter(a) // in the place of the first
	crowded.Release()
	crowded.Known()
	if third.closed.Load() {
		t.Error("who came last was closed")
	}
	if _, err := g.Enter(from(a)); err != nil { // in the place of the third
		t.Error(err)
	}
	if !third.closed.Load() {
		t.Error("the source has three connections")
	}
	known.Release()
	known.Release()
	last, _ := enter(a)
	other, _ := enter(b) // in the place of the oldest stranger, which is not the last
	if last.closed.Load() || other.closed.Load() {
		t.Error("the newest were closed")
	}
}

func TestOwnedConnectionEndsTheVisit(t *testing.T) {
	t.Parallel()
	g := admission.NewGate(admission.Limits{Strangers: 1, StrangersPerSource: 1, PerSource: 1})
	visitor := from("192.0.2.1:1")
	v, err := g.Enter(visitor)
	if err != nil {
		t.Fatal(err)
	}
	v.Known()
	conn := v.Own(visitor, 0)
	v.Release()
	if _, err := g.Enter(from("192.0.2.1:2")); !errors.Is(err, admission.ErrFull) {
		t.Fatal("the visit ended before the connection")
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Enter(from("192.0.2.1:2")); err != nil {
		t.Fatal(err)
	}
}

func TestStrangersAreNotWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.Defaults(10))
		open := func(known bool) net.Conn {
			v, err := g.Enter(from("192.0.2.1:1"))
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

// TestVisitsCountWhereABalancerSaysTheyComeFrom has connections of a balancer become those of its clients.
func TestVisitsCountWhereABalancerSaysTheyComeFrom(t *testing.T) {
	t.Parallel()
	g := admission.NewGate(admission.Limits{Strangers: 10, StrangersPerSource: 1, PerSource: 2})
	const balancer, client, other = "192.0.2.1:1", "198.51.100.1:0", "198.51.100.2"
	enter := func(address string) (*visiting, *admission.Visitor) {
		t.Helper()
		conn := from(balancer)
		v, err := g.Enter(conn)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.ComesFrom(address); err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		return conn, v
	}
	first, firstVisit := enter(client)
	second, _ := enter(other)
	third, thirdVisit := enter(client)
	if !first.closed.Load() || second.closed.Load() || third.closed.Load() {
		t.Error("of one client's strangers, the oldest is to be closed, and nobody else")
	}
	if err := errors.Join(firstVisit.ComesFrom(other), thirdVisit.ComesFrom("[::ffff:198.51.100.1]:7")); err != nil || second.closed.Load() {
		t.Error("who has gone, or comes from there already, takes nobody's place", err)
	}
	thirdVisit.Known()
	_, fourth := enter(client)
	fourth.Known()
	late := from(balancer)
	lateVisit, err := g.Enter(late)
	if err != nil {
		t.Fatal(err)
	}
	if err := lateVisit.ComesFrom(client); !errors.Is(err, admission.ErrFull) {
		t.Errorf("a third connection of a client of whom two are known: %v", err)
	}
	if err := fourth.ComesFrom(other); err != nil || second.closed.Load() {
		t.Errorf("one who is known takes a stranger's place: %v", err)
	}
	thirdVisit.Leave()
	thirdVisit.Leave()
	thirdVisit.Release()
	if err := lateVisit.ComesFrom(client); err != nil {
		t.Errorf("after they have gone: %v", err)
	}
	lateVisit.Known() // of the list that it is in now
	if _, err := g.Enter(from(client)); err != nil {
		t.Error(err)
	}
}

func TestLeaveEndsTheVisitOfAConnectionThatStays(t *testing.T) {
	t.Parallel()
	g := admission.NewGate(admission.Limits{Strangers: 1, StrangersPerSource: 1, PerSource: 1})
	visitor := from("192.0.2.1:1")
	v, err := g.Enter(visitor)
	if err != nil {
		t.Fatal(err)
	}
	conn := v.Own(visitor, 0)
	v.Leave()
	next, err := g.Enter(from("192.0.2.1:2"))
	if err != nil || visitor.closed.Load() {
		t.Fatal("it still counts, or was closed", err)
	}
	next.Known()
	if err := conn.Close(); err != nil { // and is not counted off twice
		t.Fatal(err)
	}
	if _, err := g.Enter(from("192.0.2.1:3")); !errors.Is(err, admission.ErrFull) {
		t.Fatalf("got %v", err)
	}
}
