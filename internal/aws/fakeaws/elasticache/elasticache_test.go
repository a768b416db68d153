package elasticache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/elasticache"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
)

var here = fakeawstest.Here

const (
	oldPassword = "old-password-of-sixteen"
	newPassword = "new-password-of-sixteen"
)

func newCloud(t *testing.T, resources ...elasticache.Resource) (*fakeawstest.Cloud, *elasticache.ElastiCache) {
	t.Helper()
	c := fakeawstest.New(t)
	e := elasticache.New(c.World)
	c.Add(e.Service())
	if err := e.Add(resources...); err != nil {
		t.Fatal(err)
	}
	return c, e
}

func TestAWSCLI(t *testing.T) {
	c, e := newCloud(t,
		&elasticache.ReplicationGroup{Place: here, ID: "flat", Replicas: 1, UserGroups: []string{"g"}, SubnetGroup: "inner", VPC: "vpc-9", Tags: map[string]string{"env": "prod"}},
		&elasticache.ReplicationGroup{Place: here, ID: "wide", ClusterMode: true, Shards: 2, Engine: "valkey"},
		&elasticache.ReplicationGroup{Place: here, ID: "young", Status: "creating"},
		&elasticache.CacheCluster{Place: here, ID: "single", Engine: "memcached"},
		&elasticache.User{Place: here, ID: "alice", Groups: []string{"g"}, Tags: map[string]string{"teleport.dev/managed": "true"}},
		&elasticache.User{Place: here, ID: "bob-id", Name: "bob", Access: redisusers.Access{Passwords: []string{oldPassword}}})
	c.Update(func() { e.Modifying = time.Minute })
	const arn = "arn:aws:elasticache:us-west-1:111111111111:"
	c.CLI(t, c.Admin,
		awsclitest.Works("elasticache describe-replication-groups --replication-group-id flat --query ReplicationGroups[].[ARN,TransitEncryptionEnabled,ClusterEnabled,UserGroupIds[0],NodeGroups[0].PrimaryEndpoint.Port,length(MemberClusters)]", arn+"replicationgroup:flat\tTrue\tFalse\tg\t6379\t2"),
		awsclitest.Works("elasticache describe-replication-groups --replication-group-id flat --query ReplicationGroups[].NodeGroups[0].[PrimaryEndpoint.Address,ReaderEndpoint.Address]", ".usw1.cache.amazonaws.com\treplica.flat."),
		awsclitest.Works("elasticache describe-replication-groups --query ReplicationGroups[].[ReplicationGroupId,Status,ConfigurationEndpoint.Port]", "flat\tavailable\tNone\nwide\tavailable\t6379\nyoung\tcreating\tNone"),
		awsclitest.Fails("elasticache describe-replication-groups --replication-group-id none", "(ReplicationGroupNotFoundFault)"),
		awsclitest.Works("elasticache describe-cache-clusters --query CacheClusters[].[CacheClusterId,Engine,ReplicationGroupId,CacheSubnetGroupName]", "flat-001\tredis\tflat\tinner\nflat-002\tredis\tflat\tinner\nsingle\tmemcached\tNone\tdefault\nwide-0001-001\tvalkey\twide\tdefault\nwide-0002-001\tvalkey"),
		awsclitest.Works("elasticache describe-cache-clusters --show-cache-clusters-not-in-replication-groups --query CacheClusters[].CacheClusterId", "single\n"),
		awsclitest.Fails("elasticache describe-cache-clusters --cache-cluster-id none", "(CacheClusterNotFound)"),
		awsclitest.Works("elasticache describe-cache-subnet-groups --query CacheSubnetGroups[].[CacheSubnetGroupName,VpcId]", "inner\tvpc-9"),
		awsclitest.Fails("elasticache describe-cache-subnet-groups --cache-subnet-group-name none", "(CacheSubnetGroupNotFoundFault)"),
		awsclitest.Works("elasticache describe-users --query Users[].[UserId,UserName,Status,Authentication.Type,Authentication.PasswordCount]", "alice\talice\tactive\tiam\t0\nbob-id\tbob\tactive\tpassword\t1"),
		awsclitest.Works("elasticache describe-users --filters Name=UserName,Values=bob --query Users[].UserId", "bob-id\n"),
		awsclitest.Fails("elasticache describe-users --user-id none", "(UserNotFound)"),
		awsclitest.Fails("elasticache modify-user --user-id bob-id --passwords short", "(InvalidParameterValue)"),
		awsclitest.Fails("elasticache modify-user --user-id bob-id --passwords "+oldPassword+" "+newPassword+" "+newPassword+"3", "not 3"),
		awsclitest.Fails("elasticache modify-user --user-id bob-id --no-password-required --passwords "+newPassword, "(InvalidParameterCombination)"),
		awsclitest.Works("elasticache modify-user --user-id bob-id --passwords "+oldPassword+" "+newPassword+" --query Status", "modifying"),
		awsclitest.Fails("elasticache modify-user --user-id bob-id --passwords "+newPassword, "(InvalidUserState)"),
		awsclitest.Works("elasticache list-tags-for-resource --resource-name "+arn+"replicationgroup:flat --query TagList", "env\tprod"),
		awsclitest.Works("elasticache list-tags-for-resource --resource-name "+arn+"user:alice --query TagList", "teleport.dev/managed\ttrue"),
		awsclitest.Works("elasticache list-tags-for-resource --resource-name "+arn+"cluster:single --query TagList", ""),
		awsclitest.Fails("elasticache list-tags-for-resource --resource-name "+arn+"replicationgroup:young", "(InvalidReplicationGroupState)"),
		awsclitest.Fails("elasticache list-tags-for-resource --resource-name "+arn+"replicationgroup:none", "(ReplicationGroupNotFoundFault)"),
		awsclitest.Fails("elasticache list-tags-for-resource --resource-name arn:aws:elasticache:us-west-2:111111111111:user:alice", "(InvalidARN)"),
		awsclitest.Works("elasticache create-user --user-id carol --user-name carol --engine redis --authentication-mode Type=iam --access-string on~*+@all --query [UserId,Authentication.Type]", "carol\tiam"),
		awsclitest.Fails("elasticache create-user --user-id carol --user-name carol --engine redis --no-password-required --access-string on", "(UserAlreadyExists)"),
		awsclitest.Fails("elasticache create-user --user-id dave-id --user-name dave --engine redis --authentication-mode Type=iam --access-string on", "must be identical"),
		awsclitest.Fails("elasticache create-user-group --user-group-id team --engine redis --user-ids carol", "(DefaultUserRequired)"),
		awsclitest.Works("elasticache create-user-group --user-group-id team --engine redis --user-ids default carol --query UserIds", "default\tcarol"),
		awsclitest.Fails("elasticache create-user-group --user-group-id team --engine redis --user-ids default", "(UserGroupAlreadyExists)"),
		awsclitest.Works("elasticache modify-user-group --user-group-id team --user-ids-to-add alice --query UserIds", "alice\tcarol\tdefault"),
		awsclitest.Works("elasticache modify-user-group --user-group-id team --user-ids-to-remove alice --query UserIds", "carol\tdefault"),
		awsclitest.Fails("elasticache modify-user-group --user-group-id none --user-ids-to-add alice", "(UserGroupNotFound)"),
		awsclitest.Works("elasticache modify-replication-group --replication-group-id flat --user-group-ids-to-add team --query ReplicationGroup.UserGroupIds", "g\tteam"),
		awsclitest.Works("elasticache modify-replication-group --replication-group-id flat --user-group-ids-to-remove g --query ReplicationGroup.UserGroupIds", "team"),
		awsclitest.Fails("elasticache modify-replication-group --replication-group-id flat --user-group-ids-to-add none", "(UserGroupNotFound)"),
		awsclitest.Works("elasticache add-tags-to-resource --resource-name "+arn+"user:carol --tags Key=teleport.dev/managed,Value=true --query TagList", "teleport.dev/managed\ttrue"),
	)
	c.AllCalled(t, "elasticache", "DescribeServerlessCaches") // which this version of the command line does not know
}

func TestServerlessCaches(t *testing.T) {
	less := &elasticache.ServerlessCache{Place: here, Name: "less", UserGroup: "g", Tags: map[string]string{"env": "prod"}}
	c, _ := newCloud(t, less, &elasticache.ServerlessCache{Place: here, Name: "mem", Engine: "memcached", Status: "creating"})
	client := sdk.NewFromConfig(c.Config(c.Admin, here.Region))
	pages := sdk.NewDescribeServerlessCachesPaginator(client, &sdk.DescribeServerlessCachesInput{MaxResults: aws.Int32(1)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.ServerlessCaches {
			names = append(names, *s.ServerlessCacheName)
			if *s.ServerlessCacheName == "less" && (*s.Endpoint.Address != less.Host() || *s.Endpoint.Port != 6379 || *s.UserGroupId != "g" || len(s.SubnetIds) != 1 || *s.ARN != less.ARN() || *s.Engine != "redis") {
				t.Errorf("got %+v", s)
			}
			if *s.ServerlessCacheName == "mem" && (s.Endpoint != nil || *s.Status != "creating") {
				t.Errorf("got %+v", s)
			}
		}
	}
	if strings.Join(names, " ") != "less mem" || !strings.HasPrefix(less.Host(), "less-") || !strings.HasSuffix(less.Host(), ".serverless.usw1.cache.amazonaws.com") {
		t.Errorf("got %v, %s", names, less.Host())
	}
	if _, err := client.DescribeServerlessCaches(t.Context(), &sdk.DescribeServerlessCachesInput{ServerlessCacheName: aws.String("none")}); fakeawstest.Code(t, err) != "ServerlessCacheNotFoundFault" {
		t.Errorf("got %v", err)
	}
	out, err := client.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceName: aws.String(less.ARN())})
	if err != nil || len(out.TagList) != 1 || *out.TagList[0].Value != "prod" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestAChangeOfPasswordsTakesTime(t *testing.T) {
	u := &elasticache.User{Place: here, ID: "bob", Access: redisusers.Access{Passwords: []string{oldPassword}}}
	c, e := newCloud(t, u)
	c.Update(func() { e.Modifying = time.Minute })
	client := sdk.NewFromConfig(c.Config(c.Admin, here.Region))
	if _, err := client.ModifyUser(t.Context(), &sdk.ModifyUserInput{UserId: aws.String("bob"), Passwords: []string{newPassword}}); err != nil {
		t.Fatal(err)
	}
	accepts := func(password string) (ok bool) {
		c.Update(func() { ok = u.Access.Accepts(c.Now(), password) })
		return ok
	}
	if !accepts(oldPassword) || accepts(newPassword) {
		t.Error("the change has an effect at once")
	}
	c.Clock.Advance(time.Minute)
	if accepts(oldPassword) || !accepts(newPassword) {
		t.Error("the change has no effect")
	}
	if out, err := client.DescribeUsers(t.Context(), &sdk.DescribeUsersInput{UserId: aws.String("bob")}); err != nil || *out.Users[0].Status != "active" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestTheVerifierKnowsUsersOfTheGroup(t *testing.T) {
	g := &elasticache.ReplicationGroup{Place: here, ID: "flat", UserGroups: []string{"g"}}
	c, _ := newCloud(t, g, &elasticache.User{Place: here, ID: "alice", Groups: []string{"g"}}, &elasticache.User{Place: here, ID: "eve", Groups: []string{"other"}},
		&elasticache.User{Place: here, ID: "bob", Groups: []string{"g"}, Access: redisusers.Access{Passwords: []string{oldPassword}}})
	for user, known := range map[string]bool{"alice": true, "eve": false, "bob": false} {
		reason := c.Verify(fakeaws.Login{Service: fakeaws.ElastiCacheConnect, Host: "flat", User: user, Token: c.Token(t, c.Admin, "elasticache", "flat", "User", user)}).Reason
		if known != (reason == "allowed") {
			t.Errorf("%s: %s", user, reason)
		}
	}
}

func TestHostNames(t *testing.T) {
	c, e := newCloud(t)
	c.World.Account("aws-us-gov", "444444444444")
	c.World.Account("aws-cn", "333333333333")
	for _, one := range []struct {
		group *elasticache.ReplicationGroup
		host  func(*elasticache.ReplicationGroup) string
		want  string // * stands for what AWS makes up
	}{
		{&elasticache.ReplicationGroup{Place: here, ID: "a"}, (*elasticache.ReplicationGroup).PrimaryHost, "master.a.*.usw1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: here, ID: "a", NoTLS: true}, (*elasticache.ReplicationGroup).PrimaryHost, "a.*.ng.0001.usw1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: here, ID: "a", NoTLS: true}, (*elasticache.ReplicationGroup).ReaderHost, "a-ro.*.ng.0001.usw1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: here, ID: "a", ClusterMode: true}, (*elasticache.ReplicationGroup).ConfigurationHost, "clustercfg.a.*.usw1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: here, ID: "a", ClusterMode: true, NoTLS: true}, (*elasticache.ReplicationGroup).ConfigurationHost, "a.*.clustercfg.usw1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: inventory.Place{Account: "444444444444", Region: "us-gov-west-1"}, ID: "a"}, (*elasticache.ReplicationGroup).PrimaryHost, "master.a.*.usgw1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: inventory.Place{Account: "333333333333", Region: "cn-north-1"}, ID: "a"}, (*elasticache.ReplicationGroup).PrimaryHost, "master.a.*.cnn1.cache.amazonaws.com.cn"},
		{&elasticache.ReplicationGroup{Place: inventory.Place{Account: fakeawstest.AccountID, Region: "ap-northeast-1"}, ID: "a"}, (*elasticache.ReplicationGroup).PrimaryHost, "master.a.*.apne1.cache.amazonaws.com"},
		{&elasticache.ReplicationGroup{Place: inventory.Place{Account: fakeawstest.AccountID, Region: "eu-central-1"}, ID: "a"}, (*elasticache.ReplicationGroup).PrimaryHost, "master.a.*.euc1.cache.amazonaws.com"},
	} {
		if err := e.Add(one.group); err != nil {
			t.Fatal(err)
		}
		start, end, _ := strings.Cut(one.want, "*")
		if host := one.host(one.group); !strings.HasPrefix(host, start) || !strings.HasSuffix(host, end) || strings.Count(host, ".") != strings.Count(one.want, ".") {
			t.Errorf("got %s, want %s", host, one.want)
		}
	}
	if err := e.Add(&elasticache.ReplicationGroup{Place: here, ID: "b", Shards: 2}); err == nil {
		t.Error("shards without cluster mode were accepted")
	}
}
