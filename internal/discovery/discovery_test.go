package discovery_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

// clouds is a cluster with a real authority, and what its finders see.
type clouds struct {
	t         *testing.T
	authority *auth.Authority
	admin     *authapi.Client

	mu    sync.Mutex
	seen  map[string][]string // names by "type region"; guarded by mu
	fails map[string]error    // guarded by mu
	looks int                 // guarded by mu
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
	for _, name := range c.seen[look.Type+" "+look.Region] {
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
	return found, c.fails[look.Type+" "+look.Region]
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
	host = uuid.NewString()
	api := c.as(resource.RoleDiscovery, host)
	copies := cache.New(api.Resources, discovery.Kinds, time.Now, slog.New(slog.DiscardHandler))
	service := discovery.New(discovery.Config{HostID: host, Hostname: "here", Version: "0", Group: group, Matchers: matchers, Interval: 20 * time.Millisecond,
		Finder: c, Auth: api, Cache: copies, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
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

// becomes waits until exactly these databases are registered.
func (c *clouds) becomes(what string, want ...string) {
	c.t.Helper()
	var got []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got = c.databases(); slices.Equal(got, want) {
			return
		}
	}
	c.t.Fatalf("%s: registered are %q, want %q", what, got, want)
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

func TestDatabasesAreRegisteredChangedAndRemoved(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1", "redshift us-west-1: c=1", "rds eu-west-1: d=1")
	c.start("", matcher("rds redshift", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "b=1", "c=1", "d=1")
	for _, r := range c.list(resource.KindDatabase) {
		if labels := r.Meta().Labels; labels["teleport.dev/origin"] != "cloud" || labels["teleport.dev/discovery-type"] == "" {
			t.Errorf("%s has labels %v", r.GetName(), labels)
		}
	}
	c.see("rds us-west-1: a=2", "redshift us-west-1: c=1")
	c.becomes("changed and gone", "a=2", "c=1")
}

func TestWhatCannotBeSeenStays(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1", "rds eu-west-1: c=1 d=1")
	host, _ := c.start("", matcher("rds", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "b=1", "c=1", "d=1")
	c.fail("rds us-west-1", errors.New("throttled"))
	c.see("rds us-west-1: a=2", "rds eu-west-1: d=1")
	c.becomes("one region fails", "a=1", "b=1", "d=1")
	c.stays("one region fails", 2, "a=1", "b=1", "d=1")
	status := c.list(resource.KindDiscoveryService)
	if len(status) != 1 || status[0].GetName() != host {
		t.Fatalf("status: %v", status)
	}
	for _, m := range status[0].(*resource.DiscoveryService).Spec.Matchers {
		if (m.Error == "") != (m.Region == "eu-west-1") || m.LastSuccess == nil || m.Found == 0 {
			t.Errorf("status of %s is %+v", m.Region, m)
		}
	}
	c.fail("rds us-west-1", nil)
	c.becomes("it works again", "a=2", "d=1")
}

// partly is a look that saw some databases and keeps the label of those whose label it could not see.
type partly struct{}

func (partly) Error() string { return "tags are denied" }

func (partly) Resolve(found, known []*resource.Database) []*resource.Database {
	for _, db := range found {
		for _, before := range known {
			if db.GetName() == before.GetName() {
				db.Metadata.Labels = before.Metadata.Labels
			}
		}
	}
	return found
}

func TestAPartialLookResolvesWhatItSaw(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1")
	c.start("one", matcher("rds", "us-west-1"))
	c.becomes("found", "a=1", "b=1")
	c.fail("rds us-west-1", partly{})
	c.see("rds us-west-1: a=unseen c=unseen")
	c.becomes("a part is seen", "a=1", "c=unseen")
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
		for deadline := time.After(10 * time.Second); ; {
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

func TestAnAgentsOwnLooksKeepWhatTheyCannotSee(t *testing.T) {
	t.Parallel()
	c := &clouds{t: t, seen: map[string][]string{}, fails: map[string]error{}}
	c.see("rds us-west-1: a=1 b=1", "redshift us-west-1: c=1")
	becomes := c.local(matcher("rds redshift", "us-west-1"))
	becomes("found", "a=1", "b=1", "c=1")
	c.fail("rds us-west-1", errors.New("throttled"))
	c.see("rds us-west-1: a=2", "redshift us-west-1: d=1")
	becomes("one look fails", "a=1", "b=1", "d=1")
	c.fail("rds us-west-1", partly{})
	becomes("a part is seen", "a=1", "d=1")
	c.fail("rds us-west-1", nil)
	becomes("it works again", "a=2", "d=1")
}

func TestUnchangedDatabasesAreNotWritten(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1")
	c.start("", matcher("rds", "us-west-1"))
	c.becomes("found", "a=1", "b=1")
	revision := func() (all string) {
		for _, r := range c.list(resource.KindDatabase) {
			all += r.Meta().Revision + " "
		}
		return all
	}
	before := revision()
	c.stays("nothing changes", 1, "a=1", "b=1")
	if after := revision(); after != before {
		t.Errorf("revisions were %s and are %s", before, after)
	}
}

func TestServicesLeaveAloneWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.apply("kind: db\nversion: v3\nmetadata: {name: mine, labels: {label: hand}}\nspec: {protocol: postgres, uri: 'other.example.com:1'}\n")
	c.see("rds us-west-1: a=1 mine=found", "redshift us-west-1: b=1 a=2")
	_, stop := c.start("one", matcher("rds", "us-west-1"))
	c.becomes("the first group", "a=1", "mine=hand")
	c.start("two", matcher("redshift", "us-west-1"))
	c.becomes("each its own", "a=1", "b=1", "mine=hand")
	c.stays("each its own", 2, "a=1", "b=1", "mine=hand")
	stop()
	c.see("redshift us-west-1: b=1")
	c.stays("a stopped group's databases", 1, "a=1", "b=1", "mine=hand")
	c.start("one", matcher("rds", "us-west-1"))
	c.becomes("the group is back", "b=1", "mine=hand")
}

func TestDatabasesWithoutAGroupAreAdopted(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1")
	_, stop := c.start("", matcher("rds", "us-west-1"))
	c.becomes("without a group", "a=1")
	stop()
	c.start("one", matcher("rds", "us-west-1"))
	c.stays("adopted", 1, "a=1")
	c.see()
	c.becomes("removed by the group", []string{}...)
}

func TestDiscoveryConfigsTakeEffectAtOnce(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1", "rds eu-west-1: b=1")
	config := func(name, group, region string) {
		c.apply(fmt.Sprintf("kind: discovery_config\nversion: v1\nmetadata: {name: %s}\nspec: {discovery_group: %s, aws: [{types: rds, regions: %s}]}\n", name, group, region))
	}
	c.start("one")
	config("others", "other", "eu-west-1")
	config("more", "one", "us-west-1")
	c.becomes("a config of the group", "a=1")
	if label := c.list(resource.KindDatabase)[0].Meta().Labels["teleport.internal/discovery-config-name"]; label != "more" {
		t.Errorf("the config in the labels is %q", label)
	}
	config("more", "one", "eu-west-1")
	c.becomes("another region", "b=1")
	if _, err := c.admin.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: resource.KindDiscoveryConfig, Name: "more"}); err != nil {
		t.Fatal(err)
	}
	c.becomes("the config is gone", []string{}...)
}

// TestAnotherRoleThatSeesNothing has a matcher get a role that is not allowed to look: what was found with the former one
// is not gone.
func TestAnotherRoleThatSeesNothing(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1 b=1", "rds eu-west-1: c=1")
	config := func(region, role string) {
		c.apply(fmt.Sprintf("kind: discovery_config\nversion: v1\nmetadata: {name: more}\nspec: {discovery_group: one, aws: [{types: rds, regions: [%s]%s}]}\n", region, role))
	}
	c.start("one")
	config("us-west-1, eu-west-1", "")
	c.becomes("found", "a=1", "b=1", "c=1")
	c.fail("rds us-west-1", errors.New("denied"))
	config("us-west-1", ", assume_role_arn: 'arn:aws:iam::222222222222:role/discover'")
	c.becomes("another role, and one region less", "a=1", "b=1")
	c.see("rds us-west-1: a=2")
	c.stays("another role", 1, "a=1", "b=1")
	c.fail("rds us-west-1", nil)
	c.becomes("the role is allowed to look", "a=2")
}

// TestNamesDoNotChangeHands has somebody give a database the name of another, which another look finds, by a tag.
func TestNamesDoNotChangeHands(t *testing.T) {
	t.Parallel()
	c := newClouds(t)
	c.see("rds us-west-1: a=1", "rds eu-west-1: orders=right")
	c.start("one", matcher("rds", "us-west-1 eu-west-1"))
	c.becomes("found", "a=1", "orders=right")
	c.see("rds us-west-1: a=1 orders=wrong", "rds eu-west-1: orders=right")
	c.stays("another of that name, found by an earlier look", 2, "a=1", "orders=right")
	c.fail("rds eu-west-1", errors.New("throttled"))
	c.see("rds us-west-1: a=1 orders=wrong")
	c.stays("the one that has the name cannot be seen", 2, "a=1", "orders=right")
	c.fail("rds eu-west-1", nil)
	c.becomes("the one that had the name is gone", "a=1", "orders=wrong")
}

func TestNamesInAnAgentsOwnLooksDoNotChangeHands(t *testing.T) {
	t.Parallel()
	c := &clouds{t: t, seen: map[string][]string{}, fails: map[string]error{}}
	c.see("rds us-west-1: a=1", "rds eu-west-1: orders=right")
	becomes := c.local(matcher("rds", "us-west-1 eu-west-1"))
	becomes("found", "a=1", "orders=right")
	c.see("rds us-west-1: a=2 orders=wrong", "rds eu-west-1: orders=right")
	becomes("another of that name", "a=2", "orders=right")
	c.see("rds us-west-1: a=3 orders=wrong")
	becomes("the one that had the name is gone", "a=3", "orders=wrong")
}
