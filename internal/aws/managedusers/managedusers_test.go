package managedusers_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/kms"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/secretsmanager"
	"sallyport/internal/resource"
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
	changed time.Time
	do      func()
}

func (c *meanwhile) Do(r *http.Request) (*http.Response, error) {
	what := r.Header.Get("X-Amz-Target")
	if strings.HasSuffix(what, ".PutSecretValue") {
		c.changed = time.Now()
	}
	res, err := c.Cloud.Do(r)
	if strings.HasSuffix(what, ".DescribeSecret") && !c.changed.IsZero() && time.Since(c.changed) > 15*time.Second && c.do != nil {
		c.do()
		c.do = nil
	}
	return res, err
}

// TestARefusalBesideOtherWork has a database refuse the password while the agent is about to find that all is well.
func TestARefusalBesideOtherWork(t *testing.T) {
	run(t, func(b *bench) {
		client := &meanwhile{bench: b}
		a := b.start(client)
		b.watch(10 * time.Minute)
		refused := make(chan struct{})
		client.do = func() {
			b.Update(func() { b.bob.Access = redisusers.Access{Type: redisusers.Password, Passwords: []string{oldOne}} })
			a.Refused(a.databases["cache"], "bob")
			close(refused)
		}
		<-refused
		time.Sleep(2 * time.Minute)
		b.watch(10 * time.Minute)
	})
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

func TestTheStoreOfSecrets(t *testing.T) {
	const key = "arn:aws:kms:us-west-1:111111111111:key/k1"
	run(t, func(b *bench) {
		if err := b.keys.Add(&kms.Key{Place: west, ID: "k1"}); err != nil {
			t.Fatal(err)
		}
		store := resource.SecretStore{KeyPrefix: "own/place/", KMSKeyID: "k1"}
		a := b.start(nil, b.database("cache", cacheHost, func(a *resource.AWS) { a.SecretStore = store }))
		b.watch(10 * time.Minute)
		name := strings.Replace(bobsSecret, "teleport/", "own/place/", 1)
		b.Update(func() {
			if s := b.secrets.Get(west, name); s == nil || s.Key != "k1" {
				t.Errorf("the secret is %+v", s)
			}
		})
		if b.count("secretsmanager", "UpdateSecret") > 0 {
			t.Error("the secret had another key at first")
		}
		a.stop()
		// With another key.
		if err := b.keys.Add(&kms.Key{Place: west, ID: "k2"}); err != nil {
			t.Fatal(err)
		}
		store.KMSKeyID = "k2"
		b.start(nil, b.database("cache", cacheHost, func(a *resource.AWS) { a.SecretStore = store }))
		b.watch(20*time.Minute, b.agents[1])
		b.Update(func() {
			if s := b.secrets.Get(west, name); s == nil || s.Key != "k2" {
				t.Errorf("the secret is now %+v", s)
			}
		})
	}, cloudtest.Allow("elasticache:*", "*"), cloudtest.Allow("secretsmanager:*", "arn:aws:secretsmanager:*:111111111111:secret:own/place/*"),
		cloudtest.Allow("kms:*", key, strings.Replace(key, "k1", "k2", 1)))
}

func TestAKeyThatMayNotBeUsed(t *testing.T) {
	run(t, func(b *bench) {
		if err := b.keys.Add(&kms.Key{Place: west, ID: "k1"}); err != nil {
			t.Fatal(err)
		}
		a := b.start(nil, b.database("cache", cacheHost, func(a *resource.AWS) { a.SecretStore.KMSKeyID = "k1" }))
		time.Sleep(time.Minute)
		_, err := a.password("cache", "bob")
		for _, text := range []string{"KMS", "kms:Decrypt and kms:GenerateDataKey", "secret_store.kms_key_id"} {
			if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(a.log.String(), text) {
				t.Errorf("%q is missing in %v, or in the log:\n%s", text, err, a.log)
			}
		}
		if !b.opens(oldOne) {
			t.Error("the password was changed, and nobody knows it")
		}
	})
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

func TestMemoryDB(t *testing.T) {
	run(t, func(b *bench) {
		ann := &memorydb.User{Place: west, Name: "ann", ACLs: []string{"own"}, Tags: map[string]string{"teleport.dev/managed": "true"}, Access: redisusers.Access{Passwords: []string{oldOne}}}
		if err := b.memories.Add(&memorydb.Cluster{Place: west, Name: "mem", ACL: "own"}); err != nil {
			t.Fatal(err)
		}
		if err := b.memories.AddUsers(ann); err != nil {
			t.Fatal(err)
		}
		a := b.start(nil, b.database("mem", memHost))
		time.Sleep(5 * time.Minute)
		seen := map[string]bool{}
		for range 60 {
			password, err := a.password("mem", "ann")
			if err != nil {
				t.Fatal(err)
			}
			b.Update(func() {
				if !ann.Access.Accepts(time.Now(), password) {
					t.Error("the password does not open the account")
				}
			})
			seen[password] = true
			time.Sleep(time.Minute)
		}
		if len(seen) < 3 {
			t.Errorf("%d passwords in an hour", len(seen))
		}
	})
}

// TestAccountsAreApart has users of one id in two accounts.
func TestAccountsAreApart(t *testing.T) {
	run(t, func(b *bench) {
		there := west
		there.Account = cloudtest.DatabaseAccount
		role := b.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(b.Agent.ARN(), ""), cloudtest.Allow("elasticache:*", "*"), cloudtest.Allow("secretsmanager:*", "*"))
		other := b.user("bob")
		other.Place = there
		if err := b.caches.Add(&elasticache.ReplicationGroup{Place: there, ID: "remote", UserGroups: []string{"team"}}, other); err != nil {
			t.Fatal(err)
		}
		a := b.start(nil, b.database("cache", cacheHost), b.database("remote", strings.Replace(cacheHost, ".cache.", ".remote.", 1), func(a *resource.AWS) { a.AssumeRoleARN = role.ARN() }))
		time.Sleep(10 * time.Minute)
		own, err := a.password("cache", "bob")
		if err != nil || !b.opens(own) {
			t.Errorf("the own account's: %v", err)
		}
		theirs, err := a.password("remote", "bob")
		opens := false
		b.Update(func() { opens = other.Access.Accepts(time.Now(), theirs) })
		if err != nil || !opens || theirs == own {
			t.Errorf("the other account's opens: %t, is the same: %t, %v", opens, theirs == own, err)
		}
	}, append(managing, cloudtest.AllowAssume)...)
}

// TestOtherPartitions keeps the password of a user in China and in GovCloud, with its secret there.
func TestOtherPartitions(t *testing.T) {
	for _, at := range []struct{ partition, region, host string }{
		{"aws-cn", "cn-north-1", "master.cache.abcdef.cnn1.cache.amazonaws.com.cn"},
		{"aws-us-gov", "us-gov-west-1", "master.cache.abcdef.usgw1.cache.amazonaws.com"},
	} {
		t.Run(at.region, func(t *testing.T) {
			run(t, func(b *bench) {
				const account = "333333333333"
				secrets := "arn:" + at.partition + ":secretsmanager:" + at.region + ":" + account + ":secret:teleport/"
				key := "arn:" + at.partition + ":kms:" + at.region + ":" + account + ":key/k1"
				role, err := b.Account(at.partition, account).AddRole(fakeaws.Role{Name: "agent", Trust: cloudtest.Trust("arn:"+at.partition+":iam::"+account+":root", ""),
					Permissions: cloudtest.Inline(cloudtest.Allow("elasticache:*", "*"), cloudtest.Allow("secretsmanager:*", secrets+"*"), cloudtest.Allow("kms:*", key))})
				if err != nil {
					b.t.Fatal(err)
				}
				keys := role.Session("i-1", 12*time.Hour)
				cloudtest.Environment(b.t, map[string]string{"AWS_REGION": at.region, "AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken})
				b.bob = b.user("bob")
				b.bob.Place = inventory.Place{Account: account, Region: at.region}
				if err := errors.Join(b.keys.Add(&kms.Key{Place: b.bob.Place, ID: "k1"}), b.caches.Add(&elasticache.ReplicationGroup{Place: b.bob.Place, ID: "cache", UserGroups: []string{"team"}}, b.bob)); err != nil {
					b.t.Fatal(err)
				}
				b.start(nil, b.database("cache", at.host, func(a *resource.AWS) { a.SecretStore.KMSKeyID = key }))
				if n := b.watch(time.Hour); n < 3 {
					b.t.Errorf("%d passwords in an hour", n)
				}
				b.Update(func() {
					s := b.secrets.Get(b.bob.Place, "teleport/elasticache/"+at.region+"/"+account+"/user/bob")
					if s == nil || !strings.HasPrefix(s.ARN(), secrets+"elasticache/") {
						b.t.Errorf("the secret is %+v", s)
					}
				})
				for _, call := range b.Journal() {
					if call.Region != at.region {
						b.t.Errorf("%s was called in %s", call.Operation, call.Region)
					}
				}
			})
		})
	}
}
