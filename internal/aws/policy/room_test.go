package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/resource"
)

// many are databases with names from "db100" on.
func (b *bench) many(n int) []*resource.Database {
	var all []*resource.Database
	for i := range n {
		all = append(all, b.database(fmt.Sprintf("db%d", 100+i)))
	}
	return all
}

// count returns how many have the status.
func count(statuses, status string) int { return strings.Count(statuses, ":"+status) }

func TestAsManyAsThereIsRoomFor(t *testing.T) {
	inBench(t, func(b *bench) {
		b.Agent.Attached = []string{b.managed(managing)} // which takes no room
		all := b.many(300)
		k := b.start("one")
		got := k.after(10*time.Second, all...)
		allowed := count(got, "success")
		if allowed < 100 || allowed+count(got, "failed") != 300 || len(strings.Fields(b.ids())) != allowed {
			t.Fatalf("%d are allowed, %d are not; the policy has %d", allowed, count(got, "failed"), len(strings.Fields(b.ids())))
		}
		if size := len(b.inline(b.Agent)); size > iampolicy.LimitRoleInline || size < iampolicy.LimitRoleInline-100 {
			t.Errorf("the policy has %d characters", size)
		}
		if n := len(b.Calls("iam", "PutRolePolicy")); n != 1 {
			t.Errorf("%d attempts", n)
		}
		if !b.letIn(all[0]) || b.letIn(all[299]) {
			t.Error("the first is not let in, or the last is")
		}
		for _, text := range []string{"role " + ownRole, "10240 characters", "assume_role_arn", "managed policy"} {
			if reason := k.reason(all[299]); !strings.Contains(reason, text) {
				t.Errorf("the reason lacks %q: %s", text, reason)
			}
		}
		k.after(10*time.Second, all...)
		if n := k.warnings(); n != 1 {
			t.Errorf("%d warnings", n)
		}

		// One that comes first by its name takes no other's room; it gets some when there is.
		early := b.database("aaa")
		got = k.after(10*time.Second, append(all, early)...)
		if !strings.HasPrefix(got, "aaa:failed") || count(got, "success") != allowed {
			t.Errorf("a new one: %.40s…, %d are allowed", got, count(got, "success"))
		}
		got = k.after(2*linger, append(all[20:], early)...)
		if !strings.HasPrefix(got, "aaa:success") || count(got, "success") < allowed-1 {
			t.Errorf("when there is room: %.40s…, %d are allowed", got, count(got, "success"))
		}
		if b.letIn(all[0]) || !b.letIn(early) {
			t.Error("one that is not served any more is let in, or the new one is not")
		}
	})
}

func TestOtherPoliciesTakeRoom(t *testing.T) {
	inBench(t, func(b *bench) {
		long := cloudtest.Allow("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("x", 5000))
		b.Update(func() { b.Agent.Inline["long"] = long })
		all := b.many(150)
		k := b.start("one")
		got := k.after(10*time.Second, all...)
		allowed := count(got, "success")
		room := iampolicy.LimitRoleInline - len(long) - len(managing)
		if size := len(b.inline(b.Agent)); size > room || size < room-100 || len(strings.Fields(b.ids())) != allowed || allowed < 50 {
			t.Errorf("%d are allowed, in %d of %d characters", allowed, size, room)
		}
		if n := len(b.Calls("iam", "PutRolePolicy")); n > 9 {
			t.Errorf("%d attempts", n)
		}
		if reason := k.reason(all[149]); !strings.Contains(reason, "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role agent") {
			t.Error(reason)
		}

		// When the others grow, nothing that is allowed is lost. What is not needed goes, even if that makes no room yet.
		gone := 6 * len(`"arn:aws:rds-db:us-west-1:111111111111:dbuser:db-DB100/*",`)
		growth := room - len(b.inline(b.Agent)) + gone - 20
		b.Update(func() { b.Agent.Inline["long"] = strings.Replace(long, "xxx", "xxx"+strings.Repeat("y", growth), 1) })
		if got := k.after(2*time.Hour, all...); count(got, "success") != allowed {
			t.Errorf("%d are allowed, not %d", count(got, "success"), allowed)
		}
		if got := k.after(2*linger, append(all[6:], b.database("aaa"))...); count(got, "success") != allowed-6 || b.letIn(all[0]) {
			t.Errorf("%d are allowed, not %d; one that is not served is let in: %t", count(got, "success"), allowed-6, b.letIn(all[0]))
		}
		if got := k.after(2*linger, all[:10]...); count(got, "success") != 10 || len(strings.Fields(b.ids())) != 10 {
			t.Errorf("%s; the policy has %s", got, b.ids())
		}
	}, managing)
}

func TestAUserHasLessRoom(t *testing.T) {
	inBench(t, func(b *bench) {
		user, err := b.Account("aws", cloudtest.AgentAccount).AddUser(fakeaws.User{Name: "agent", Path: "/team/", Permissions: fakeaws.Permissions{
			Attached: []string{b.managed(cloudtest.Allow("iam:*UserPolicy", "arn:aws:iam::111111111111:user/team/agent"))}}})
		if err != nil {
			t.Fatal(err)
		}
		keys := user.CreateKeys()
		cloudtest.Environment(t, map[string]string{"AWS_REGION": "us-west-1", "AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey})
		all := b.many(40)
		k := b.start("one")
		got := k.after(10*time.Second, all...)
		if n := count(got, "success"); n < 20 || n > 35 || !b.letIn(all[0]) || b.letIn(all[39]) {
			t.Errorf("%d are allowed", n)
		}
		if reason := k.reason(all[39]); !strings.Contains(reason, "user arn:aws:iam::111111111111:user/team/agent may have 2048 characters") || !strings.Contains(reason, "run the agent as a role") {
			t.Error(reason)
		}
		k.after(2*linger, b.database("other"))
		if user.Inline[policyName] == "" || strings.Contains(user.Inline[policyName], "DB1") {
			t.Error(user.Inline[policyName])
		}
		k.after(2 * linger)
		if len(user.Inline) > 0 {
			t.Error(user.Inline)
		}
	})
}

// managed adds a managed policy to the agent's account.
func (b *bench) managed(document string) string {
	b.Helper()
	arn, err := b.Account("aws", cloudtest.AgentAccount).AddPolicy("Managed", document)
	if err != nil {
		b.Fatal(err)
	}
	return arn
}
