package managedusers_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/redisusers"
)

func TestPasswordsChange(t *testing.T) {
	run(t, func(b *bench) {
		b.start(nil)
		if n := b.watch(4 * time.Hour); n < 10 || n > 18 {
			t.Errorf("%d passwords in four hours", n)
		}
		if n := b.versions(); n > 18 {
			t.Errorf("%d versions, and AWS allows 100 a day", n)
		}
		if b.opens(oldOne) {
			t.Error("the password from before still opens the account")
		}
		b.Update(func() {
			s := b.secrets.Get(west, bobsSecret)
			if s.Tags["teleport.dev/created"] != "true" || s.Tags["teleport.dev/cluster"] != "test" || s.Description == "" || len(s.Versions[0].Binary) != 128 {
				t.Errorf("the secret is %+v", s)
			}
		})
	})
}

func TestUsersAreFoundWithinMinutes(t *testing.T) {
	run(t, func(b *bench) {
		carol, dave, erin, frank := b.user("carol"), b.user("dave"), b.user("erin"), b.user("frank")
		carol.Tags = nil                                                                // not yet
		dave.Groups = []string{"others"}                                                // of another cache
		erin.Access, frank.Tags["teleport.dev/managed"] = redisusers.Access{}, "please" // IAM; no true value
		if err := b.caches.Add(carol, dave, erin, frank); err != nil {
			t.Fatal(err)
		}
		a := b.start(nil)
		b.watch(10 * time.Minute)
		changed := a.Changed()
		b.Update(func() { carol.Tags = map[string]string{"teleport.dev/managed": "True"} })
		<-changed
		time.Sleep(5 * time.Minute)
		if password, err := a.password("cache", "carol"); password == "" || err != nil {
			t.Errorf("carol was not found: %v", err)
		}
		a.Serve(a.databases)
		if got := strings.Join(a.databases["cache"].Status.ManagedUsers, " "); got != "bob carol" {
			t.Errorf("managed users are %q", got)
		}
		for _, other := range []string{"dave", "erin", "frank", "nobody"} {
			if password, err := a.password("cache", other); password != "" || err != nil {
				t.Errorf("%s has a password, %v", other, err)
			}
		}
		for _, call := range b.Calls("elasticache", "ModifyUser") {
			if who := call.Checks[0].Resource; !strings.HasSuffix(who, ":bob") && !strings.HasSuffix(who, ":carol") {
				t.Errorf("%s was changed", who)
			}
		}
	})
}

// TestAgentsTakeTurns has three agents keep one user.
func TestAgentsTakeTurns(t *testing.T) {
	run(t, func(b *bench) {
		for range 3 {
			b.start(nil)
		}
		if n := b.watch(2 * time.Hour); n < 5 {
			t.Errorf("%d passwords in two hours", n)
		}
		if n := b.versions(); n > 10 {
			t.Errorf("%d versions in two hours: more than one agent changes the password", n)
		}
	})
}

// slowly has a change of a secret wait until all agents have decided to make it.
type slowly struct{ *bench }

func (c slowly) Do(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutSecretValue") {
		time.Sleep(15 * time.Second)
	}
	return c.Cloud.Do(r)
}

// TestAgentsThatChangeAtOneTime have all read the same current password when they make the next one.
func TestAgentsThatChangeAtOneTime(t *testing.T) {
	run(t, func(b *bench) {
		for range 3 {
			b.start(slowly{b})
		}
		if n := b.watch(2 * time.Hour); n < 5 {
			t.Errorf("%d passwords in two hours", n)
		}
		if n := b.versions(); n > 10 {
			t.Errorf("%d versions in two hours: more than one agent has won", n)
		}
	})
}

// lastCall ends an agent at its n-th call of AWS that changes anything, before or after AWS has carried that out.
type lastCall struct {
	*bench
	left  int
	after bool
	end   func()
}

func (c *lastCall) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	what := r.Header.Get("X-Amz-Target") + string(body)
	if !strings.Contains(what, "Action=ModifyUser") && (!strings.HasPrefix(what, "secretsmanager.") || strings.Contains(what, ".Describe") || strings.Contains(what, ".Get")) {
		return c.Cloud.Do(r)
	}
	if c.left--; c.left > 0 {
		return c.Cloud.Do(r)
	}
	if c.after && c.left == 0 {
		_, _ = c.Cloud.Do(r)
	}
	if c.left == 0 {
		c.end()
	}
	return nil, http.ErrServerClosed
}

// TestAgentsThatCrash has an agent die at each change that it makes in 40 minutes, and another take over, of which servers
// learn with a lag.
func TestAgentsThatCrash(t *testing.T) {
	changes := 0
	for _, after := range []bool{false, true} {
		for n, done := 1, false; !done; n++ {
			run(t, func(b *bench) {
				ended := make(chan struct{})
				a := b.start(&lastCall{bench: b, left: n, after: after, end: func() { close(ended) }})
				select {
				case <-ended:
				case <-time.After(40 * time.Minute):
					done = true
				}
				a.stop()
				b.lag = 2 * time.Minute
				second := b.start(nil)
				if b.watch(time.Hour, second) < 3 {
					t.Error("the password does not change")
				}
			})
			if t.Failed() {
				t.Fatalf("at change %d, carried out: %t", n, after)
			}
			changes = max(changes, n)
		}
	}
	if changes < 9 {
		t.Errorf("agents died at %d changes only", changes)
	}
}

// TestAgentsThatCrashBesideOthers has one of two agents lose AWS at each change: the other's logins go on.
func TestAgentsThatCrashBesideOthers(t *testing.T) {
	for n := 1; n < 8; n++ {
		run(t, func(b *bench) {
			b.start(&lastCall{bench: b, left: n, after: true, end: func() {}})
			second := b.start(nil)
			if b.watch(time.Hour, second) < 3 {
				t.Error("the password does not change")
			}
		})
		if t.Failed() {
			t.Fatalf("at change %d", n)
		}
	}
}

func TestTroubleLocksNobodyOut(t *testing.T) {
	for name, fault := range map[string]fakeaws.Fault{
		"users cannot be changed":        {Service: "elasticache", Operation: "ModifyUser", Kind: fakeaws.ServerError},
		"users may not be changed":       {Service: "elasticache", Operation: "ModifyUser", Kind: fakeaws.Denied},
		"users cannot be listed":         {Service: "elasticache", Operation: "DescribeUsers", Kind: fakeaws.Throttle},
		"tags cannot be read":            {Service: "elasticache", Operation: "ListTagsForResource", Kind: fakeaws.ServerError},
		"groups cannot be read":          {Service: "elasticache", Operation: "DescribeReplicationGroups", Kind: fakeaws.Denied},
		"secrets cannot be written":      {Service: "secretsmanager", Operation: "PutSecretValue", Kind: fakeaws.ServerError},
		"that it is set cannot be noted": {Service: "secretsmanager", Operation: "TagResource", Kind: fakeaws.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.start(nil)
				b.watch(20 * time.Minute)
				before := b.versions()
				remove := b.Inject(fault)
				b.watch(time.Hour)
				if n := b.versions(); n > before+4 {
					t.Errorf("%d versions were added meanwhile", n-before)
				}
				remove()
				if n := b.watch(time.Hour); n < 3 {
					t.Errorf("afterwards there were %d passwords in an hour", n)
				}
			})
		})
	}
}

func TestUsersThatAreNotManagedAnyMore(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *bench)
		gone   bool
	}{
		"one without the tag":            {func(b *bench) { b.bob.Tags = nil }, true},
		"one in no group":                {func(b *bench) { b.bob.Groups = nil }, true},
		"one that was deleted":           {func(*bench) {}, true},
		"one that has become one of IAM": {func(b *bench) { b.bob.Access = redisusers.Access{Type: redisusers.IAM} }, true},
		"one that others have":           {func(b *bench) { b.bob.Groups = []string{"others"} }, false},
		"one whose secret is another's": {func(b *bench) {
			b.bob.Tags = nil
			b.secrets.Get(west, bobsSecret).Tags["teleport.dev/cluster"] = "other"
		}, false},
		"one that is looked for in trouble": {func(*bench) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				a := b.start(nil)
				b.watch(20 * time.Minute)
				switch name {
				case "one that was deleted":
					b.caches.Remove(b.bob)
				case "one that is looked for in trouble":
					b.Inject(fakeaws.Fault{Service: "elasticache", Operation: "DescribeUsers", Kind: fakeaws.ServerError})
				}
				b.Update(func() { test.change(b) })
				before := len(b.Calls("elasticache", "ModifyUser"))
				time.Sleep(20 * time.Minute)
				if n := len(b.Calls("elasticache", "ModifyUser")) - before; test.gone && n > 0 {
					t.Errorf("the user was changed %d times", n)
				}
				if gone := b.versions() == 0; gone != test.gone {
					t.Errorf("the secret is gone: %t", gone)
				}
				if password, _ := a.password("cache", "bob"); test.gone && password != "" {
					t.Error("there is still a password")
				}
			})
		})
	}
}

func TestOneWhoMayNotIsTold(t *testing.T) {
	for action, text := range map[string]string{
		"secretsmanager:*": "secretsmanager:DescribeSecret",
		"elasticache:*":    "elasticache:",
	} {
		var rest []string
		for _, policy := range managing {
			if !strings.Contains(policy, strings.TrimSuffix(action, "*")) {
				rest = append(rest, policy)
			}
		}
		run(t, func(b *bench) {
			a := b.start(nil)
			time.Sleep(time.Hour)
			if n := strings.Count(a.log.String(), "reason="); n != 1 || !strings.Contains(a.log.String(), text) {
				t.Errorf("without %s the log has %d warnings:\n%s", action, n, a.log)
			}
			if !b.opens(oldOne) {
				t.Error("the password was changed, and nobody knows it")
			}
		}, rest...)
	}
}
