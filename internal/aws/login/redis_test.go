package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

var west = inventory.Place{Account: cloudtest.AgentAccount, Region: "us-west-1"}

const bobsPassword = "a password of bob's own"

// allowRedis lets the agent ask about users, and log in as alice only.
var allowRedis = []string{
	cloudtest.Allow("elasticache:DescribeUsers", "*"), cloudtest.Allow("memorydb:DescribeUsers", "*"),
	cloudtest.Allow("elasticache:Connect", "arn:aws:elasticache:us-west-1:111111111111:replicationgroup:*", "arn:aws:elasticache:us-west-1:111111111111:serverlesscache:*",
		"arn:aws:elasticache:us-west-1:111111111111:user:alice"),
	cloudtest.Allow("memorydb:Connect", "arn:aws:memorydb:us-west-1:111111111111:cluster/*", "arn:aws:memorydb:us-west-1:111111111111:user/alice"),
}

// redisCloud is a local AWS with caches, and servers for them.
type redisCloud struct {
	*cloudtest.Cloud
	caches   *elasticache.ElastiCache
	memories *memorydb.MemoryDB
	listens  map[string]string // addresses by those that clients dial
}

func newRedisCloud(t *testing.T, policies ...string) *redisCloud {
	t.Helper()
	if policies == nil {
		policies = allowRedis
	}
	c := &redisCloud{Cloud: cloudtest.New(t, nil, policies...), listens: map[string]string{}}
	c.caches, c.memories = elasticache.New(c.World), memorydb.New(c.World)
	c.Add(c.caches.Service(), c.memories.Service())
	return c
}

// users adds users to ElastiCache: alice and eve of IAM, whom only the former is let in; bob with a password; guest without;
// zoe whose id is not her name; and out, who is in no group.
func (c *redisCloud) users(t *testing.T) {
	t.Helper()
	all := []elasticache.Resource{
		&elasticache.User{ID: "alice"}, &elasticache.User{ID: "eve"}, &elasticache.User{ID: "zoe-id", Name: "zoe"},
		&elasticache.User{ID: "bob", Access: redisusers.Access{Passwords: []string{bobsPassword}}},
		&elasticache.User{ID: "guest", Rules: "on ~guest:* +@all", Access: redisusers.Access{Type: redisusers.NoPassword}},
		&elasticache.User{ID: "default", Rules: "on ~* +@all", Access: redisusers.Access{Type: redisusers.NoPassword}},
	}
	for _, one := range all {
		u := one.(*elasticache.User)
		u.Place, u.Groups = west, []string{"team"}
	}
	all = append(all, &elasticache.User{Place: west, ID: "out"})
	if err := c.caches.Add(all...); err != nil {
		t.Fatal(err)
	}
}

// serve starts servers for a database under a host, and those of its nodes.
func (c *redisCloud) serve(t *testing.T, service, name, host string, nodes ...string) *dataplane.Plane {
	t.Helper()
	certificate, err := c.Authority().Issue(fakeaws.Names{DNSNames: append([]string{host}, nodes...)})
	if err != nil {
		t.Fatal(err)
	}
	at := func(host string) dataplane.Endpoint {
		return dataplane.Endpoint{Host: host + ":6379", Listen: "127.0.0.1:0"}
	}
	config := dataplane.Config{Kind: dataplane.Redis, Endpoints: []dataplane.Endpoint{at(host)}, Judge: c.Verify, Certificate: certificate,
		Redis: dataplane.RedisConfig{Service: service, Name: name, Account: c.RedisAccount}}
	for _, node := range nodes {
		config.Redis.Nodes = append(config.Redis.Nodes, at(node))
	}
	plane, err := dataplane.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plane.Stop)
	for i, address := range plane.Addresses() {
		c.listens[append([]string{host}, nodes...)[i]+":6379"] = address
	}
	return plane
}

// agent serves a database with the users' accounts.
func (c *redisCloud) agent(t *testing.T, db *resource.Database, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	cfg := enginetest.Config{
		Engine: redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), Database: db, Credentials: newSource(t, c.Cloud),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			listens := c.listens[address]
			if listens == "" {
				return nil, fmt.Errorf("nothing is at %s", address)
			}
			return new(net.Dialer).DialContext(ctx, network, listens)
		},
	}
	for _, change := range change {
		change(&cfg)
	}
	return enginetest.Start(t, cfg)
}

// redisClient connects as an account, with a password if there is one.
func redisClient(t *testing.T, agent *enginetest.Agent, account, password string) *goredis.Client {
	t.Helper()
	agent.Expect(account, "")
	options := &goredis.Options{Addr: agent.Addr(), MaxRetries: -1, DisableIdentity: true, PoolSize: 1, Protocol: 2,
		DialTimeout: enginetest.Patience, ReadTimeout: enginetest.Patience} // the usual ones have no patience with a busy machine
	if password != "" {
		options.Username, options.Password = account, password
	}
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func cache(t *testing.T, host string, change ...func(*resource.Database)) *resource.Database {
	t.Helper()
	db := database(t, host+":6379", func(*resource.AWS) {}, "redis")
	for _, change := range change {
		change(db)
	}
	return db
}

func TestUsersOfACache(t *testing.T) {
	c := newRedisCloud(t)
	c.users(t)
	group := &elasticache.ReplicationGroup{Place: west, ID: "cache", UserGroups: []string{"team"}, Replicas: 1}
	if err := c.caches.Add(group); err != nil {
		t.Fatal(err)
	}
	plane := c.serve(t, fakeaws.ElastiCacheConnect, "cache", group.PrimaryHost())
	agent := c.agent(t, cache(t, group.PrimaryHost(), func(db *resource.Database) {
		db.Status.AWS.ElastiCache.UserGroupIDs = []string{"team"}
	}))
	const connect = `{"Effect":"Allow","Action":"elasticache:Connect","Resource":["arn:aws:elasticache:us-west-1:111111111111:replicationgroup:cache","arn:aws:elasticache:us-west-1:111111111111:user:eve"]}`
	for _, test := range []struct {
		name, account, password string
		texts                   []string // of the refusal; none if the account is let in
	}{
		{"a user of IAM", "alice", "", nil},
		{"a password in the settings of a client does no harm to a user of IAM", "alice", "anything", nil},
		{"a user of IAM without permission", "eve", "", []string{"WRONGPASS", connect, "attached to the database a moment ago"}},
		{"a user whose id is not its name", "zoe", "", []string{`has the id "zoe-id"`, "--user-id zoe --user-name zoe"}},
		{"a user with a password, which the client gives", "bob", bobsPassword, nil},
		{"a user with another password", "bob", "another one of sixteen", []string{"WRONGPASS", "not IAM-enabled", "teleport.dev/managed", "aws elasticache modify-user --authentication-mode Type=iam --user-id bob"}},
		{"a user with a password, which nobody gives", "bob", "", []string{"NOAUTH", "AUTH bob <password>", "not IAM-enabled"}},
		{"a user without a password", "guest", "", nil},
		{"the default user", "default", "", nil},
		{"a user in no group of the cache", "out", "", []string{"WRONGPASS", "(1) the user is in no group", "modify-replication-group --replication-group-id cache --user-group-ids-to-add"}},
		{"nobody", "nobody", "", []string{"NOAUTH", `ElastiCache knows no user "nobody" in us-west-1`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := redisClient(t, agent, test.account, test.password)
			who, err := r.Do(t.Context(), "ACL", "WHOAMI").Text()
			if test.texts == nil {
				if err != nil || who != test.account {
					t.Errorf("logged in as %q, %v", who, err)
				}
				return
			}
			for _, text := range test.texts {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("the refusal lacks %q: %v", text, err)
				}
			}
		})
	}
	// What was recorded and returned holds no secret of AWS's, and none of the users'.
	for n := range 3 {
		text := fmt.Sprint(agent.Visit(t, n).Journal.Events())
		for _, secret := range append(c.Secrets(), bobsPassword) {
			if strings.Contains(text, secret) {
				t.Errorf("visit %d tells a secret", n)
			}
		}
	}
	if answer, err := plane.Redis(t.Context(), 0, "PING"); err != nil || answer != "+PONG" {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestEachUserIsAskedAbout has two users of one cache, of whom AWS says different things.
func TestEachUserIsAskedAbout(t *testing.T) {
	c := newRedisCloud(t)
	c.users(t)
	source := newSource(t, c.Cloud)
	db := cache(t, "master.cache.abcdef.usw1.cache.amazonaws.com")
	for range 2 {
		for account, isIAM := range map[string]bool{"alice": true, "bob": false} {
			got, err := source.Credential(t.Context(), request(db, account))
			if err != nil || (got.Password != "") != isIAM || got.User != account {
				t.Errorf("%s: %+v, %v", account, got, err)
			}
		}
	}
}

// TestWhereTokensAreGoodFor has each kind of database take the token that is made for it, and no other.
func TestWhereTokensAreGoodFor(t *testing.T) {
	c := newRedisCloud(t)
	c.users(t)
	less := &elasticache.ServerlessCache{Place: west, Name: "less", UserGroup: "team"}
	first := &elasticache.ReplicationGroup{Place: west, ID: "Cache", UserGroups: []string{"team"}}
	mem := &memorydb.Cluster{Place: west, Name: "mem", ACL: "team"}
	if err := errors.Join(c.caches.Add(first, less), c.memories.Add(mem), c.memories.AddUsers(&memorydb.User{Place: west, Name: "alice", ACLs: []string{"team"}})); err != nil {
		t.Fatal(err)
	}
	c.AddTarget(fakeaws.Target{Service: fakeaws.ElastiCacheConnect, Host: "cache", Account: c.Account("aws", west.Account), Region: west.Region, ResourceID: "cache", Users: map[string]string{"alice": "alice"}})
	source := newSource(t, c.Cloud)
	hosts := map[string]string{"cache": "master.cache.abcdef.usw1.cache.amazonaws.com", "less": less.Host(), "mem": mem.Host()}
	for name, host := range hosts {
		got, err := source.Credential(t.Context(), request(cache(t, host), "alice"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Lasts != 12*time.Hour || !got.Token || got.Renew == nil || got.Address != host+":6379" {
			t.Errorf("%s: %+v", name, got)
		}
		again, err := got.Renew(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for other := range hosts {
			service := fakeaws.ElastiCacheConnect
			if other == "mem" {
				service = fakeaws.MemoryDBConnect
			}
			for _, token := range []string{got.Password, again} {
				verdict := c.Verify(fakeaws.Login{Service: service, Host: other, User: "alice", Token: token})
				if verdict.Allow != (name == other) {
					t.Errorf("token for %s at %s: %s", name, other, verdict.Reason)
				}
			}
		}
	}
}

// TestEndpointsOfACache has each endpoint of a cache, and a role that reaches it, take a token for the same name.
func TestEndpointsOfACache(t *testing.T) {
	c := newRedisCloud(t, cloudtest.AllowAssume)
	there := west
	there.Account = cloudtest.DatabaseAccount
	role := databases(t, c.Cloud, cloudtest.Allow("elasticache:DescribeUsers", "*"), cloudtest.Allow("elasticache:Connect",
		"arn:aws:elasticache:us-west-1:222222222222:replicationgroup:cache", "arn:aws:elasticache:us-west-1:222222222222:user:alice"))
	if err := c.caches.Add(&elasticache.ReplicationGroup{Place: there, ID: "cache", UserGroups: []string{"team"}}, &elasticache.User{Place: there, ID: "alice", Groups: []string{"team"}}); err != nil {
		t.Fatal(err)
	}
	source := newSource(t, c.Cloud)
	for host, isCluster := range map[string]bool{
		"master.cache.abcdef.usw1.cache.amazonaws.com":         false,
		"replica.cache.abcdef.usw1.cache.amazonaws.com":        false,
		"cache-0001-002.cache.abcdef.usw1.cache.amazonaws.com": false,
		"clustercfg.cache.abcdef.usw1.cache.amazonaws.com":     true,
	} {
		db := database(t, host+":6379", func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = role, "right" }, "redis")
		got, err := source.Credential(t.Context(), request(db, "alice"))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if verdict := c.Verify(fakeaws.Login{Service: fakeaws.ElastiCacheConnect, Host: "cache", User: "alice", Token: got.Password}); !verdict.Allow {
			t.Errorf("%s: %s", host, verdict.Reason)
		}
		if place, err := db.RedisPlace(); err != nil || place.Cluster != isCluster || place.Address != host+":6379" {
			t.Errorf("%s: %+v, %v", host, place, err)
		}
	}
}

func TestCredentialsAreForNodesOfTheSameCache(t *testing.T) {
	c := newRedisCloud(t)
	c.users(t)
	got, err := newSource(t, c.Cloud).Credential(t.Context(), request(cache(t, "clustercfg.wide.abcdef.usw1.cache.amazonaws.com"), "alice"))
	if err != nil {
		t.Fatal(err)
	}
	for address, ok := range map[string]bool{
		"wide-0001-001.wide.abcdef.usw1.cache.amazonaws.com:6379":   true,
		"wide-0002-003.wide.abcdef.usw1.cache.amazonaws.com:6380":   true,
		"other-0001-001.other.abcdef.usw1.cache.amazonaws.com:6379": false,
		"wide-0001-001.wide.abcdef.use1.cache.amazonaws.com:6379":   false,
		"wide-0001-001.abcdef.0001.usw1.cache.amazonaws.com:6379":   false, // without TLS
		"wide.evil.example:6379":                                    false,
		"10.0.0.1:6379":                                             false,
		"":                                                          false,
	} {
		if got.Member(address) != ok {
			t.Errorf("%q: %t", address, !ok)
		}
	}
}

// TestAClusterOfACache goes to the nodes of a cluster that its configuration endpoint names, with a token for each.
func TestAClusterOfACache(t *testing.T) {
	c := newRedisCloud(t)
	c.users(t)
	group := &elasticache.ReplicationGroup{Place: west, ID: "wide", ClusterMode: true, Shards: 3, UserGroups: []string{"team"}}
	if err := c.caches.Add(group); err != nil {
		t.Fatal(err)
	}
	host := group.ConfigurationHost()
	var nodes []string
	for i := range 3 {
		nodes = append(nodes, fmt.Sprintf("wide-%04d-001.%s", i+1, strings.TrimPrefix(host, "clustercfg.")))
	}
	plane := c.serve(t, fakeaws.ElastiCacheConnect, "wide", host, nodes...)
	agent := c.agent(t, cache(t, host))
	r := redisClient(t, agent, "alice", "")
	for i := range 30 {
		key := fmt.Sprint("k", i)
		if err := r.Set(t.Context(), key, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Get(t.Context(), key).Int(); err != nil || n != i {
			t.Fatalf("%s: %d, %v", key, n, err)
		}
	}
	for i := range 3 {
		if answer, err := plane.Redis(t.Context(), i, "DBSIZE"); err != nil || answer == ":0" {
			t.Errorf("node %d has %s keys, %v", i, answer, err)
		}
	}
	if tokens := c.Calls(fakeaws.ElastiCacheConnect, "connect"); len(tokens) < 3 {
		t.Errorf("%d logins", len(tokens))
	}
}

// TestACacheWithoutUsers has the ways from before there were users: a token that all share, and nothing at all.
func TestACacheWithoutUsers(t *testing.T) {
	const shared = "the token that all of them share"
	c := newRedisCloud(t)
	open, closed := &elasticache.ReplicationGroup{Place: west, ID: "open"}, &elasticache.ReplicationGroup{Place: west, ID: "closed", AuthToken: shared}
	if err := c.caches.Add(open, closed); err != nil {
		t.Fatal(err)
	}
	for _, group := range []*elasticache.ReplicationGroup{open, closed} {
		c.serve(t, fakeaws.ElastiCacheConnect, group.ID, group.PrimaryHost())
	}
	if err := redisClient(t, c.agent(t, cache(t, open.PrimaryHost())), "default", "").Ping(t.Context()).Err(); err != nil {
		t.Errorf("open to all: %v", err)
	}
	agent := c.agent(t, cache(t, closed.PrimaryHost()))
	if err := redisClient(t, agent, "default", "").Ping(t.Context()).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("without the token: %v", err)
	}
	if err := redisClient(t, agent, "default", shared).Ping(t.Context()).Err(); err != nil {
		t.Errorf("with the token: %v", err)
	}
}

func TestCachesThatAreNotConnectedTo(t *testing.T) {
	c := newRedisCloud(t)
	c.users(t)
	described := func(on bool) func(*resource.Database) {
		return func(db *resource.Database) {
			db.Status.AWS.ElastiCache.ReplicationGroupID, db.Status.AWS.ElastiCache.TransitEncryptionEnabled = "cache", resource.Bool(on)
		}
	}
	const encrypted = "master.cache.abcdef.usw1.cache.amazonaws.com"
	for _, test := range []struct {
		name, host, account string
		change              func(*resource.Database)
		text                string // of the refusal; "" for none
	}{
		{"a name of a cache without TLS", "cache.abcdef.ng.0001.usw1.cache.amazonaws.com", "alice", func(*resource.Database) {}, "in-transit encryption is off"},
		{"a cache that is said to have no TLS", encrypted, "alice", described(false), "--transit-encryption-enabled"},
		{"a cluster of MemoryDB without TLS", "mem.abcdef.clustercfg.memorydb.us-west-1.amazonaws.com", "alice", func(*resource.Database) {}, "in-transit encryption is off"},
		{"a cache with TLS", encrypted, "alice", described(true), ""},
		{"an old version with a user of IAM", encrypted, "alice", func(db *resource.Database) { db.Metadata.Labels = map[string]string{"engine-version": "6.2.6"} }, "needs 7.0"},
		{"an old version with a user that has a password", encrypted, "bob", func(db *resource.Database) { db.Metadata.Labels = map[string]string{"engine-version": "6.2.6"} }, ""},
		{"a cache in another account than its users", encrypted, "alice", func(db *resource.Database) { db.Status.AWS.AccountID = cloudtest.DatabaseAccount }, "in another account"},
	} {
		_, err := newSource(t, c.Cloud).Credential(t.Context(), request(cache(t, test.host, test.change), test.account))
		if (err == nil) != (test.text == "") || err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestUsersThatCannotBeAskedAbout: the client reads which permission is missing, and may give a password nevertheless.
func TestUsersThatCannotBeAskedAbout(t *testing.T) {
	c := newRedisCloud(t, cloudtest.Allow("elasticache:Connect", "*"))
	c.users(t)
	group := &elasticache.ReplicationGroup{Place: west, ID: "cache", UserGroups: []string{"team"}}
	if err := c.caches.Add(group); err != nil {
		t.Fatal(err)
	}
	c.serve(t, fakeaws.ElastiCacheConnect, "cache", group.PrimaryHost())
	agent := c.agent(t, cache(t, group.PrimaryHost()))
	err := redisClient(t, agent, "alice", "").Ping(t.Context()).Err()
	for _, text := range []string{"NOAUTH", "AccessDenied", `{"Effect":"Allow","Action":"elasticache:DescribeUsers","Resource":"*"}`} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the refusal lacks %q: %v", text, err)
		}
	}
	if err := redisClient(t, agent, "bob", bobsPassword).Ping(t.Context()).Err(); err != nil {
		t.Errorf("with a password: %v", err)
	}
	if slices.ContainsFunc(c.Calls("elasticache", "DescribeUsers"), func(e fakeaws.Entry) bool { return e.Error == "" }) {
		t.Error("AWS has answered")
	}
}

// route is the identity of clients of an account.
func route(db *resource.Database, account string) *identity.Identity {
	return &identity.Identity{Kind: identity.User, Cluster: "test", Name: "alice", Roles: []string{"db"},
		Route: &identity.Route{Service: db.GetName(), Protocol: "redis", User: account}}
}
