package policy_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/policy"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const (
	clusterName = "test.local"
	policyName  = "test.local-teleport-database-access"
	ownRole     = "arn:aws:iam::111111111111:role/agent"
)

// managing is a policy that lets a role keep its inline policies.
var managing = cloudtest.Allow("iam:*RolePolicy", "*")

// bench is a local AWS, and a ledger as auth keeps it, in a bubble of time.
type bench struct {
	*testing.T
	*cloudtest.Cloud
	ledger *ledger
}

// inBench runs a test in a bubble of time. The agent's role has the policies.
func inBench(t *testing.T, test func(b *bench), policies ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(&bench{t, cloudtest.New(t, nil, policies...), &ledger{turns: map[string]*seat{}, until: map[string]time.Time{}, notes: map[string]map[string]set{}}})
	})
}

// database is an instance of RDS in the agent's account, as its agent has described it.
func (b *bench) database(name string) *resource.Database {
	b.Helper()
	return b.at(name, name+".abcdefghijkl.us-west-1.rds.amazonaws.com:5432", func(db *resource.Database) {
		db.Status.AWS.RDS.ResourceID, db.Status.AWS.AccountID = "db-"+strings.ToUpper(name), cloudtest.AgentAccount
	})
}

// at is a database in AWS, in whose certificate the authority does not matter here.
func (b *bench) at(name, uri string, change func(*resource.Database)) *resource.Database {
	b.Helper()
	r, err := resource.New(resource.KindDatabase)
	if err != nil {
		b.Fatal(err)
	}
	db := r.(*resource.Database)
	db.Metadata.Name, db.Spec.Protocol, db.Spec.URI, db.Spec.TLS.CACert = name, "postgres", uri, "none"
	change(db)
	if err := db.Validate(); err != nil {
		b.Fatal(err)
	}
	b.AddTarget(fakeaws.Target{Service: fakeaws.RDSConnect, Host: uri, Region: "us-west-1", ResourceID: db.Status.AWS.RDS.ResourceID,
		Account: b.Account("aws", db.Status.AWS.AccountID)})
	return db
}

// letIn reports whether AWS lets a user with the agent's token into a database.
func (b *bench) letIn(db *resource.Database) bool {
	b.Helper()
	source := login.New(login.Config{Credentials: b.Provider(), Now: time.Now})
	credential, err := source.Credential(b.Context(), cred.Request{Database: db, User: "alice", DatabaseUser: "reader", DatabaseName: "dev"})
	if err != nil {
		b.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(db.Spec.URI)
	return b.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: host + ":5432", User: "reader", Token: credential.Password}).Allow
}

// inline is the text of the policy that a role has, or "".
func (b *bench) inline(role *fakeaws.Role) (text string) {
	b.Update(func() { text = role.Inline[policyName] })
	return text
}

// ids are those of the databases in RDS that the agent's role is allowed to, sorted.
func (b *bench) ids() string {
	var all []string
	for _, part := range strings.Split(b.inline(b.Agent), "dbuser:")[1:] {
		id, _, _ := strings.Cut(part, "/")
		all = append(all, strings.ToLower(strings.TrimPrefix(id, "db-")))
	}
	return strings.Join(all, " ")
}

func (b *bench) wants(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %q, want %q", what, got, want)
	}
}

// running is a keeper that runs.
type running struct {
	*policy.Keeper
	b    *bench
	log  *bytes.Buffer
	stop func()
}

// start runs the keeper of a host until stop is called or the test ends.
func (b *bench) start(host string) *running {
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	r := &running{b: b, log: log, Keeper: policy.New(policy.Config{
		Credentials: b.Provider(), Ledger: &seat{ledger: b.ledger, host: host}, Cluster: clusterName, Logger: logger, Now: time.Now,
	})}
	ctx, cancel := context.WithCancel(b.Context())
	var parts sync.WaitGroup
	parts.Go(func() { r.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
	})
	b.Cleanup(r.stop)
	return r
}

var statuses = map[int]string{0: "none", resource.IAMPolicyPending: "pending", resource.IAMPolicyFailed: "failed", resource.IAMPolicySuccess: "success"}

// serve says what is served from now on, and returns the status of each as "name:status".
func (r *running) serve(all ...*resource.Database) string {
	served := map[string]*resource.Database{}
	for _, db := range all {
		served[db.GetName()] = resource.Clone(db)
	}
	r.Serve(served)
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(served)) {
		texts = append(texts, name+":"+statuses[served[name].Status.AWS.IAMPolicyStatus])
	}
	return strings.Join(texts, " ")
}

// after lets time pass, and returns what serve returns then.
func (r *running) after(d time.Duration, all ...*resource.Database) string {
	r.serve(all...)
	time.Sleep(d)
	synctest.Wait()
	return r.serve(all...)
}

// reason is why a database's status is failed.
func (r *running) reason(db *resource.Database) string {
	db = resource.Clone(db)
	r.Serve(map[string]*resource.Database{db.GetName(): db})
	return db.Status.AWS.IAMPolicyReason
}

func (r *running) warnings() int { return strings.Count(r.log.String(), "level=WARN") }

type set = map[policy.Permission]bool

// ledger keeps turns and notes of the agents of a cluster.
type ledger struct {
	mu    sync.Mutex
	turns map[string]*seat // by identity
	until map[string]time.Time
	notes map[string]map[string]set // by identity and host
	gone  []string                  // hosts that have not been heard of for long
	away  bool                      // auth is
	mute  bool                      // auth records nothing, and so refuses changes
	told  []string                  // changes that were recorded: +id for what is added, -id for what is taken away
	lost  int                       // so many ends do not arrive
	same  bool                      // there are no turns at all
}

// seat is the ledger as one host sees it.
type seat struct {
	*ledger
	host string
}

func (l *ledger) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func list(s set) []policy.Permission { return slices.Collect(maps.Keys(s)) }

func (s *seat) Begin(_ context.Context, identity string, change policy.Change) (*policy.Turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away || s.mute && len(change.Adds)+len(change.Drops) > 0 {
		return nil, fault.New(fault.ConnectionProblem, "the auth server cannot be reached")
	}
	if other := s.turns[identity]; !s.same && other != nil && other.host != s.host && time.Now().Before(s.until[identity]) {
		return nil, policy.ErrBusy
	}
	s.turns[identity], s.until[identity] = s, time.Now().Add(time.Minute)
	if s.notes[identity] == nil {
		s.notes[identity] = map[string]set{}
	}
	own := s.notes[identity][s.host]
	if own == nil {
		own = set{}
	}
	for _, p := range change.Adds {
		own[p] = true
	}
	s.notes[identity][s.host] = own
	if text := change.Policy + ids("+", change.Adds) + ids("-", change.Drops); text != "" {
		s.told = append(s.told, text)
	}
	turn := &policy.Turn{Identity: identity, ID: s.host, Own: list(own)}
	for host, noted := range s.notes[identity] {
		switch {
		case slices.Contains(s.gone, host):
			turn.Left = append(turn.Left, list(noted)...)
		case host != s.host:
			turn.Others = append(turn.Others, list(noted)...)
		}
	}
	return turn, nil
}

// ids are those of databases in RDS that permissions are for.
func ids(sign string, all []policy.Permission) (text string) {
	for _, p := range all {
		_, id, _ := strings.Cut(p.Resource, "dbuser:db-")
		text += " " + sign + strings.ToLower(strings.TrimSuffix(id, "/*"))
	}
	return text
}

func (s *seat) End(_ context.Context, turn *policy.Turn, granted []policy.Permission) error {
	return s.end(turn, func() {
		noted := set{}
		for _, p := range granted {
			noted[p] = true
		}
		s.notes[turn.Identity][s.host] = noted
		for _, host := range s.gone {
			delete(s.notes[turn.Identity], host)
		}
	})
}

func (s *seat) GiveUp(_ context.Context, turn *policy.Turn) error { return s.end(turn, func() {}) }

func (s *seat) end(turn *policy.Turn, note func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away || s.lost > 0 {
		s.lost--
		return fault.New(fault.ConnectionProblem, "the auth server cannot be reached")
	}
	if other := s.turns[turn.Identity]; !s.same && (other == nil || other.host != s.host) {
		return fault.New(fault.CompareFailed, "the turn is over")
	}
	delete(s.turns, turn.Identity)
	note()
	return nil
}

// noted are the resources that a host has noted with a role, by their ids.
func (l *ledger) noted(identity, host string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for p := range l.notes[identity][host] {
		_, id, _ := strings.Cut(p.Resource, "dbuser:db-")
		all = append(all, strings.ToLower(strings.TrimSuffix(id, "/*")))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}
