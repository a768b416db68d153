package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
	"sallyport/internal/resource"
)

const linger = 16 * time.Minute // a little more than databases may be away

func TestAnAgentAllowsItselfWhatItServes(t *testing.T) {
	inBench(t, func(b *bench) {
		orders, books := b.database("orders"), b.database("books")
		k := b.start("one")
		b.wants("at first", k.serve(orders), "orders:pending")
		if b.letIn(orders) {
			t.Fatal("AWS lets in before anything was allowed")
		}
		changed := k.Changed()
		time.Sleep(5 * time.Second)
		select {
		case <-changed:
		default:
			t.Error("nobody was told of the new status")
		}
		b.wants("a moment later", k.serve(orders, books), "books:pending orders:success")
		if !b.letIn(orders) || b.letIn(books) {
			t.Errorf("AWS lets into orders: %t, into books: %t", b.letIn(orders), b.letIn(books))
		}
		b.wants("another later", k.after(5*time.Second, orders, books), "books:success orders:success")
		b.wants("the policy", b.ids(), "books orders")
		if !b.letIn(books) {
			t.Error("AWS does not let into books")
		}

		// One that is not served for a moment loses nothing, and one that is not served any more everything.
		k.after(10*time.Minute, orders)
		b.wants("the policy a moment after the end", b.ids(), "books orders")
		b.wants("back", k.serve(orders, books), "books:success orders:success")
		k.after(10*time.Minute, orders)
		b.wants("the policy a moment after the second end", b.ids(), "books orders")
		k.after(linger, orders)
		b.wants("the policy after the end", b.ids(), "orders")
		if b.letIn(books) || !b.letIn(orders) {
			t.Errorf("AWS lets into orders: %t, into books: %t", b.letIn(orders), b.letIn(books))
		}
		k.after(linger)
		b.wants("the policy after all", b.inline(b.Agent), "")
		b.wants("what is noted", b.ledger.noted(ownRole, "one"), "[]")
		if k.warnings() > 0 {
			t.Error(k.log)
		}
		before := len(b.Calls("iam", ""))
		k.after(6 * time.Hour)
		if n := len(b.Calls("iam", "")) - before; n > 0 {
			t.Errorf("%d calls of IAM for nobody", n)
		}
	}, managing)
}

func TestThePolicyIsLookedAfter(t *testing.T) {
	inBench(t, func(b *bench) {
		orders := b.database("orders")
		k := b.start("one")
		k.after(linger+time.Minute, orders)
		before := len(b.Calls("iam", ""))
		k.after(8*time.Hour, orders)
		if n := len(b.Calls("iam", "GetRolePolicy")); n < 8 || n > 13 {
			t.Errorf("looked %d times", n)
		}
		if n, gets := len(b.Calls("iam", ""))-before, len(b.Calls("iam", "GetRolePolicy")); n > gets {
			t.Errorf("%d calls, %d of them to look", n, gets)
		}
		b.Update(func() { delete(b.Agent.Inline, policyName) })
		k.after(time.Hour+time.Minute, orders)
		b.wants("a policy that somebody deleted, an hour later", b.ids(), "orders")
	}, managing)
}

func TestEndpointsOfOneClusterShareAPermission(t *testing.T) {
	inBench(t, func(b *bench) {
		cluster := func(name, label string) *resource.Database {
			return b.at(name, "books."+label+"-abcdefghijkl.us-west-1.rds.amazonaws.com:5432", func(db *resource.Database) {
				db.Status.AWS.RDS.ResourceID, db.Status.AWS.AccountID = "db-BOOKS", cloudtest.AgentAccount
			})
		}
		primary, reader, other := cluster("books", "cluster"), cluster("books-reader", "cluster-ro"), b.database("other")
		k := b.start("one")
		b.wants("all", k.after(5*time.Second, primary, reader, other), "books:success books-reader:success other:success")
		b.wants("the policy", b.ids(), "books other")
		k.after(2*linger, primary, other)
		b.wants("the policy without the reader", b.ids(), "books other")
		if !b.letIn(primary) {
			t.Error("AWS does not let into the primary any more")
		}
		k.after(linger, other)
		b.wants("the policy without both", b.ids(), "other")
	}, managing)
}

func TestAgentsShareARole(t *testing.T) {
	inBench(t, func(b *bench) {
		b.Inject(fakeaws.Fault{Service: "iam", Kind: fakeaws.Delay, Delay: 700 * time.Millisecond})
		var all []*running
		var own []*resource.Database
		shared := b.database("shared")
		for i := range 6 {
			all = append(all, b.start(fmt.Sprint(i)))
			own = append(own, b.database(fmt.Sprintf("own%d", i)))
		}
		for i, k := range all {
			k.serve(own[i], shared)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i, k := range all {
			b.wants("agent "+fmt.Sprint(i), k.serve(own[i], shared), fmt.Sprintf("own%d:success shared:success", i))
		}
		b.wants("the policy", b.ids(), "own0 own1 own2 own3 own4 own5 shared")
		all[0].serve(own[0]) // without the shared one
		for i, k := range all[1:] {
			k.serve(own[i+1], shared)
		}
		time.Sleep(2 * linger)
		b.wants("the policy when one agent has given up the shared one", b.ids(), "own0 own1 own2 own3 own4 own5 shared")
		for i, k := range all {
			k.serve(own[i])
		}
		time.Sleep(2 * linger)
		b.wants("the policy when all have", b.ids(), "own0 own1 own2 own3 own4 own5")

		// An agent that stops keeps what it has, for it may come back; one that is gone leaves it to the others.
		all[5].stop()
		time.Sleep(3 * time.Hour)
		b.wants("the policy when one agent has stopped", b.ids(), "own0 own1 own2 own3 own4 own5")
		b.ledger.set(func() { b.ledger.gone = []string{"5"} })
		time.Sleep(2 * time.Hour)
		b.wants("the policy when it is gone", b.ids(), "own0 own1 own2 own3 own4")
	}, managing)
}

// TestWithoutTurnsAgentsLoseWhatOthersWrote makes sure that TestAgentsShareARole would notice.
func TestWithoutTurnsAgentsLoseWhatOthersWrote(t *testing.T) {
	inBench(t, func(b *bench) {
		b.Inject(fakeaws.Fault{Service: "iam", Kind: fakeaws.Delay, Delay: 700 * time.Millisecond})
		b.ledger.same = true
		for i := range 6 {
			b.start(fmt.Sprint(i)).serve(b.database(fmt.Sprintf("own%d", i)))
		}
		time.Sleep(2 * time.Minute)
		if got := b.ids(); strings.Contains(got, "own0") && strings.Contains(got, "own1") {
			t.Errorf("nothing was lost: %s", got)
		}
	}, managing)
}

func TestNothingIsTakenAwayOnDoubt(t *testing.T) {
	inBench(t, func(b *bench) {
		orders, books := b.database("orders"), b.database("books")
		unknown := resource.Clone(books)
		unknown.Status.AWS = resource.AWS{}
		k := b.start("one")
		k.after(5*time.Second, orders, books)
		k.stop()
		time.Sleep(time.Hour)

		// After a restart, databases are found one after the other, and AWS does not say yet which they are.
		k = b.start("one")
		b.wants("the first", k.after(5*time.Second, orders), "orders:success")
		b.wants("the policy at first", b.ids(), "books orders")
		b.wants("one that is not known", k.after(3*time.Hour, orders, unknown), "books:failed orders:success")
		b.wants("the policy with one that is not known", b.ids(), "books orders")
		if reason := k.reason(unknown); !strings.Contains(reason, "rds:DescribeDBInstances") || !strings.Contains(reason, "aws.rds.resource_id") {
			t.Errorf("no next step: %s", reason)
		}
		k.after(linger, orders)
		k.after(linger, orders)
		b.wants("the policy when it is known that it is not served", b.ids(), "orders")

		// What a killed process was about to put there is noted, even if it got no further.
		k.stop()
		b.ledger.set(func() { b.ledger.lost = 1 })
		k = b.start("one")
		k.after(3*time.Second, orders, books)
		k.stop()
		b.wants("the policy after the death", b.ids(), "books orders")
		b.wants("noted", b.ledger.noted(ownRole, "one"), "[books orders]")
		time.Sleep(time.Hour)
		k = b.start("one")
		k.after(2*linger, orders)
		b.wants("the policy after the next start", b.ids(), "orders")
	}, managing)
}

func TestTroubleIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  fakeaws.Fault
		reason string
	}{
		{"throttling", fakeaws.Fault{Service: "iam", Kind: fakeaws.Throttle}, "too often"},
		{"a failure of IAM", fakeaws.Fault{Service: "iam", Kind: fakeaws.ServerError}, "InternalFailure"},
		{"IAM away when writing", fakeaws.Fault{Service: "iam", Operation: "PutRolePolicy", Kind: fakeaws.Unavailable}, "ServiceUnavailable"},
		{"no permission", fakeaws.Fault{Service: "iam", Kind: fakeaws.Denied}, "iam:PutRolePolicy"},
		{"a role of the Identity Center", fakeaws.Fault{Service: "iam", Operation: "PutRolePolicy", Kind: fakeaws.Custom,
			Error: &wire.Error{Code: "UnmodifiableEntity", Message: "Cannot perform the operation on the protected role 'AWSReservedSSO_x'"}}, "permission set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBench(t, func(b *bench) {
				orders, books := b.database("orders"), b.database("books")
				k := b.start("one")
				k.after(5*time.Second, orders)
				remove := b.Inject(c.fault)
				b.wants("in trouble", k.after(5*time.Second, orders, books), "books:failed orders:failed")
				if reason := k.reason(books); !strings.Contains(reason, c.reason) {
					t.Errorf("the reason does not tell %q: %s", c.reason, reason)
				}
				k.after(6*time.Hour, orders, books)
				b.wants("the policy", b.ids(), "orders")
				if n := len(b.Calls("iam", "")); k.warnings() != 1 || n > 150 {
					t.Errorf("%d warnings, %d calls in 6 hours:\n%s", k.warnings(), n, k.log)
				}
				remove()
				b.wants("over", k.after(11*time.Minute, orders, books), "books:success orders:success")
				b.wants("the policy", b.ids(), "books orders")
			}, managing)
		})
	}
	t.Run("the auth server away", func(t *testing.T) {
		inBench(t, func(b *bench) {
			orders := b.database("orders")
			b.ledger.away = true
			k := b.start("one")
			b.wants("in trouble", k.after(time.Hour, orders), "orders:failed")
			if n := len(b.Calls("iam", "")); n > 0 || k.warnings() != 1 {
				t.Errorf("%d calls of IAM without a turn; %d warnings", n, k.warnings())
			}
			b.ledger.set(func() { b.ledger.away = false })
			b.wants("over", k.after(11*time.Minute, orders), "orders:success")
		}, managing)
	})
	t.Run("no answer of one account", func(t *testing.T) {
		inBench(t, func(b *bench) {
			b.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(ownRole, ""), managing)
			b.Inject(fakeaws.Fault{Service: "iam", Account: cloudtest.DatabaseAccount, Kind: fakeaws.Delay, Delay: 40 * time.Second})
			far := b.at("far", "far.abcdefghijkl.us-west-1.rds.amazonaws.com:5432", func(db *resource.Database) {
				db.Spec.AWS.AssumeRoleARN, db.Status.AWS.RDS.ResourceID = "arn:aws:iam::222222222222:role/databases", "db-FAR"
				db.Status.AWS.AccountID = cloudtest.DatabaseAccount
			})
			k := b.start("one")
			k.after(3*time.Second, far) // under way
			b.wants("beside it", k.after(5*time.Second, far, b.database("orders")), "far:pending orders:success")
		}, managing, cloudtest.AllowAssume)
	})
}

func TestOneWhoMayNotIsToldWhatToDo(t *testing.T) {
	inBench(t, func(b *bench) {
		orders := b.database("orders")
		k := b.start("one")
		b.wants("not permitted", k.after(time.Minute, orders), "orders:failed")
		for _, text := range []string{
			"AccessDenied: User: arn:aws:sts::111111111111:assumed-role/agent/i-1 is not authorized to perform: iam:GetRolePolicy",
			policyName, `"Action":["iam:GetRolePolicy","iam:PutRolePolicy","iam:DeleteRolePolicy"],"Resource":"` + ownRole + `"`,
			"switch db_service.manage_iam_policy off",
		} {
			if reason := k.reason(orders); !strings.Contains(reason, text) {
				t.Errorf("the status lacks %q: %s", text, reason)
			}
			if logged := strings.ReplaceAll(k.log.String(), `\"`, `"`); k.warnings() != 1 || !strings.Contains(logged, text) {
				t.Errorf("the log lacks %q:\n%s", text, logged)
			}
		}
		b.Update(func() { b.Agent.Inline["more"] = managing })
		b.wants("permitted", k.after(15*time.Minute, orders), "orders:success")
	})
}
