package policy_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/policy"
	"sallyport/internal/resource"
)

func TestWhatDatabasesNeed(t *testing.T) {
	const rds = ".abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	described := func(change func(*resource.AWS)) func(*resource.Database) {
		return func(db *resource.Database) {
			db.Status.AWS.AccountID = cloudtest.AgentAccount
			change(&db.Status.AWS)
		}
	}
	version := func(protocol, version string) func(*resource.Database) {
		return func(db *resource.Database) {
			db.Spec.Protocol, db.Status.AWS.AccountID, db.Metadata.Labels = protocol, cloudtest.AgentAccount, map[string]string{"engine-version": version}
		}
	}
	nothing := func(*resource.AWS) {}
	const caches = `["arn:aws:elasticache:us-west-1:111111111111:replicationgroup:carts","arn:aws:elasticache:us-west-1:111111111111:user:*"]`
	for _, c := range []struct {
		name, uri string
		change    func(*resource.Database)
		statement string // without effect; "" for none
		status    string
		reason    string
	}{
		{"an instance", "orders" + rds, described(func(a *resource.AWS) { a.RDS.ResourceID = "db-ONE" }), `"Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:db-ONE/*"`, "success", ""},
		{"an instance of Aurora: its cluster's id", "books-1" + rds, described(func(a *resource.AWS) { a.RDS.ResourceID = "cluster-ONE" }), `dbuser:cluster-ONE/*"`, "success", ""},
		{"ids that an administrator wrote", "orders" + rds, func(db *resource.Database) { db.Spec.AWS.RDS.ResourceID = "db-TWO" }, `arn:aws:rds-db:us-west-1:111111111111:dbuser:db-TWO/*"`, "success", ""},
		{"a proxy", "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432", described(func(a *resource.AWS) { a.RDSProxy.ResourceID = "prx-1" }), `dbuser:prx-1/*"`, "success", ""},
		{"a proxy's other endpoint", "ro.endpoint.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432", described(func(a *resource.AWS) { a.RDSProxy.ResourceID, a.RDSProxy.Name = "prx-1", "pool" }), `dbuser:prx-1/*"`, "success", ""},
		{"a proxy that is not known", "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432", described(nothing), "", "failed", "aws.rdsproxy.resource_id"},
		{"Redshift", "dwh.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", described(nothing),
			`"Action":"redshift:GetClusterCredentials","Resource":["arn:aws:redshift:us-west-1:111111111111:dbgroup:dwh/*","arn:aws:redshift:us-west-1:111111111111:dbname:dwh/*","arn:aws:redshift:us-west-1:111111111111:dbuser:dwh/*"]`, "success", ""},
		{"Redshift Serverless, whose users are roles", "etl.111111111111.us-west-1.redshift-serverless.amazonaws.com:5439", described(nothing), "", "none", ""},
		{"a cache", "master.carts.abcdef.usw1.cache.amazonaws.com:6379", version("redis", "7.1.0"), `"Action":"elasticache:Connect","Resource":` + caches, "success", ""},
		{"a cache of an unknown version", "master.carts.abcdef.usw1.cache.amazonaws.com:6379", version("redis", ""), caches, "success", ""},
		{"a cache without users of IAM", "master.carts.abcdef.usw1.cache.amazonaws.com:6379", version("redis", "6.2.6"), "", "none", ""},
		{"MemoryDB", "clustercfg.mem.abcdef.memorydb.us-west-1.amazonaws.com:6379", version("redis", "v7.0"), `"arn:aws:memorydb:us-west-1:111111111111:cluster/mem","arn:aws:memorydb:us-west-1:111111111111:user/*"`, "success", ""},
		{"MemoryDB without users of IAM", "clustercfg.mem.abcdef.memorydb.us-west-1.amazonaws.com:6379", version("redis", "6"), "", "none", ""},
		{"a document database, whose users are roles", "docs.cluster-abcdefghijkl.us-west-1.docdb.amazonaws.com:27017", version("mongodb", "5.0"), "", "none", ""},
		{"one of one's own", "db.example.com:5432", func(*resource.Database) {}, "", "none", ""},
		{"an id that would be all databases", "orders" + rds, func(db *resource.Database) { db.Spec.AWS.RDS.ResourceID = "*" }, "", "failed", "is not an id"},
		{"an id that would be a variable", "orders" + rds, func(db *resource.Database) { db.Spec.AWS.RDS.ResourceID = "db-${aws:userid}" }, "", "failed", "is not an id"},
		{"an id that reaches beyond its part", "dwh.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", func(db *resource.Database) { db.Spec.AWS.Redshift.ClusterID = "dwh/admin" }, "", "failed", "is not an id"},
		{"a database of another account", "orders" + rds, func(db *resource.Database) {
			db.Status.AWS.RDS.ResourceID, db.Status.AWS.AccountID = "db-ONE", "333333333333"
		}, "", "failed", "set aws.assume_role_arn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBench(t, func(b *bench) {
				db := b.at("x", c.uri, c.change)
				k := b.start("one")
				b.wants("status", k.after(5*time.Second, db), "x:"+c.status)
				if text := b.inline(b.Agent); (text == "") != (c.statement == "") || !strings.Contains(text, c.statement) {
					t.Errorf("the policy is %q", text)
				}
				if reason := k.reason(db); (reason == "") != (c.reason == "") || !strings.Contains(reason, c.reason) {
					t.Errorf("the reason is %q", reason)
				}
				if c.status == "none" && len(b.Calls("iam", ""))+len(b.Calls("sts", "")) > 0 {
					t.Error("AWS was called for nothing")
				}
			}, managing)
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a.", 60)
	for _, c := range []struct{ name, cluster, prefix string }{
		{"as it is", "example.com", "example.com-teleport-database-access"},
		{"as long as may be", strings.Repeat("x", 103), strings.Repeat("x", 103) + "-teleport"},
		{"too long", strings.Repeat("x", 104), strings.Repeat("x", 86) + "-"},
		{"much too long", long + "com", "a.a.a."},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := policy.Name(c.cluster)
			if len(got) > 128 || !strings.HasPrefix(got, c.prefix) || !strings.HasSuffix(got, "-teleport-database-access") {
				t.Errorf("%q, of %d characters", got, len(got))
			}
		})
	}
	if policy.Name(long+"com") == policy.Name(long+"org") {
		t.Error("two clusters have one name")
	}
}
