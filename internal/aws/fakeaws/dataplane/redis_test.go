package dataplane_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/redisusers"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	e := elasticache.New(c.World)
	c.Add(e.Service())
	const old, next = "a password of sixteen", "another of sixteen letters"
	bob := &elasticache.User{Place: fakeawstest.Here, ID: "bob", Groups: []string{"g"}, Access: redisusers.Access{Passwords: []string{old}}}
	group := &elasticache.ReplicationGroup{Place: fakeawstest.Here, ID: "cache", UserGroups: []string{"g"}}
	if err := e.Add(group, bob, &elasticache.User{Place: fakeawstest.Here, ID: "alice", Groups: []string{"g"}, Rules: "on ~a:* +@all"}, &elasticache.User{Place: fakeawstest.Here, ID: "eve"},
		&elasticache.User{Place: fakeawstest.Here, ID: "mallory", Groups: []string{"others"}, Access: redisusers.Access{Passwords: []string{old}}}); err != nil {
		t.Fatal(err)
	}
	host := group.PrimaryHost()
	plane, err := dataplane.Start(t.Context(), dataplane.Config{
		Kind: dataplane.Redis, Endpoints: []dataplane.Endpoint{{Host: host + ":6379", Listen: "127.0.0.1:0"}}, Judge: c.Verify, Certificate: certificate(t, c, fakeaws.Names{DNSNames: []string{host}}),
		Redis: dataplane.RedisConfig{Service: fakeaws.ElastiCacheConnect, Name: "cache", Account: c.RedisAccount}, Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plane.Stop)
	client := func(user, password string, protocol int) *redis.Client {
		r := redis.NewClient(&redis.Options{Addr: plane.Addresses()[0], Username: user, Password: password, Protocol: protocol, MaxRetries: -1, PoolSize: 1, DisableIdentity: true,
			TLSConfig: &tls.Config{RootCAs: c.Authority().Pool(), ServerName: host}})
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	token := func(user string) string { return c.Token(t, c.Admin, "elasticache", "cache", "User", user) }
	for _, test := range []struct {
		name, user, password string
		change               func()
		want                 string // how the answer begins
	}{
		{"a token", "alice", token("alice"), nil, "OK"},
		{"the token of another user", "alice", token("bob"), nil, "WRONGPASS"},
		{"a word for a token", "alice", "wrong", nil, "WRONGPASS"},
		{"a user of no group", "eve", token("eve"), nil, "WRONGPASS"},
		{"a user of another group, with its password", "mallory", old, nil, "WRONGPASS"},
		{"nobody", "", "", nil, "NOAUTH"},
		{"a password", "bob", old, nil, "OK"},
		{"another password", "bob", next, nil, "WRONGPASS"},
		{"a token of a user with a password", "bob", token("bob"), nil, "WRONGPASS"},
		{"a second password", "bob", next, func() { bob.Access.Passwords = []string{old, next} }, "OK"},
		{"and the first still", "bob", old, nil, "OK"},
		{"and not any more", "bob", old, func() { bob.Access.Passwords = []string{next} }, "WRONGPASS"},
	} {
		if test.change != nil {
			c.Update(test.change)
		}
		for _, protocol := range []int{2, 3} {
			answer := "OK"
			if err := client(test.user, test.password, protocol).Set(t.Context(), "a:k", "v", 0).Err(); err != nil {
				answer = err.Error()
			}
			if !strings.HasPrefix(answer, test.want) {
				t.Errorf("%s: %q, want %s", test.name, answer, test.want)
			}
		}
	}
	alice := client("alice", token("alice"), 2)
	if err := alice.Set(t.Context(), "b:k", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("a key that alice's rules leave out: %v", err)
	}
	pipe := alice.TxPipeline()
	pipe.Do(t.Context(), "AUTH", "alice", token("alice"))
	if _, err := pipe.Exec(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "ERR wrong number") && !strings.HasPrefix(err.Error(), "EXECABORT") {
		t.Errorf("a token within a transaction: %v", err)
	}
	// A login with a token ends with its time, and one that is renewed does not.
	for _, renews := range []bool{false, true} {
		r := client("alice", token("alice"), 2)
		if err := r.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		c.Clock.Advance(dataplane.RedisLife - time.Minute)
		if renews {
			if err := r.Do(t.Context(), "AUTH", "alice", token("alice")).Err(); err != nil {
				t.Fatal(err)
			}
		}
		c.Clock.Advance(2 * time.Minute)
		if err := r.Ping(t.Context()).Err(); (err == nil) != renews {
			t.Errorf("renewed %t: %v", renews, err)
		}
		c.Clock.Advance(-dataplane.RedisLife - time.Minute)
	}
}
