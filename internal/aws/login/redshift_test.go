package login_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func TestPasswordsOfRedshift(t *testing.T) {
	cloudtest.Environment(t, nil)
	synctest.Test(t, func(t *testing.T) {
		const host = "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439"
		c := cloudtest.New(t, redshifts(), cloudtest.AllowAssume)
		role := databases(t, c, cloudtest.AllowAssume,
			cloudtest.Allow("redshift:GetClusterCredentials", "arn:aws:redshift:us-west-1:222222222222:dbuser:warehouse/reader", "arn:aws:redshift:us-west-1:222222222222:dbname:warehouse/dev"))
		c.Role(t, cloudtest.DatabaseAccount, "analyst", cloudtest.Trust(role, ""), cloudtest.Allow("redshift:GetClusterCredentialsWithIAM", "arn:aws:redshift:us-west-1:222222222222:dbname:warehouse/dev"))
		c.AddTarget(fakeaws.Target{Service: fakeaws.Redshift, Host: host, Account: c.Account("aws", cloudtest.DatabaseAccount), Region: "us-west-1", ResourceID: "warehouse"})
		source := newSource(t, c)
		db := database(t, host, func(a *resource.AWS) {
			a.AssumeRoleARN, a.ExternalID = role, "right"
			a.Redshift.ClusterID = "warehouse"
		})
		for _, test := range []struct{ account, user, operation string }{
			{"reader", "IAM:reader", "GetClusterCredentials"},
			{"role/analyst", "IAMR:analyst", "GetClusterCredentialsWithIAM"},
			{"arn:aws:iam::222222222222:role/analyst", "IAMR:analyst", "GetClusterCredentialsWithIAM"},
		} {
			c.ForgetJournal()
			got, err := source.Credential(t.Context(), request(db, test.account))
			if err != nil {
				t.Fatal(err)
			}
			if got.User != test.user || got.Token || got.Certificate != nil || got.Address != host {
				t.Errorf("%s: %+v", test.account, got)
			}
			verify := func(database string) bool {
				return c.Verify(fakeaws.Login{Service: fakeaws.Redshift, Host: host, User: got.User, Token: got.Password, Database: database}).Allow
			}
			if !verify("dev") || verify("prod") {
				t.Errorf("%s: the password does not log in to dev and only there", test.account)
			}
			time.Sleep(9 * time.Minute)
			again, err := source.Credential(t.Context(), request(db, test.account))
			if err != nil || again.Password != got.Password {
				t.Errorf("%s: another password after 9 minutes, %v", test.account, err)
			}
			time.Sleep(2 * time.Minute)
			again, err = source.Credential(t.Context(), request(db, test.account))
			if err != nil || again.Password == got.Password {
				t.Errorf("%s: the same password after 11 minutes, %v", test.account, err)
			}
			calls := c.Calls("redshift", test.operation)
			if len(calls) != 2 || len(c.Calls("redshift", "")) != 2+2 || calls[0].Notes["AutoCreate"] == "true" {
				t.Errorf("%s: calls %v", test.account, c.Calls("redshift", ""))
			}
			for _, call := range c.Calls("sts", "AssumeRole") {
				if user := strings.HasSuffix(call.Notes["RoleArn"], "analyst"); (call.Notes["ExternalId"] == "right") == user || (call.Notes["RoleSessionName"] == "alice") != user {
					t.Errorf("%s: assumed with %v", test.account, call.Notes)
				}
			}
		}
		// Another logical database, and another user of the same role, have their own.
		one, err := source.Credential(t.Context(), request(db, "role/analyst"))
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*cred.Request){"user": func(r *cred.Request) { r.User = "bob" }, "database": func(r *cred.Request) { r.Database.Metadata.Name = "other" }} {
			req := request(resource.Clone(db), "role/analyst")
			change(&req)
			if two, err := source.Credential(t.Context(), req); err != nil || two.Password == one.Password {
				t.Errorf("another %s got the same password, %v", name, err)
			}
		}
	})
}

// TestAWSCannotHaveAPasswordKeptForLong has AWS say of passwords that they are good for a year.
func TestAWSCannotHaveAPasswordKeptForLong(t *testing.T) {
	cloudtest.Environment(t, nil)
	synctest.Test(t, func(t *testing.T) {
		c := cloudtest.New(t, redshiftsSaying(365*24*time.Hour), cloudtest.AllowAssume, cloudtest.Allow("redshift:GetClusterCredentials", "*"))
		c.Role(t, cloudtest.AgentAccount, "analyst", cloudtest.Trust(c.Agent.ARN(), ""), cloudtest.Allow("redshift-serverless:GetCredentials", "*"))
		source := newSource(t, c)
		for account, db := range map[string]*resource.Database{
			"reader":  database(t, "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", func(a *resource.AWS) { a.Redshift.ClusterID = "warehouse" }),
			"analyst": database(t, "etl.111111111111.us-west-1.redshift-serverless.amazonaws.com:5439", func(*resource.AWS) {}),
		} {
			got, err := source.Credential(t.Context(), request(db, account))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(11 * time.Minute)
			if again, err := source.Credential(t.Context(), request(db, account)); err != nil || again.Password == got.Password {
				t.Errorf("%s: the same password after 11 minutes, %v", account, err)
			}
		}
	})
}

func TestPasswordsOfRedshiftServerless(t *testing.T) {
	const (
		workgroup = "etl.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439"
		endpoint  = "near-endpoint-abcdefghijkl.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439"
	)
	c := cloudtest.New(t, redshifts(), cloudtest.AllowAssume)
	c.Role(t, cloudtest.DatabaseAccount, "analyst", cloudtest.Trust(c.Agent.ARN(), "right"), cloudtest.Allow("redshift-serverless:GetCredentials", "arn:aws:redshift-serverless:us-west-1:222222222222:workgroup/id-of-etl"))
	source := newSource(t, c)
	for _, test := range []struct {
		name, host, account string
		change              func(*resource.Database)
		text                string // of the error
	}{
		{"a workgroup, and a short name", workgroup, "analyst", func(*resource.Database) {}, ""},
		{"a workgroup, and an ARN", workgroup, "arn:aws:iam::222222222222:role/analyst", func(*resource.Database) {}, ""},
		{"a VPC endpoint whose workgroup is configured", endpoint, "role/analyst", func(db *resource.Database) { db.Spec.AWS.RedshiftServerless.WorkgroupName = "etl" }, ""},
		{"a VPC endpoint whose workgroup was found out", endpoint, "role/analyst", func(db *resource.Database) { db.Status.AWS.RedshiftServerless.WorkgroupName = "etl" }, ""},
		{"a VPC endpoint whose workgroup is not known", endpoint, "role/analyst", func(*resource.Database) {}, "redshift-serverless:GetEndpointAccess"},
		{"a name inside the database", workgroup, "IAM:alice", func(*resource.Database) {}, "without the prefix"},
		{"a role inside the database", workgroup, "IAMR:analyst", func(*resource.Database) {}, "without the prefix"},
		{"a role of another account", workgroup, "arn:aws:iam::333333333333:role/analyst", func(*resource.Database) {}, "is not of account 222222222222"},
		{"a role of another partition", workgroup, "arn:aws-cn:iam::222222222222:role/analyst", func(*resource.Database) {}, "is not of partition aws"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.ForgetJournal()
			db := database(t, test.host, func(a *resource.AWS) {
				a.RedshiftServerless.WorkgroupName = map[bool]string{true: "etl"}[test.host == workgroup]
				a.RedshiftServerless.EndpointName = map[bool]string{true: "near"}[test.host == endpoint]
			})
			db.Spec.AWS.ExternalID = "right"
			test.change(db)
			c.AddTarget(fakeaws.Target{Service: fakeaws.RedshiftServerless, Host: test.host, Account: c.Account("aws", cloudtest.DatabaseAccount), Region: "us-west-1", ResourceID: "etl"})
			got, err := source.Credential(t.Context(), request(db, test.account))
			if test.text != "" {
				if !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), test.text) || len(c.Journal()) > 0 {
					t.Errorf("%v, calls %v", err, c.Journal())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RedshiftServerless, Host: test.host, User: got.User, Token: got.Password, Database: "dev"}); !verdict.Allow || got.User != "IAMR:analyst" {
				t.Errorf("%+v", verdict)
			}
		})
	}
}
