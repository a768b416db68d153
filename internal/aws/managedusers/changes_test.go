package managedusers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/secretsmanager"
)

// TestChangesAtOnce has AWS take away passwords in the moment that it is asked to.
func TestChangesAtOnce(t *testing.T) {
	run(t, func(b *bench) {
		b.Update(func() { b.caches.Modifying = 0 })
		b.start(nil)
		b.start(nil)
		if n := b.watch(2 * time.Hour); n < 5 {
			t.Errorf("%d passwords", n)
		}
	})
}

// TestChangesTakeTime has AWS take its time for each, and servers lag behind what it says.
func TestChangesTakeTime(t *testing.T) {
	for _, test := range []struct {
		takes, lag time.Duration
	}{
		{10 * time.Minute, 0},
		{4 * time.Minute, 2 * time.Minute},  // longer than the former password serves
		{14 * time.Minute, 2 * time.Minute}, // the next is due as soon as this one is set
		{0, 2 * time.Minute},
	} {
		t.Run(fmt.Sprintf("%s and %s", test.takes, test.lag), func(t *testing.T) {
			run(t, func(b *bench) {
				b.lag = test.lag
				b.Update(func() { b.caches.Modifying = test.takes })
				b.start(nil)
				b.start(nil)
				if n := b.watch(3 * time.Hour); n < 5 {
					t.Errorf("%d passwords", n)
				}
			})
		})
	}
}

// TestVersionsThatWereMovedBack has somebody make an older version the current one again.
func TestVersionsThatWereMovedBack(t *testing.T) {
	for name, back := range map[string]int{"the one before": 1, "one that the account has no more": 3, "the first": 5} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.start(nil)
				b.start(nil)
				b.watch(100 * time.Minute)
				var version *secretsmanager.Version
				b.Update(func() {
					all := b.secrets.Get(west, bobsSecret).Versions
					version = all[len(all)-1-back]
				})
				for range 2 {
					b.Update(func() { b.secrets.Get(west, bobsSecret).MakeCurrent(version) })
					b.watch(20 * time.Minute)
					if n := b.watch(time.Hour); n < 3 {
						b.t.Fatalf("%d passwords in an hour afterwards", n)
					}
					if log := b.agents[0].log.String() + b.agents[1].log.String(); !strings.Contains(log, "moved back") {
						t.Errorf("the log says nothing of it: %s", log)
					}
				}
				if n := b.versions(); n > 20 {
					t.Errorf("%d versions in less than five hours", n)
				}
			})
		})
	}
}

// TestTagFromTheFuture has the tag of the secret say that the passwords were set when they cannot have been.
func TestTagFromTheFuture(t *testing.T) {
	for _, ahead := range []time.Duration{2 * time.Hour, 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			run(t, func(b *bench) {
				b.start(nil)
				b.start(nil)
				b.watch(time.Hour)
				b.Update(func() {
					tags := b.secrets.Get(west, bobsSecret).Tags
					applied, _, _ := strings.Cut(tags["teleport.dev/applied"], " ")
					tags["teleport.dev/applied"] = fmt.Sprintf("%s %d", applied, time.Now().Add(ahead).Unix())
				})
				if n := b.watch(2 * time.Hour); n < 5 {
					t.Errorf("%d passwords in the two hours afterwards", n)
				}
				for i, a := range b.agents {
					if n := strings.Count(a.log.String(), "from the future"); n != 1 {
						t.Errorf("agent %d logged it %d times: %s", i, n, a.log)
					}
				}
			})
		})
	}
}

func TestWhatOthersHaveSetIsSetAnew(t *testing.T) {
	run(t, func(b *bench) {
		a := b.start(nil)
		b.watch(20 * time.Minute)
		b.Update(func() { b.bob.Access = redisusers.Access{Type: redisusers.Password, Passwords: []string{oldOne}} })
		password, _ := a.password("cache", "bob")
		if b.opens(password) {
			t.Fatal("nothing was changed")
		}
		before := len(b.Calls("elasticache", "ModifyUser"))
		for range 20 { // a client that tries again and again
			a.Refused(a.databases["cache"], "bob")
			time.Sleep(time.Second)
		}
		if n := len(b.Calls("elasticache", "ModifyUser")) - before; n != 1 {
			t.Errorf("the user was to be changed %d times", n)
		}
		time.Sleep(time.Minute)
		b.watch(time.Hour)
	})
}

// meanwhile does something, once, while the agent looks whether a change was carried out.
type meanwhile struct {
	*bench
	do chan func() // of one

	mu      sync.Mutex
	changed time.Time // guarded by mu
}

func (c *meanwhile) Do(r *http.Request) (*http.Response, error) {
	what := r.Header.Get("X-Amz-Target")
	c.mu.Lock()
	if strings.HasSuffix(what, ".PutSecretValue") {
		c.changed = time.Now()
	}
	changed := c.changed
	c.mu.Unlock()
	res, err := c.Cloud.Do(r)
	if strings.HasSuffix(what, ".DescribeSecret") && !changed.IsZero() && time.Since(changed) > 15*time.Second {
		select {
		case do := <-c.do:
			do()
		default:
		}
	}
	return res, err
}

// TestARefusalBesideOtherWork has a database refuse the password while the agent is about to find that all is well.
func TestARefusalBesideOtherWork(t *testing.T) {
	run(t, func(b *bench) {
		client := &meanwhile{bench: b, do: make(chan func(), 1)}
		a := b.start(client)
		b.watch(10 * time.Minute)
		refused := make(chan struct{})
		client.do <- func() {
			b.Update(func() { b.bob.Access = redisusers.Access{Type: redisusers.Password, Passwords: []string{oldOne}} })
			a.Refused(a.databases["cache"], "bob")
			close(refused)
		}
		<-refused
		time.Sleep(2 * time.Minute)
		b.watch(10 * time.Minute)
	})
}
