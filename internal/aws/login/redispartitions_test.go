package login_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// otherPartitions are where names, ARNs and hosts of services differ.
var otherPartitions = []struct{ partition, region, short, domain string }{
	{"aws-cn", "cn-north-1", "cnn1", ".amazonaws.com.cn"},
	{"aws-us-gov", "us-gov-west-1", "usgw1", ".amazonaws.com"},
}

// partitionCloud is a local AWS whose agent is of one account of a partition, and a role that it assumes of another.
func partitionCloud(t *testing.T, partition, region string, policies ...string) (c *cloudtest.Cloud, role string) {
	t.Helper()
	const agentAccount, account = "444444444444", "333333333333"
	c = cloudtest.New(t, nil)
	agent, err := c.Account(partition, agentAccount).AddRole(fakeaws.Role{Name: "agent", Permissions: cloudtest.Inline(cloudtest.AllowAssume),
		Trust: cloudtest.Trust("arn:"+partition+":iam::"+agentAccount+":root", "")})
	if err != nil {
		t.Fatal(err)
	}
	through, err := c.Account(partition, account).AddRole(fakeaws.Role{Name: "databases", Trust: cloudtest.Trust(agent.ARN(), "right"), Permissions: cloudtest.Inline(policies...)})
	if err != nil {
		t.Fatal(err)
	}
	keys := agent.Session("i-1", time.Hour)
	cloudtest.Environment(t, map[string]string{"AWS_REGION": region, "AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken})
	return c, through.ARN()
}

// TestRedisInOtherPartitions signs tokens for caches and clusters of China and GovCloud, and asks about users there.
func TestRedisInOtherPartitions(t *testing.T) {
	for _, at := range otherPartitions {
		t.Run(at.region, func(t *testing.T) {
			arn := func(service, what string) string {
				return "arn:" + at.partition + ":" + service + ":" + at.region + ":333333333333:" + what
			}
			c, role := partitionCloud(t, at.partition, at.region, cloudtest.Allow("elasticache:DescribeUsers", "*"), cloudtest.Allow("memorydb:DescribeUsers", "*"),
				cloudtest.Allow("elasticache:Connect", arn("elasticache", "replicationgroup:cache"), arn("elasticache", "serverlesscache:less"), arn("elasticache", "user:alice")),
				cloudtest.Allow("memorydb:Connect", arn("memorydb", "cluster/mem"), arn("memorydb", "user/alice")))
			caches, memories := elasticache.New(c.World), memorydb.New(c.World)
			c.Add(caches.Service(), memories.Service())
			place, team := inventory.Place{Account: "333333333333", Region: at.region}, []string{"team"}
			if err := errors.Join(caches.Add(&elasticache.ReplicationGroup{Place: place, ID: "cache", UserGroups: team}, &elasticache.ServerlessCache{Place: place, Name: "less", UserGroup: "team"},
				&elasticache.User{Place: place, ID: "alice", Groups: team}, &elasticache.User{Place: place, ID: "eve", Groups: team}), memories.Add(&memorydb.Cluster{Place: place, Name: "mem", ACL: "team"}),
				memories.AddUsers(&memorydb.User{Place: place, Name: "alice", ACLs: team}, &memorydb.User{Place: place, Name: "eve", ACLs: team})); err != nil {
				t.Fatal(err)
			}
			source := newSource(t, c)
			for _, one := range []struct{ service, name, host, resource, user string }{
				{fakeaws.ElastiCacheConnect, "cache", "master.cache.abcdef." + at.short + ".cache" + at.domain, "replicationgroup:cache", "user:eve"},
				{fakeaws.ElastiCacheConnect, "cache", "clustercfg.cache.abcdef." + at.short + ".cache" + at.domain, "replicationgroup:cache", "user:eve"},
				{fakeaws.ElastiCacheConnect, "less", "less-a1b2c3.serverless." + at.short + ".cache" + at.domain, "serverlesscache:less", "user:eve"},
				{fakeaws.MemoryDBConnect, "mem", "clustercfg.mem.abcdef.memorydb." + at.region + at.domain, "cluster/mem", "user/eve"},
			} {
				c.ForgetJournal()
				db := database(t, one.host+":6379", func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = role, "right" }, "redis")
				got, err := source.Credential(t.Context(), request(db, "alice"))
				if err != nil {
					t.Errorf("%s: %v", one.host, err)
					continue
				}
				if verdict := c.Verify(fakeaws.Login{Service: one.service, Host: one.name, User: "alice", Token: got.Password}); !verdict.Allow {
					t.Errorf("%s: %s", one.host, verdict.Reason)
				}
				// Whom AWS does not let in reads ARNs of the partition.
				refused, err := source.Credential(t.Context(), request(db, "eve"))
				if err != nil {
					t.Errorf("%s: %v", one.host, err)
					continue
				}
				service, _, _ := strings.Cut(one.service, "-")
				advice := refused.Advice(cred.Refusal{Code: "WRONGPASS", Message: "WRONGPASS invalid username-password pair"})
				for _, text := range []string{arn(service, one.resource), arn(service, one.user)} {
					if !strings.Contains(advice, text) {
						t.Errorf("%s: the advice lacks %s: %s", one.host, text, advice)
					}
				}
				for _, call := range c.Journal() {
					if call.Region != at.region && call.Region != "" {
						t.Errorf("%s: %s was called in %s", one.host, call.Operation, call.Region)
					}
				}
			}
		})
	}
}

// TestDocumentDBInOtherPartitions proves who an agent is to hosts of STS in China and GovCloud.
func TestDocumentDBInOtherPartitions(t *testing.T) {
	for _, at := range otherPartitions {
		t.Run(at.region, func(t *testing.T) {
			c, role := partitionCloud(t, at.partition, at.region, cloudtest.AllowAssume)
			if _, err := c.Account(at.partition, "333333333333").AddRole(fakeaws.Role{Name: "reader", Trust: cloudtest.Trust(role, "")}); err != nil {
				t.Fatal(err)
			}
			reader := "arn:" + at.partition + ":iam::333333333333:role/reader"
			host, bundle := "docs.cluster-abcdefghijkl.us-gov-west-1.docdb.amazonaws.com", "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/us-gov-west-1/us-gov-west-1-bundle.pem"
			if at.partition == "aws-cn" {
				host, bundle = "docs.cluster-abcdefghijkl.docdb.cn-north-1.amazonaws.com.cn", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/cn-north-1/cn-north-1-bundle.pem"
			}
			db := database(t, "mongodb://"+host+":27017/?replicaSet=rs0", func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = role, "right" }, resource.ProtocolMongoDB)
			source := newSource(t, c)
			for _, account := range []string{"reader", "role/reader", reader} {
				got, err := source.Credential(t.Context(), request(db, account))
				if err != nil {
					t.Errorf("%s: %v", account, err)
					continue
				}
				if got.User != reader || !strings.Contains(got.AuthoritiesFrom, bundle) {
					t.Errorf("%s: it is %s, with authorities from %s", account, got.User, got.AuthoritiesFrom)
				}
				judge := &documentDB{cloud: c, accounts: []string{reader}, host: "sts." + at.region + at.domain, nonce: make([]byte, 64)}
				proof, err := got.Prove(t.Context(), cred.Challenge{Host: judge.host, Nonce: judge.nonce})
				if err != nil {
					t.Errorf("%s: %v", account, err)
				} else if as := judge.judgeProof(t, proof.Authorization, proof.Date, proof.Token); as != reader {
					t.Errorf("%s: AWS takes it for %q", account, as)
				}
				if advice := got.Advice(cred.Refusal{Code: "18"}); !strings.Contains(advice, reader) {
					t.Errorf("the advice lacks the role: %s", advice)
				}
			}
			for name, wrong := range map[string]string{"a role of the standard partition": "arn:aws:iam::333333333333:role/reader", "one of another account": "arn:" + at.partition + ":iam::444444444444:role/reader"} {
				if _, err := source.Credential(t.Context(), request(db, wrong)); !fault.Is(err, fault.BadParameter) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
