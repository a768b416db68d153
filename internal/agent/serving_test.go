package agent_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const pinningRole = `
kind: role
version: v7
metadata: {name: pinned}
spec:
  options: {pin_source_ip: true}
  allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}
`

func TestRolesThatPinAddressesRefuseCertificatesWithoutOne(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.store(t, pinningRole+"---\n"+strings.NewReplacer("name: pinned", "name: open", "pin_source_ip: true", "").Replace(pinningRole))
	r := a.start(t, nil, database(t, "orders", nil))
	eventually(t, "the database is served", func() bool { return strings.Contains(r.visit(t, "orders", alice("orders")), "role") })
	for name, c := range map[string]struct{ role, pin, says string }{
		"a role that pins, no pin":           {"pinned", "", "bind certificates to the address of their user and yours is bound to none"},
		"a role that pins, another's pin":    {"pinned", "192.0.2.9", "bound to another address"},
		"a role that pins, the client's pin": {"pinned", "192.0.2.1", "allowed"},
		"a role that does not, no pin":       {"open", "", "allowed"},
	} {
		id := alice("orders", c.role)
		id.PinnedIP = c.pin
		if said := r.visit(t, "orders", id); !strings.Contains(said, c.says) {
			t.Errorf("%s: %q", name, said)
		}
	}
}

// TestListenerCertificateStaysUntilItEnds lets the certificate that clients see go past half of its life
// while no new one is to be had.
func TestListenerCertificateStaysUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		a.lasts = time.Hour
		r := a.start(t, nil, database(t, "orders", nil))
		time.Sleep(time.Second)
		works := func() bool { return strings.Contains(r.visit(t, "orders", alice("orders")), "role") }
		if !works() {
			t.Fatal("it does not work at all")
		}
		a.set(func() { a.sign = func() error { return fault.New(fault.ConnectionProblem, "away") } })
		time.Sleep(55 * time.Minute)
		if !works() {
			t.Error("the certificate was dropped before its end")
		}
		time.Sleep(10 * time.Minute)
		if said := r.visit(t, "orders", alice("orders")); !strings.Contains(said, "remote error") { // and not the client's own
			t.Errorf("the certificate is shown after its end: %s", said)
		}
		a.set(func() { a.sign = nil })
		time.Sleep(time.Minute)
		if !works() {
			t.Error("no new certificate was got")
		}
	})
}

func TestDatabaseStaysInServiceUnlessItsRegistrationIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		serves bool
	}{
		"away":            {fault.New(fault.ConnectionProblem, "away"), true},
		"trouble":         {fault.New(fault.Internal, "trouble"), true},
		"too much":        {fault.New(fault.LimitExceeded, "too much"), true},
		"changed":         {fault.New(fault.CompareFailed, "changed"), true},
		"unauthenticated": {fault.New(fault.Unauthenticated, "who"), true},
		"denied":          {fault.New(fault.AccessDenied, "no"), false},
		"wrong":           {fault.New(fault.BadParameter, "no"), false},
		"taken":           {fault.New(fault.AlreadyExists, "no"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t)
				r := a.start(t, nil, database(t, "orders", nil))
				time.Sleep(time.Second)
				a.set(func() { a.put = func(context.Context, resource.Resource) error { return c.err } })
				time.Sleep(5 * time.Minute) // the next heartbeat
				if said := r.visit(t, "orders", alice("orders")); strings.Contains(said, "role") != c.serves {
					t.Errorf("said %q", said)
				}
			})
		})
	}
}

// TestAuthThatIsAwayIsAskedOnce in each round, so that an agent of many databases is not busy with asking for hours.
func TestAuthThatIsAwayIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		a.start(t, nil, database(t, "first", nil), database(t, "second", nil), database(t, "third", nil))
		time.Sleep(time.Second)
		asked := make(map[string]int)
		a.set(func() {
			a.put = func(_ context.Context, r resource.Resource) error {
				a.set(func() { asked[r.GetKind()+" "+r.GetName()]++ })
				return fault.New(fault.ConnectionProblem, "away")
			}
		})
		time.Sleep(5 * time.Minute) // the next heartbeat
		a.set(func() {
			if n := asked[resource.KindDatabaseServer+" first"]; n == 0 || asked[resource.KindDatabaseServer+" second"] > 0 || asked[resource.KindDatabaseServer+" third"] > 0 {
				t.Errorf("asked %v", asked)
			}
		})
	})
}

// TestGoodbyeIsTheLastWord stops an agent while a registration is under way: what arrives after the goodbye
// would stand for minutes.
func TestGoodbyeIsTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		var begun atomic.Bool
		a.put = func(_ context.Context, r resource.Resource) error {
			begun.Store(r.GetKind() == resource.KindDatabaseServer)
			time.Sleep(time.Second) // slower than the agent's hurry to stop
			return nil
		}
		r := a.start(t, nil, database(t, "orders", nil))
		for !begun.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		r.stop()
		time.Sleep(time.Minute)
		if a.server("orders") != nil {
			t.Error("the database is registered although its agent said goodbye")
		}
	})
}

func TestDatabaseOfAnUnknownProtocolIsListedAndWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		db := database(t, "shop", nil)
		db.Spec.Protocol = "oracle"
		r := a.start(t, nil, db)
		time.Sleep(10 * time.Minute)
		if a.server("shop") == nil {
			t.Error("it is not listed")
		}
		if n := strings.Count(r.log.String(), "it speaks oracle, which this version cannot serve"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		r.visit(t, "shop", alice("shop"))
		if !strings.Contains(r.log.String(), "client refused") {
			t.Error("the visit left no line in the log")
		}
	})
}

func TestServiceAnnouncesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		r := a.start(t, func(cfg *agent.Config) {
			cfg.Selectors = []resource.ResourceSelector{{Labels: resource.Labels{"team": {"red"}}}}
		})
		announced := func() *resource.DatabaseService {
			a.mu.Lock()
			defer a.mu.Unlock()
			service, _ := a.servers[resource.KindDatabaseService+"/"+hostID].(*resource.DatabaseService)
			return service
		}
		time.Sleep(time.Second)
		service := announced()
		if service == nil || service.Spec.Hostname != "agent" || len(service.Spec.Resources) != 1 {
			t.Fatalf("announced: %v", service)
		}
		time.Sleep(time.Hour)
		if expires := announced().Metadata.Expires; expires == nil || !expires.After(time.Now()) {
			t.Errorf("not refreshed: it expires at %v", expires)
		}
		r.stop()
		if announced() != nil {
			t.Error("it is still announced after the service stopped")
		}
	})
}

// found are databases that somebody has found for an agent.
type found []*resource.Database

func (f found) Databases() (all []*resource.Database) {
	for _, db := range f {
		all = append(all, resource.Clone(db))
	}
	return all
}

func (found) Changed() <-chan struct{} { return nil }

// TestWhatIsFoundTakesNoNameThatIsWritten has databases found under the names of others, as tags in a cloud can name them.
func TestWhatIsFoundTakesNoNameThatIsWritten(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.store(t, "kind: db\nversion: v3\nmetadata: {name: dynamic, labels: {team: red}}\nspec: {protocol: postgres, uri: 'right:1'}\n---\n"+
		"kind: db\nversion: v3\nmetadata: {name: others, labels: {team: blue}}\nspec: {protocol: postgres, uri: 'right:1'}\n")
	at := func(name, uri string) *resource.Database {
		db := database(t, name, nil)
		db.Spec.URI = uri
		return db
	}
	r := a.start(t, func(cfg *agent.Config) {
		cfg.Selectors = []resource.ResourceSelector{{Labels: resource.Labels{"team": {"red"}}}}
		cfg.Found = found{at("static", "wrong:1"), at("dynamic", "wrong:1"), at("own", "right:1")}
	}, at("static", "right:1"))
	eventually(t, "all are served", func() bool { return a.server("static") != nil && a.server("dynamic") != nil && a.server("own") != nil })
	for _, name := range []string{"static", "dynamic", "own"} {
		if uri := a.server(name).Spec.Database.Spec.URI; uri != "right:1" {
			t.Errorf("%s is at %s", name, uri)
		}
	}
	eventually(t, "it is told", func() bool { return strings.Contains(r.log.String(), "is passed over: wrong:1") })
}

// TestSelectorsSayByWhichRole has db resources with and without a role, and selectors of which some name another. The first
// selector that matches decides, and a role comes with its own external id or none.
func TestSelectorsSayByWhichRole(t *testing.T) {
	t.Parallel()
	const own, other = "arn:aws:iam::222222222222:role/own", "arn:aws:iam::222222222222:role/other"
	a := newAuthority(t)
	selector := func(label, role, id string) resource.ResourceSelector {
		s := resource.ResourceSelector{Labels: resource.Labels{label: {"yes"}}}
		s.AWS.AssumeRoleARN, s.AWS.ExternalID = role, id
		return s
	}
	const aws = ", aws: {account_id: '222222222222', assume_role_arn: '" + own + "', external_id: own-id}"
	for name, labels := range map[string]string{"replaced": "replace: 'yes', keep: 'yes'", "cleared": "clear: 'yes'", "kept": "keep: 'yes', late: 'yes'", "nobodys": "a: b"} {
		a.store(t, "kind: db\nversion: v3\nmetadata: {name: "+name+", labels: {"+labels+"}}\nspec: {protocol: postgres, uri: 'orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432'"+aws+"}\n")
	}
	a.store(t, "kind: db\nversion: v3\nmetadata: {name: given, labels: {replace: 'yes'}}\nspec: {protocol: postgres, uri: 'orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432'}\n")
	a.start(t, func(cfg *agent.Config) {
		cfg.Selectors = []resource.ResourceSelector{selector("replace", other, "other-id"), selector("clear", other, ""), selector("keep", "", ""), selector("late", other, "late-id")}
	})
	for name, want := range map[string]string{"replaced": other + " other-id", "cleared": other + " ", "kept": own + " own-id", "given": other + " other-id"} {
		eventually(t, name, func() bool {
			server := a.server(name)
			return server != nil && server.Spec.Database.Spec.AWS.AssumeRoleARN+" "+server.Spec.Database.Spec.AWS.ExternalID == want
		})
	}
	if a.server("nobodys") != nil {
		t.Error("a database that no selector matches is served")
	}
}

// TestAUserOfAnotherProtocolIsRecorded has a client say that it speaks what the database does not, to which nothing can be
// answered.
func TestAUserOfAnotherProtocolIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		log := a.keep()
		r := a.start(t, func(c *agent.Config) { c.Engines["mysql"] = c.Engines["postgres"] }, database(t, "orders", nil))
		time.Sleep(time.Second)
		for _, c := range []struct {
			protocol string
			served   bool
		}{{"teleport-postgres", true}, {"teleport-mysql", false}} {
			if said := r.visit(t, "orders", alice("orders"), c.protocol); strings.Contains(said, "role") != c.served {
				t.Errorf("%s: said %q", c.protocol, said)
			}
		}
		time.Sleep(time.Minute)
		all := log.with(`"event":"auth"`)
		if whole := log.with(`"event":"auth"`, `"user":"alice"`, `speaks teleport-mysql and database \"orders\" speaks postgres`, `"addr.remote":"192.0.2.1:1234"`); len(all) != 1 || len(whole) != 1 {
			t.Errorf("recorded: %q", all)
		}
	})
}
