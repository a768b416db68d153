package cancelkey_test

import (
	"fmt"
	"testing"
	"time"

	"sallyport/internal/cancelkey"
	"sallyport/internal/store/storetest"
)

func newLimit() (*cancelkey.Limit, *storetest.Clock) {
	clock := storetest.NewClock()
	return cancelkey.NewLimit(clock.Now), clock
}

func from(address string) cancelkey.Key {
	return cancelkey.Key{ClientAddress: address, Request: cancelkey.NewID()}
}

func TestEachSourceMayAskTenTimesASecond(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*cancelkey.Limit, string) bool{
		"Ask":   func(l *cancelkey.Limit, address string) bool { return l.Ask(from(address)) },
		"Allow": (*cancelkey.Limit).Allow,
	} {
		limit, clock := newLimit()
		for i := range 12 {
			address := fmt.Sprintf("[2001:db8::%d]:%d", i+1, i+1) // neither the port nor the host in a network counts
			if got, want := ask(limit, address), i < 10; got != want {
				t.Errorf("%s: request %d is allowed: %t, want %t", name, i+1, got, want)
			}
		}
		if !ask(limit, "[2001:db8:0:1::1]:1") {
			t.Errorf("%s: another source is refused", name)
		}
		clock.Advance(time.Second)
		if !ask(limit, "[2001:db8::1]:1") {
			t.Errorf("%s: the next second is refused", name)
		}
	}
}

// TestGuessing has a source ask now and then; each step says for how long nothing happens before, whether somebody
// knows the key, and whether the request is allowed.
func TestGuessing(t *testing.T) {
	t.Parallel()
	type step struct {
		after   time.Duration
		known   bool
		allowed bool
	}
	const at, slow = 0, 3 * time.Second
	for name, steps := range map[string][]step{
		"known keys are no guesses":                   {{at, true, true}, {slow, true, true}, {slow, true, true}, {slow, true, true}, {slow, true, true}},
		"many at once whose keys are known":           {{at, true, true}, {at, true, true}, {at, true, true}, {at, true, true}, {slow, true, true}},
		"three guesses are enough":                    {{at, false, true}, {slow, false, true}, {slow, false, true}, {slow, true, false}},
		"three guesses at once":                       {{at, false, true}, {at, false, true}, {at, false, true}, {slow, true, false}},
		"two are not":                                 {{at, false, true}, {slow, false, true}, {slow, true, true}, {slow, true, true}},
		"a known key does not make up for guesses":    {{at, false, true}, {slow, false, true}, {slow, true, true}, {slow, false, true}, {slow, true, false}},
		"no guess before the time for an answer":      {{at, false, true}, {at, false, true}, {at, false, true}, {time.Second, true, true}},
		"guesses are forgotten after a minute":        {{at, false, true}, {slow, false, true}, {time.Minute, false, true}, {slow, true, true}},
		"the penalty holds":                           {{at, false, true}, {at, false, true}, {at, false, true}, {slow, true, false}, {59 * time.Second, true, false}},
		"and ends":                                    {{at, false, true}, {at, false, true}, {at, false, true}, {slow, true, false}, {time.Minute, true, true}},
		"asking meanwhile does not make it longer":    {{at, false, true}, {at, false, true}, {at, false, true}, {slow, false, false}, {30 * time.Second, false, false}, {30 * time.Second, true, true}},
		"after it, three more are needed":             {{at, false, true}, {at, false, true}, {at, false, true}, {slow, false, false}, {time.Minute, false, true}, {slow, false, true}, {slow, true, true}},
		"guesses that nobody looked at for some time": {{at, false, true}, {at, false, true}, {at, false, true}, {50 * time.Second, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit, clock := newLimit()
			for i, s := range steps {
				clock.Advance(s.after)
				key := from("192.0.2.1:1")
				if got := limit.Ask(key); got != s.allowed {
					t.Fatalf("request %d is allowed: %t", i+1, got)
				}
				if s.known && s.allowed != limit.Known(key.Request) {
					t.Errorf("request %d was waited for: %t", i+1, !s.allowed)
				}
			}
			if !limit.Ask(from("192.0.2.2:1")) {
				t.Error("another source is refused")
			}
		})
	}
}

func TestAnswersCountOnceAndInTime(t *testing.T) {
	t.Parallel()
	limit, clock := newLimit()
	key, late := from("192.0.2.1:1"), from("192.0.2.1:1")
	limit.Ask(key)
	limit.Ask(late)
	if limit.Known(cancelkey.NewID()) || !limit.Known(key.Request) || limit.Known(key.Request) {
		t.Error("an answer is good once, for the request that it names")
	}
	clock.Advance(3 * time.Second)
	limit.Ask(from("192.0.2.1:1"))
	if limit.Known(late.Request) {
		t.Error("an answer came too late")
	}
}

// TestManySourcesShareOneRecord asks from more sources than are kept apart.
func TestManySourcesShareOneRecord(t *testing.T) {
	t.Parallel()
	limit, clock := newLimit()
	const kept = 50_000
	allowed := 0
	for i := range kept + 1000 {
		if limit.Allow(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff)) {
			allowed++
		}
	}
	if allowed != kept+10 {
		t.Errorf("%d were allowed, want %d", allowed, kept+10)
	}
	clock.Advance(time.Minute)
	if !limit.Allow("192.0.2.1:1") || !limit.Allow("192.0.2.2:1") {
		t.Error("sources are not forgotten")
	}
}

// TestUsersOfMySQLDoNotStandForEachOther behind one address: what they show says who they are.
func TestUsersOfMySQLDoNotStandForEachOther(t *testing.T) {
	t.Parallel()
	limit, clock := newLimit()
	ask := func(secret string) bool {
		return limit.Ask(cancelkey.Key{Protocol: "mysql", Secret: []byte(secret), ClientAddress: "192.0.2.1:1", Request: cancelkey.NewID()})
	}
	for _, secret := range []string{"mallory1", "mallory2", "mallory1"} {
		if !ask(secret) {
			t.Fatal("a request is refused")
		}
	}
	clock.Advance(3 * time.Second)
	if ask("mallory1") || ask("mallory2") {
		t.Error("who has guessed three times may go on, with another kind of kill perhaps")
	}
	if !ask("alice..1") || !limit.Ask(from("192.0.2.1:1")) {
		t.Error("others at this address are refused")
	}
}
