package discovery_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cache"
	"sallyport/internal/discovery"
	"sallyport/internal/resource"
	"sallyport/internal/seal"
	"sallyport/internal/store/memory"
)

// patience is how long tests wait for what should happen soon, on a machine that has much else to do.
const patience = 30 * time.Second

// clouds is a cluster with a real authority, and what its finders see.
type clouds struct {
	t         *testing.T
	authority *auth.Authority
	admin     *authapi.Client

	mu    sync.Mutex
	seen  map[string][]string // names by "type region"; guarded by mu
	fails map[string]error    // guarded by mu
	looks int                 // guarded by mu
	log   strings.Builder     // of services; guarded by mu
}

// Write implements io.Writer for the log.
func (c *clouds) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

// logged returns how many times services have logged a text.
func (c *clouds) logged(text string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Count(c.log.String(), text)
}

func newClouds(t *testing.T) *clouds {
	t.Helper()
	log, err := eventlog.Open(t.Context(), eventlog.Config{Dir: t.TempDir(), HostID: uuid.NewString(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Encoder: audit.NewEncoder("test.local", audit.NewUIDs(rand.Reader))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	sealer, err := seal.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := auth.New(t.Context(), auth.Config{Store: memory.New(time.Now), Sealer: sealer, Log: log, ClusterName: "test.local",
		HostID: uuid.NewString(), Version: "0", Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &clouds{t: t, authority: authority, seen: map[string][]string{}, fails: map[string]error{}}
	c.admin = c.as(resource.RoleAdmin, uuid.NewString())
	return c
}

func (c *clouds) as(role resource.SystemRole, host string) *authapi.Client {
	c.t.Helper()
	id, _, err := c.authority.LocalIdentity(host, time.Hour, role)
	if err != nil {
		c.t.Fatal(err)
	}
	local, api := authapi.NewLocal(c.authority.Handler(), id)
	c.t.Cleanup(local.Close)
	return api
}

// Find implements discovery.Finder.
func (c *clouds) Find(_ context.Context, look discovery.Look) ([]*resource.Database, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	var found []*resource.Database
	for _, name := range slices.Concat(c.seen[look.Type+" "+look.Region], c.seen[strings.Join([]string{look.Type, look.Region, look.AssumeRoleARN}, " ")]) {
		name, label, _ := strings.Cut(name, "=")
		r, err := resource.New(resource.KindDatabase)
		if err != nil {
			return nil, err
		}
		db := r.(*resource.Database)
		db.Metadata.Name, db.Metadata.Labels = name, map[string]string{"label": label}
		db.Spec.Protocol, db.Spec.URI = "postgres", strings.Join([]string{name, look.Type, look.Region, "example.com:5432"}, ".")
		db.Spec.AWS.Region, db.Spec.AWS.AssumeRoleARN = look.Region, look.AssumeRoleARN
		if err := db.Validate(); err != nil {
			return nil, err
		}
		found = append(found, db)
	}
	return found, cmp.Or(c.fails[look.Type+" "+look.Region], c.fails[look.Type+" "+look.Region+" "+look.AssumeRoleARN])
}

// see says what exists from now on, as "type region: name=label name".
func (c *clouds) see(all ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = map[string][]string{}
	for _, one := range all {
		look, names, _ := strings.Cut(one, ": ")
		c.seen[look] = strings.Fields(names)
	}
}

func (c *clouds) fail(look string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails[look] = err
}

func (c *clouds) rounds(looks int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks / looks
}

// start runs a Discovery Service that looks often, until the test ends or stop is called.
func (c *clouds) start(group string, matchers ...resource.AWSMatcher) (host string, stop func()) {
	c.t.Helper()
	return c.startEvery(20*time.Millisecond, group, matchers...)
}

// startEvery runs one that looks less often.
func (c *clouds) startEvery(interval time.Duration, group string, matchers ...resource.AWSMatcher) (host string, stop func()) {
	c.t.Helper()
	host = uuid.NewString()
	api := c.as(resource.RoleDiscovery, host)
	copies := cache.New(api.Resources, discovery.Kinds, time.Now, slog.New(slog.DiscardHandler))
	service := discovery.New(discovery.Config{HostID: host, Hostname: "here", Version: "0", Group: group, Matchers: matchers, Interval: interval,
		Finder: c, Auth: api, Cache: copies, Logger: slog.New(slog.NewTextHandler(c, nil)), Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = copies.Run(ctx) })
	parts.Go(func() { _ = service.Run(ctx) })
	stop = func() { cancel(); parts.Wait() }
	c.t.Cleanup(stop)
	return host, stop
}

func matcher(types, regions string) resource.AWSMatcher {
	return resource.AWSMatcher{Types: strings.Fields(types), Regions: strings.Fields(regions)}
}

// databases returns the registered databases as "name=label", sorted.
func (c *clouds) databases() []string {
	c.t.Helper()
	var names []string
	for _, r := range c.list(resource.KindDatabase) {
		db := r.(*resource.Database)
		names = append(names, db.GetName()+"="+db.Metadata.Labels["label"])
	}
	slices.Sort(names)
	return names
}

func (c *clouds) list(kind string) []resource.Resource {
	c.t.Helper()
	res, err := c.admin.Resources.ListResources(c.t.Context(), &sallyportv1.ListResourcesRequest{Kind: kind, PageSize: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []resource.Resource
	for _, wire := range res.GetResources() {
		r, err := resource.Decode(kind, wire.GetJson())
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// becomes waits until exactly these databases are registered. Many may take long, as long as there are more and more.
func (c *clouds) becomes(what string, want ...string) {
	c.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		began, before := time.Now(), len(got)
		if got = c.databases(); slices.Equal(got, want) {
			return
		}
		if len(got) > before {
			deadline = began.Add(patience)
		}
		time.Sleep(max(5*time.Millisecond, 2*time.Since(began))) // the services need the machine, too
	}
	c.t.Fatalf("%s: registered are %d, %.500q, want %d, %.500q", what, len(got), got, len(want), want)
}

// stays waits for some more rounds of looks and checks that nothing has changed.
func (c *clouds) stays(what string, looks int, want ...string) {
	c.t.Helper()
	for end := c.rounds(looks) + 3; c.rounds(looks) < end; time.Sleep(5 * time.Millisecond) {
	}
	if got := c.databases(); !slices.Equal(got, want) {
		c.t.Fatalf("%s: registered are %q, want %q", what, got, want)
	}
}

func (c *clouds) apply(text string) {
	c.t.Helper()
	all, err := resource.ParseYAML([]byte(text))
	if err != nil {
		c.t.Fatal(err)
	}
	json, err := resource.Encode(all[0])
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.admin.Resources.PutResource(c.t.Context(), &sallyportv1.PutResourceRequest{
		Resource: &sallyportv1.Resource{Kind: all[0].GetKind(), Name: all[0].GetName(), Json: json}}); err != nil {
		c.t.Fatal(err)
	}
}

// local runs looks of an agent's own until the test ends, and returns what waits until exactly these databases are known.
func (c *clouds) local(matchers ...resource.AWSMatcher) (becomes func(what string, want ...string)) {
	c.t.Helper()
	local := discovery.NewLocal(discovery.LocalConfig{Matchers: matchers, Interval: 5 * time.Millisecond, Finder: c, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { local.Run(ctx) })
	c.t.Cleanup(func() { cancel(); running.Wait() })
	return func(what string, want ...string) {
		c.t.Helper()
		for deadline := time.After(patience); ; {
			changed := local.Changed()
			var got []string
			for _, db := range local.Databases() {
				got = append(got, db.GetName()+"="+db.Metadata.Labels["label"])
			}
			if slices.Sort(got); slices.Equal(got, want) {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				c.t.Fatalf("%s: got %q, want %q", what, got, want)
			}
		}
	}
}
