package managedusers_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/kms"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/secretsmanager"
	"sallyport/internal/aws/managedusers"
	"sallyport/internal/resource"
)

var west = inventory.Place{Account: cloudtest.AgentAccount, Region: "us-west-1"}

const (
	cacheHost  = "master.cache.abcdef.usw1.cache.amazonaws.com"
	memHost    = "clustercfg.mem.abcdef.memorydb.us-west-1.amazonaws.com"
	bobsSecret = "teleport/elasticache/us-west-1/111111111111/user/bob"
	oldOne     = "the password before all"
)

// managing lets the agent keep passwords, as the guide's policy does.
var managing = []string{
	cloudtest.Allow(`elasticache:*`, "*"), cloudtest.Allow(`memorydb:*`, "*"),
	`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:CreateSecret","secretsmanager:DeleteSecret","secretsmanager:DescribeSecret","secretsmanager:GetSecretValue","secretsmanager:PutSecretValue","secretsmanager:TagResource","secretsmanager:UpdateSecret"],"Resource":"arn:aws:secretsmanager:*:111111111111:secret:teleport/*"}]}`,
}

// bench is a local AWS with users, in a bubble of time.
type bench struct {
	*cloudtest.Cloud
	t        *testing.T
	caches   *elasticache.ElastiCache
	memories *memorydb.MemoryDB
	secrets  *secretsmanager.Secrets
	keys     *kms.KMS
	bob      *elasticache.User // tagged, with a password, in the group of the cache
	agents   []*agent
	opened   bool // somebody has logged in as bob with a managed password

	lag  time.Duration // servers take over what AWS says of an account at any moment within this time
	seen []view        // what AWS said, as long as servers may still go by it
}

// view is what AWS said of bob's account at a moment.
type view struct {
	at     time.Time
	access redisusers.Access
}

func run(t *testing.T, test func(b *bench), policies ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if policies == nil {
			policies = managing
		}
		b := &bench{Cloud: cloudtest.New(t, nil, policies...), t: t}
		b.caches, b.memories, b.keys = elasticache.New(b.World), memorydb.New(b.World), kms.New(b.World)
		b.secrets = secretsmanager.New(b.World, b.keys)
		b.Add(b.caches.Service(), b.memories.Service(), b.keys.Service(), b.secrets.Service())
		b.bob = b.user("bob")
		if err := b.caches.Add(&elasticache.ReplicationGroup{Place: west, ID: "cache", UserGroups: []string{"team"}}, b.bob); err != nil {
			t.Fatal(err)
		}
		b.Update(func() { b.caches.Modifying, b.memories.Modifying = 45*time.Second, 45*time.Second })
		defer func() {
			for _, a := range b.agents {
				a.stop()
			}
		}()
		test(b)
	})
}

// user returns a user that is to be managed.
func (b *bench) user(id string) *elasticache.User {
	return &elasticache.User{Place: west, ID: id, Groups: []string{"team"}, Tags: map[string]string{"teleport.dev/managed": "true"},
		Access: redisusers.Access{Passwords: []string{oldOne}}}
}

// agent is one that keeps passwords.
type agent struct {
	*managedusers.Keeper
	t         *testing.T
	databases map[string]*resource.Database
	log       *strings.Builder
	stop      func()
}

// start has an agent keep the passwords of databases, by default of the cache's users. Its calls of AWS go through the
// client, if there is one.
func (b *bench) start(client credentialsClient, databases ...*resource.Database) *agent {
	b.t.Helper()
	if client == nil {
		client = b.Cloud
	}
	if databases == nil {
		databases = []*resource.Database{b.database("cache", cacheHost)}
	}
	a := &agent{t: b.t, databases: map[string]*resource.Database{}, log: &strings.Builder{}}
	logger := slog.New(slog.NewTextHandler(a.log, nil))
	a.Keeper = managedusers.New(managedusers.Config{
		Credentials: credentials.New(credentials.Config{SessionName: "sallyport-host", HTTPClient: client, Logger: slog.New(slog.DiscardHandler), Now: time.Now}),
		Cluster:     "test", Logger: logger, Now: time.Now,
	})
	for _, db := range databases {
		a.databases[db.GetName()] = db
	}
	a.Serve(a.databases)
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	a.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	b.agents = append(b.agents, a)
	return a
}

type credentialsClient interface {
	Do(*http.Request) (*http.Response, error)
}

func (b *bench) database(name, host string, change ...func(*resource.AWS)) *resource.Database {
	b.t.Helper()
	db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: "redis", URI: host + ":6379"}}
	db.Kind, db.Version, db.Metadata.Name = resource.KindDatabase, "v3", name
	for _, change := range change {
		change(&db.Spec.AWS)
	}
	if err := db.Validate(); err != nil {
		b.t.Fatal(err)
	}
	return db
}

// password asks an agent for the password of a user; "" if it is not managed.
func (a *agent) password(db, user string) (string, error) {
	a.t.Helper()
	password, managed, err := a.Password(a.t.Context(), a.databases[db], user, false)
	if managed != (password != "" || err != nil) {
		a.t.Errorf("managed %t, %v", managed, err)
	}
	return password, err
}

// opens reports whether a password opens bob's account now, whichever server is asked.
func (b *bench) opens(password string) bool {
	now := time.Now()
	b.Update(func() {
		b.bob.Access.Settle(now)
		b.seen = append(b.seen, view{now, b.bob.Access})
	})
	b.seen = slices.DeleteFunc(b.seen, func(v view) bool { return now.Sub(v.at) > b.lag })
	return !slices.ContainsFunc(b.seen, func(v view) bool { return !v.access.Accepts(v.at, password) })
}

// versions returns how many versions bob's secret has.
func (b *bench) versions() (n int) {
	b.Update(func() {
		if s := b.secrets.Get(west, bobsSecret); s != nil {
			n = len(s.Versions)
		}
	})
	return n
}

// watch lets time pass, and has every agent that runs log in as bob again and again: nobody may be refused. Until the
// password was set for the first time it may be missing. It returns how many passwords there were.
func (b *bench) watch(length time.Duration, agents ...*agent) int {
	b.t.Helper()
	if agents == nil {
		agents = b.agents
	}
	seen := map[string]bool{}
	for began := time.Now(); time.Since(began) < length; time.Sleep(13 * time.Second) {
		for i, a := range agents {
			password, err := a.password("cache", "bob")
			switch {
			case b.opened && (err != nil || password == ""):
				b.t.Fatalf("after %s agent %d has no password: %v", time.Since(began), i, err)
			case err != nil || password == "":
			case !b.opens(password) && !b.opened && b.lag > 0: // the first one serves as soon as AWS has it
			case !b.opens(password):
				b.t.Fatalf("after %s the password of agent %d does not open the account", time.Since(began), i)
			default:
				seen[password], b.opened = true, true
			}
		}
	}
	return len(seen)
}

func (b *bench) count(service, operation string) (n int) {
	for _, e := range b.Calls(service, operation) {
		if e.Error == "" {
			n++
		}
	}
	return n
}
