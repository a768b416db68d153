package auth_test

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const sharedRole = "arn:aws:iam::111111111111:role/agent"

// permissions are for the database users of resources in RDS, given as "a b".
func permissions(ids string) []*sallyportv1.PolicyPermission {
	var all []*sallyportv1.PolicyPermission
	for _, id := range strings.Fields(ids) {
		all = append(all, &sallyportv1.PolicyPermission{Action: "rds-db:connect", Resource: "arn:aws:rds-db:us-west-1:111111111111:dbuser:" + id + "/*"})
	}
	return all
}

// ids is the reverse of permissions.
func ids(all []*sallyportv1.PolicyPermission) string {
	var found []string
	for _, one := range all {
		_, id, _ := strings.Cut(one.GetResource(), "dbuser:")
		found = append(found, strings.TrimSuffix(id, "/*"))
	}
	return strings.Join(found, " ")
}

// sharing are agents that share a role.
type sharing struct {
	*world
	agents []*authapi.Client
	turns  []string
}

func newSharing(t *testing.T, n int) *sharing {
	t.Helper()
	s := &sharing{world: newWorld(t), turns: make([]string, n)}
	for range n {
		id, _, err := s.auth.LocalIdentity(uuid.NewString(), 100*24*time.Hour, resource.RoleDb)
		if err != nil {
			t.Fatal(err)
		}
		s.agents = append(s.agents, s.as(id))
	}
	return s
}

// begin has an agent begin, and returns what it is told as "own|others|left"; "busy" when it has no turn.
func (s *sharing) begin(agent int, needs string) string {
	s.t.Helper()
	res, err := s.agents[agent].Policies.BeginPolicyChange(s.t.Context(), &sallyportv1.BeginPolicyChangeRequest{Identity: sharedRole, Needs: permissions(needs)})
	if err != nil {
		s.t.Fatal(err)
	}
	if res.GetTurn() == "" {
		if len(res.GetOwn())+len(res.GetOthers())+len(res.GetLeft()) > 0 {
			s.t.Errorf("an agent without its turn is told %v", res)
		}
		return "busy"
	}
	if res.GetLasts().AsDuration() != time.Minute {
		s.t.Errorf("a turn of %s", res.GetLasts().AsDuration())
	}
	s.turns[agent] = res.GetTurn()
	return ids(res.GetOwn()) + "|" + ids(res.GetOthers()) + "|" + ids(res.GetLeft())
}

func (s *sharing) end(agent int, granted string) error {
	_, err := s.agents[agent].Policies.EndPolicyChange(s.t.Context(), &sallyportv1.EndPolicyChangeRequest{Identity: sharedRole, Turn: s.turns[agent], Granted: permissions(granted)})
	return err
}

func (s *sharing) fail(agent int) {
	s.t.Helper()
	if _, err := s.agents[agent].Policies.EndPolicyChange(s.t.Context(), &sallyportv1.EndPolicyChangeRequest{Identity: sharedRole, Turn: s.turns[agent], Failed: true}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sharing) must(got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("told %q, want %q", got, want)
	}
}

func (s *sharing) ends(agent int, granted string) {
	s.t.Helper()
	if err := s.end(agent, granted); err != nil {
		s.t.Error(err)
	}
}

func TestAgentsTakeTurnsAtAPolicy(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 2)
	s.must(s.begin(0, "a"), "a||")
	s.must(s.begin(1, "b"), "busy")
	first := s.turns[0]
	s.clock.Advance(50 * time.Second)
	s.must(s.begin(0, "a2"), "a a2||") // which lengthens the turn
	if s.turns[0] != first {
		t.Error("the turn changed while it lasted")
	}
	s.clock.Advance(50 * time.Second)
	s.must(s.begin(1, "b"), "busy")
	s.ends(0, "a")
	s.must(s.begin(1, "b"), "b|a|")
	if s.turns[1] == first {
		t.Error("another's turn has the same name")
	}
	s.clock.Advance(2 * time.Minute)
	s.ends(1, "b") // late, and nobody came between
	s.must(s.begin(0, ""), "a|b|")
	s.clock.Advance(2 * time.Minute)
	s.must(s.begin(1, "c"), "b c|a|") // the first has disappeared
	if err := s.end(0, "x"); !fault.Is(err, fault.CompareFailed) {
		t.Errorf("a turn that another has taken: %v", err)
	}
	s.turns[0] = s.turns[1]
	if err := s.end(0, "x"); !fault.Is(err, fault.CompareFailed) {
		t.Errorf("a turn of another: %v", err)
	}
	s.ends(1, "c")
	s.must(s.begin(0, ""), "a|c|")
}

func TestNeedsAreKeptForAsLongAsSomebodyMayHaveThem(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 3)
	s.must(s.begin(0, "shared a"), "a shared||")
	s.ends(0, "shared a")
	s.must(s.begin(1, "shared b"), "b shared|a shared|")
	s.ends(1, "shared b")

	// What an agent was about to put there is known even if it never came to the end.
	s.must(s.begin(0, "later"), "a later shared|b shared|")
	s.fail(0)
	s.must(s.begin(0, ""), "a later shared|b shared|")
	s.clock.Advance(2 * time.Minute) // killed
	s.must(s.begin(1, ""), "b shared|a later shared|")
	s.ends(1, "shared b")
	s.must(s.begin(0, ""), "a later shared|b shared|")
	s.ends(0, "a later")
	s.must(s.begin(1, ""), "b shared|a later|")
	s.ends(1, "shared b")

	// An agent that is gone leaves what it had to the next that comes to an end, and to no other.
	s.clock.Advance(23 * time.Hour)
	s.must(s.begin(1, ""), "b shared|a later|")
	s.ends(1, "shared b")
	s.clock.Advance(2 * time.Hour)
	s.must(s.begin(1, ""), "b shared||a later")
	s.fail(1)
	s.must(s.begin(2, "c"), "c|b shared|a later")
	s.ends(2, "c")
	s.must(s.begin(1, ""), "b shared|c|")
	s.ends(1, "shared b")

	// One that was thought to be gone and comes back has what it had.
	s.clock.Advance(25 * time.Hour)
	s.must(s.begin(1, ""), "b shared||c")
	s.clock.Advance(2 * time.Minute)
	s.must(s.begin(2, ""), "c|b shared|")
	s.ends(2, "")
	s.must(s.begin(1, ""), "b shared||")
}

func TestWhoChangesPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: all}\nspec: {allow: {rules: [{resources: ['*'], verbs: ['*']}]}}\n---\nkind: user\nversion: v2\nmetadata: {name: root}\nspec: {roles: [all]}\n")
	agent := w.as(w.host(resource.RoleDb))
	many := permissions(strings.Repeat("x ", 301))
	need := func(action, arn string) []*sallyportv1.PolicyPermission {
		return []*sallyportv1.PolicyPermission{{Action: action, Resource: arn}}
	}
	for _, c := range []struct {
		name     string
		api      *authapi.Client
		identity string
		needs    []*sallyportv1.PolicyPermission
		kind     fault.Kind
	}{
		{"a stranger", w.as(nil), sharedRole, nil, fault.Unauthenticated},
		{"a user", w.as(w.user("root")), sharedRole, nil, fault.AccessDenied},
		{"a proxy", w.proxy, sharedRole, nil, fault.AccessDenied},
		{"discovery", w.as(w.host(resource.RoleDiscovery)), sharedRole, nil, fault.AccessDenied},
		{"no identity", agent, "", nil, fault.BadParameter},
		{"a session", agent, "arn:aws:sts::111111111111:assumed-role/agent/i-1", nil, fault.BadParameter},
		{"a role with its path, which would be another record", agent, "arn:aws:iam::111111111111:role/team/agent", nil, fault.BadParameter},
		{"a group", agent, "arn:aws:iam::111111111111:group/agent", nil, fault.BadParameter},
		{"no account", agent, "arn:aws:iam::aws:role/agent", nil, fault.BadParameter},
		{"too many needs", agent, sharedRole, many, fault.BadParameter},
		{"a need without an action", agent, sharedRole, need("connect", "arn:aws:x"), fault.BadParameter},
		{"a need of everything", agent, sharedRole, need("rds-db:connect", "*"), fault.BadParameter},
		{"a need without an end", agent, sharedRole, need("rds-db:connect", "arn:"+strings.Repeat("x", 1100)), fault.BadParameter},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.api.Policies.BeginPolicyChange(t.Context(), &sallyportv1.BeginPolicyChangeRequest{Identity: c.identity, Needs: c.needs})
			if !fault.Is(err, c.kind) {
				t.Errorf("begin: %v", err)
			}
			_, err = c.api.Policies.EndPolicyChange(t.Context(), &sallyportv1.EndPolicyChangeRequest{Identity: c.identity, Granted: c.needs})
			if !fault.Is(err, c.kind) {
				t.Errorf("end: %v", err)
			}
		})
	}
}

func TestPoliciesAreApart(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 2)
	s.must(s.begin(0, "a"), "a||")
	for _, other := range []string{"arn:aws:iam::111111111111:user/agent", "arn:aws:iam::222222222222:role/agent", "arn:aws-cn:iam::111111111111:role/agent"} {
		res, err := s.agents[1].Policies.BeginPolicyChange(t.Context(), &sallyportv1.BeginPolicyChangeRequest{Identity: other})
		if err != nil || res.GetTurn() == "" || len(res.GetOthers()) > 0 {
			t.Errorf("%s: %v %v", other, res, err)
		}
	}
}

func TestChangesOfPoliciesAreRecorded(t *testing.T) {
	t.Parallel()
	s := newSharing(t, 1)
	change := func(needs, drops string) error {
		_, err := s.agents[0].Policies.BeginPolicyChange(t.Context(), &sallyportv1.BeginPolicyChangeRequest{
			Identity: sharedRole, Policy: "test.local-access", Needs: permissions(needs), Drops: permissions(drops)})
		return err
	}
	recorded := func(what string, want int, texts ...string) {
		t.Helper()
		if got := s.events("aws.iam_policy.update", texts...); got != want {
			t.Errorf("%s: %d events with %q, want %d", what, got, texts, want)
		}
	}
	s.must(s.begin(0, ""), "||")
	recorded("nothing is changed", 0)
	if err := change("a b", "c"); err != nil {
		t.Fatal(err)
	}
	recorded("a change", 1, `"aws_identity":"`+sharedRole+`"`, `"aws_policy":"test.local-access"`, `"server_id":"`,
		`"added":["rds-db:connect arn:aws:rds-db:us-west-1:111111111111:dbuser:a/*","rds-db:connect arn:aws:rds-db:us-west-1:111111111111:dbuser:b/*"]`,
		`"removed":["rds-db:connect arn:aws:rds-db:us-west-1:111111111111:dbuser:c/*"]`)
	s.fail(0)
	if err := change("b a", "c"); err != nil {
		t.Fatal(err)
	}
	recorded("the same again, since it failed", 1)
	if err := change("a b c", ""); err != nil {
		t.Fatal(err)
	}
	recorded("another change", 2)
	s.must(s.begin(0, ""), "a b c||")
	s.ends(0, "a b c")
	if err := change("a b c", ""); err != nil {
		t.Fatal(err)
	}
	recorded("the same after all went well", 3)
	if err := change("", strings.Repeat("x ", 301)); !fault.Is(err, fault.BadParameter) {
		t.Errorf("too many permissions taken away: %v", err)
	}
}

// TestChangesThatCannotBeRecorded has the audit log fail.
func TestChangesThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	log, err := eventlog.Open(t.Context(), eventlog.Config{Dir: t.TempDir(), HostID: uuid.NewString(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Encoder: audit.NewEncoder(cluster, audit.NewUIDs(rand.Reader))})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *auth.Config) { c.Log = log })
	agent := w.as(w.host(resource.RoleDb))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	begin := func(needs, drops string) error {
		_, err := agent.Policies.BeginPolicyChange(t.Context(), &sallyportv1.BeginPolicyChangeRequest{Identity: sharedRole, Needs: permissions(needs), Drops: permissions(drops)})
		return err
	}
	for name, err := range map[string]error{"adds": begin("a", ""), "drops": begin("", "a"), "the same again": begin("a", "")} {
		if err == nil {
			t.Errorf("%s: an agent may change what cannot be recorded", name)
		}
	}
	if err := begin("", ""); err != nil {
		t.Errorf("nothing is changed: %v", err)
	}
}
