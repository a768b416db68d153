package policy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/resource"
)

// behind is an instance in the databases' account that is reached by a role with an external id.
func (b *bench) behind(name, role, externalID string) *resource.Database {
	b.Helper()
	return b.at(name, name+".abcdefghijkl.us-west-1.rds.amazonaws.com:5432", func(db *resource.Database) {
		db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = role, externalID
		db.Status.AWS.RDS.ResourceID, db.Status.AWS.AccountID = "db-"+strings.ToUpper(name), cloudtest.DatabaseAccount
	})
}

func TestEachIdentityHasItsOwnPolicy(t *testing.T) {
	inBench(t, func(b *bench) {
		role, err := b.Account("aws", cloudtest.DatabaseAccount).AddRole(fakeaws.Role{Name: "databases", Path: "/team/", Trust: cloudtest.Trust(ownRole, "right"),
			Permissions: cloudtest.Inline(managing)})
		if err != nil {
			t.Fatal(err)
		}
		own, far := b.database("own"), b.behind("far", role.ARN(), "right")
		wrong := b.behind("aaa-wrong", role.ARN(), "wrong") // comes first by its name
		k := b.start("one")
		b.wants("all", k.after(5*time.Second, own, far, wrong), "aaa-wrong:success far:success own:success")
		b.wants("own policy", b.ids(), "own")
		if text := b.inline(role); !strings.Contains(text, "db-FAR/*") || strings.Contains(text, "db-OWN") {
			t.Errorf("the other's policy: %s", text)
		}
		if !b.letIn(far) || !b.letIn(own) {
			t.Error("AWS does not let in")
		}

		// The last database of a role takes its permission along, also when it is the one with the wrong external id.
		k.after(2*linger, own, wrong)
		if text := b.inline(role); strings.Contains(text, "db-FAR/*") || !strings.Contains(text, "WRONG") {
			t.Errorf("the other's policy without far: %s", text)
		}
		k.after(2*linger, own)
		if text := b.inline(role); text != "" && k.warnings() == 0 {
			t.Errorf("the other's policy without all: %s", text)
		}
		b.wants("own policy", b.ids(), "own")
	}, managing, cloudtest.AllowAssume)
}

func TestADatabaseThatMovesToAnotherRole(t *testing.T) {
	inBench(t, func(b *bench) {
		first := b.Role(t, cloudtest.DatabaseAccount, "first", cloudtest.Trust(ownRole, ""), managing)
		second := b.Role(t, cloudtest.DatabaseAccount, "second", cloudtest.Trust(ownRole, ""), managing)
		other := b.behind("other", first.ARN(), "")
		k := b.start("one")
		k.after(linger, b.behind("far", first.ARN(), ""), other)
		if text := b.inline(first); !strings.Contains(text, "db-FAR/*") {
			t.Fatal(text)
		}
		b.wants("moved", k.after(5*time.Second, b.behind("far", second.ARN(), ""), other), "far:success other:success")
		if text := b.inline(second); !strings.Contains(text, "db-FAR/*") {
			t.Error(text)
		}
		if text := b.inline(first); strings.Contains(text, "db-FAR/*") || !strings.Contains(text, "db-OTHER/*") {
			t.Errorf("where it was: %s", text)
		}
	}, cloudtest.AllowAssume)
}

func TestARoleThatIsTheAgentsOwn(t *testing.T) {
	inBench(t, func(b *bench) {
		own := b.database("own")
		same := b.at("same", "same.abcdefghijkl.us-west-1.rds.amazonaws.com:5432", func(db *resource.Database) {
			db.Spec.AWS.AssumeRoleARN = ownRole
			db.Status.AWS.RDS.ResourceID, db.Status.AWS.AccountID = "db-SAME", cloudtest.AgentAccount
		})
		b.Agent.Trust = cloudtest.Trust(ownRole, "")
		k := b.start("one")
		b.wants("both", k.after(time.Minute, own, same), "own:success same:success")
		k.after(2*linger, own, same)
		b.wants("the policy", b.ids(), "own same")
		k.after(2*linger, own)
		b.wants("the policy without the role", b.ids(), "own")
	}, managing, cloudtest.AllowAssume)
}

func TestAnAgentThatBecomesAnother(t *testing.T) {
	inBench(t, func(b *bench) {
		orders := b.database("orders")
		k := b.start("one")
		k.after(5*time.Second, orders)
		next := b.Role(t, cloudtest.AgentAccount, "next", cloudtest.Trust("arn:aws:iam::111111111111:root", ""), managing)
		keys := next.Session("i-1", 12*time.Hour)
		for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken} {
			if err := os.Setenv(name, value); err != nil { // restored by what cloudtest has set up
				t.Fatal(err)
			}
		}
		b.wants("as another", k.after(3*time.Hour, orders), "orders:success")
		if text := b.inline(next); !strings.Contains(text, "db-ORDERS/*") {
			t.Errorf("the policy: %q", text)
		}
	}, managing)
}

func TestWhoHasNoPolicy(t *testing.T) {
	inBench(t, func(b *bench) {
		orders := b.database("orders")
		b.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust("arn:aws:iam::111111111111:role/other", ""), managing)
		far := b.behind("far", "arn:aws:iam::222222222222:role/databases", "")
		k := b.start("one")
		b.wants("a role that does not trust", k.after(time.Minute, far, orders), "far:failed orders:success")
		if reason := k.reason(far); !strings.Contains(reason, "sts:AssumeRole on resource: arn:aws:iam::222222222222:role/databases") {
			t.Error(reason)
		}
		cloudtest.Environment(t, nil)
		k = b.start("two")
		b.wants("without credentials", k.after(time.Minute, orders), "orders:failed")
		if reason := k.reason(orders); !strings.Contains(reason, "NoCredentialProviders") {
			t.Error(reason)
		}
	}, managing, cloudtest.AllowAssume)
}

func TestWhatOthersWroteStays(t *testing.T) {
	for _, c := range []struct {
		name, text string
		status     string
		kept       []string
	}{
		{"permissions that nobody noted", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:db-HAND/*"}]}`, "success", []string{"db-HAND/*"}},
		{"a statement with a name", `{"Version":"2012-10-17","Statement":{"Sid":"Mine","Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:db-HAND/*"}}`, "success", []string{`"Sid":"Mine"`, "db-HAND/*"}},
		{"everything", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"*"}]}`, "success", []string{`"Resource":"*"`}},
		{"a denial", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::x"}]}`, "success", []string{`"Effect":"Deny","Action":"s3:*"`}},
		{"a condition", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:x","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`, "success", []string{"aws:SecureTransport"}},
		{"what cannot be written back", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}]}`, "failed", []string{"NotAction"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBench(t, func(b *bench) {
				b.Update(func() { b.Agent.Inline[policyName] = c.text })
				orders := b.database("orders")
				k := b.start("one")
				b.wants("status", k.after(5*time.Second, orders), "orders:"+c.status)
				k.after(2*linger, orders)
				k.after(2 * linger)
				text := b.inline(b.Agent)
				for _, kept := range c.kept {
					if !strings.Contains(text, kept) {
						t.Errorf("%q is gone: %s", kept, text)
					}
				}
				if strings.Contains(text, "db-ORDERS") || !json.Valid([]byte(text)) {
					t.Error(text)
				}
				if c.status == "failed" && (text != c.text || !strings.Contains(k.reason(orders), "is left as it is")) {
					t.Errorf("%s: %s", text, k.reason(orders))
				}
			}, managing)
		})
	}
}
