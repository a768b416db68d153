package managedusers_test

import (
	"errors"
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
	"sallyport/internal/resource"
)

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

// TestStoresThatDiffer are told of once, however often the users are looked for.
func TestStoresThatDiffer(t *testing.T) {
	run(t, func(b *bench) {
		in := func(prefix string) func(*resource.AWS) {
			return func(a *resource.AWS) { a.SecretStore = resource.SecretStore{KeyPrefix: prefix} }
		}
		a := b.start(nil, b.database("cache", cacheHost, in("first/")), b.database("other", cacheHost, in("second/")))
		for range 20 {
			time.Sleep(time.Minute)
			a.Serve(a.databases)
		}
		a.stop()
		if n := strings.Count(a.log.String(), "have different secret_store settings"); n != 1 || strings.Contains(a.log.String(), "again") {
			t.Errorf("told %d times:\n%s", n, a.log)
		}
		b.Update(func() {
			if b.secrets.Get(west, strings.Replace(bobsSecret, "teleport/", "first/", 1)) == nil {
				t.Error("the secret is not where the first database wants it")
			}
		})
	}, cloudtest.Allow("elasticache:*", "*"), cloudtest.Allow("secretsmanager:*", "*"))
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
