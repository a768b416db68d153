package policy_test

import (
	"strings"
	"testing"
	"time"
)

// TestChangesAreRecordedFirst has the authority record no changes: none is made.
func TestChangesAreRecordedFirst(t *testing.T) {
	inBench(t, func(b *bench) {
		orders, books := b.database("orders"), b.database("books")
		b.ledger.set(func() { b.ledger.mute = true })
		k := b.start("one")
		b.wants("while nothing is recorded", k.after(time.Minute, orders), "orders:failed")
		b.wants("the policy", b.inline(b.Agent), "")
		b.ledger.set(func() { b.ledger.mute = false })
		k.after(11*time.Minute, orders)
		k.after(time.Minute, orders, books)
		b.wants("the policy when everything is recorded", b.ids(), "books orders")
		b.ledger.set(func() { b.ledger.mute = true })
		k.after(2*linger, orders)
		b.wants("the policy when no removal can be recorded", b.ids(), "books orders")
		b.ledger.set(func() { b.ledger.mute = false })
		k.after(11*time.Minute, orders)
		k.after(2 * linger)
		b.wants("the policy in the end", b.inline(b.Agent), "")
		b.wants("what was recorded", strings.Join(b.ledger.told, "; "),
			policyName+" +orders; "+policyName+" +books; "+policyName+" -books; "+policyName+" -orders")
		if n := len(b.Calls("iam", "PutRolePolicy")) + len(b.Calls("iam", "DeleteRolePolicy")); n != len(b.ledger.told) {
			t.Errorf("%d changes, and %q recorded", n, b.ledger.told)
		}
	}, managing)
}
