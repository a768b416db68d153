package login_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// TestOtherPartitions logs in to databases in China, whose hosts have another domain and other names, and in GovCloud. The
// agent's identity is of one account, the databases are in another, and so are the roles that are accounts there.
func TestOtherPartitions(t *testing.T) {
	const agentAccount, account = "444444444444", "333333333333"
	for _, at := range []struct {
		partition, region, domain string
		rds, redshift             string // with their region, in the order of host names
		serverless                bool   // there is one
	}{
		{"aws-cn", "cn-north-1", ".amazonaws.com.cn", "rds.cn-north-1", "redshift.cn-north-1", false},
		{"aws-us-gov", "us-gov-west-1", ".amazonaws.com", "us-gov-west-1.rds", "us-gov-west-1.redshift", true},
	} {
		t.Run(at.region, func(t *testing.T) {
			c := cloudtest.New(t, redshifts())
			agent, err := c.Account(at.partition, agentAccount).AddRole(fakeaws.Role{Name: "agent", Permissions: cloudtest.Inline(cloudtest.AllowAssume),
				Trust: cloudtest.Trust("arn:"+at.partition+":iam::"+agentAccount+":root", "")})
			if err != nil {
				t.Fatal(err)
			}
			role := func(name, trusted, id string, policies ...string) string {
				made, err := c.Account(at.partition, account).AddRole(fakeaws.Role{Name: name, Trust: cloudtest.Trust(trusted, id), Permissions: cloudtest.Inline(policies...)})
				if err != nil {
					t.Fatal(err)
				}
				return made.ARN()
			}
			arn := func(service, what string) string {
				return "arn:" + at.partition + ":" + service + ":" + at.region + ":" + account + ":" + what
			}
			through := role("databases", agent.ARN(), "right", cloudtest.AllowAssume, cloudtest.Allow("rds-db:connect", arn("rds-db", "dbuser:db-ID/reader")),
				cloudtest.Allow("redshift:GetClusterCredentials", arn("redshift", "dbuser:warehouse/reader"), arn("redshift", "dbname:warehouse/dev")))
			analyst := role("analyst", through, "", cloudtest.Allow("redshift:GetClusterCredentialsWithIAM", arn("redshift", "dbname:warehouse/dev")),
				cloudtest.Allow("redshift-serverless:GetCredentials", arn("redshift-serverless", "workgroup/id-of-etl")))
			keys := agent.Session("i-1", time.Hour)
			cloudtest.Environment(t, map[string]string{"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken})
			source := newSource(t, c)

			rds := func(name string) string { return name + ".abcdefghijkl." + at.rds + at.domain + ":5432" }
			type login struct{ service, host, id, account, user string }
			logins := []login{
				{fakeaws.RDSConnect, rds("orders"), "db-ID", "reader", "reader"},
				{fakeaws.RDSConnect, strings.Replace(rds("books"), ".", ".cluster-", 1), "db-ID", "reader", "reader"},
				{fakeaws.RDSConnect, strings.Replace(rds("pool"), ".", ".proxy-", 1), "db-ID", "reader", "reader"},
				{fakeaws.Redshift, "warehouse.abcdefghijkl." + at.redshift + at.domain + ":5439", "warehouse", "reader", "IAM:reader"},
				{fakeaws.Redshift, "warehouse.abcdefghijkl." + at.redshift + at.domain + ":5439", "warehouse", "role/analyst", "IAMR:analyst"},
				{fakeaws.Redshift, "warehouse.abcdefghijkl." + at.redshift + at.domain + ":5439", "warehouse", analyst, "IAMR:analyst"},
			}
			if at.serverless {
				logins = append(logins, login{fakeaws.RedshiftServerless, "etl." + account + "." + at.region + ".redshift-serverless" + at.domain + ":5439", "etl", "analyst", "IAMR:analyst"})
			}
			for _, one := range logins {
				c.AddTarget(fakeaws.Target{Service: one.service, Host: one.host, Account: c.Account(at.partition, account), Region: at.region, ResourceID: one.id})
				db := database(t, one.host, func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = through, "right" })
				c.ForgetJournal()
				got, err := source.Credential(t.Context(), request(db, one.account))
				if err != nil {
					t.Errorf("%s as %s: %v", one.host, one.account, err)
					continue
				}
				if got.User != one.user || got.Address != one.host {
					t.Errorf("%s as %s: %q at %q", one.host, one.account, got.User, got.Address)
				}
				if verdict := c.Verify(fakeaws.Login{Service: one.service, Host: one.host, User: got.User, Token: got.Password, Database: "dev"}); !verdict.Allow {
					t.Errorf("%s as %s: %s", one.host, one.account, verdict.Reason)
				}
				for _, call := range c.Journal() {
					if call.Region != at.region && call.Region != "" {
						t.Errorf("%s as %s: %s was called in %s", one.host, one.account, call.Operation, call.Region)
					}
				}
			}
			for name, wrong := range map[string]string{"another partition's role as account": "arn:aws:iam::" + account + ":role/analyst", "another account's": "arn:" + at.partition + ":iam::" + agentAccount + ":role/analyst"} {
				db := database(t, "warehouse.abcdefghijkl."+at.redshift+at.domain+":5439", func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = through, "right" })
				if _, err := source.Credential(t.Context(), request(db, wrong)); !fault.Is(err, fault.BadParameter) {
					t.Errorf("%s: %v", name, err)
				}
			}
			// What an administrator is told to add is of the partition, too.
			db := database(t, "warehouse.abcdefghijkl."+at.redshift+at.domain+":5439", func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = through, "right" })
			if _, err := source.Credential(t.Context(), request(db, "writer")); !fault.Is(err, fault.AccessDenied) || !strings.Contains(fault.Message(err), `"Resource":["`+arn("redshift", "dbuser:warehouse/writer")+`"`) {
				t.Errorf("an account without permission: %v", err)
			}
		})
	}
}
