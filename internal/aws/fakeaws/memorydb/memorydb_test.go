package memorydb_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/redisusers"
)

var here = fakeawstest.Here

const (
	oldPassword = "old-password-of-sixteen"
	newPassword = "new-password-of-sixteen"
)

func TestAWSCLI(t *testing.T) {
	c := fakeawstest.New(t)
	m := memorydb.New(c.World)
	c.Add(m.Service())
	mem := &memorydb.Cluster{Place: here, Name: "mem", ACL: "team", SubnetGroup: "inner", VPC: "vpc-9", Tags: map[string]string{"env": "prod"}}
	plain := &memorydb.Cluster{Place: here, Name: "plain", NoTLS: true}
	if err := m.Add(mem, plain, &memorydb.Cluster{Place: here, Name: "young", Status: "creating"}); err != nil {
		t.Fatal(err)
	}
	bob := &memorydb.User{Place: here, Name: "bob", ACLs: []string{"team"}, Access: redisusers.Access{Passwords: []string{oldPassword}}}
	alice := &memorydb.User{Place: here, Name: "alice", ACLs: []string{"team"}, Tags: map[string]string{"teleport.dev/managed": "true"}}
	if err := m.AddUsers(alice, bob, &memorydb.User{Place: here, Name: "eve", ACLs: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	c.Update(func() { m.Modifying = time.Minute })
	if !strings.HasPrefix(mem.Host(), "clustercfg.mem.") || !strings.HasSuffix(mem.Host(), ".memorydb.us-west-1.amazonaws.com") || !strings.HasSuffix(plain.Host(), ".clustercfg.memorydb.us-west-1.amazonaws.com") {
		t.Errorf("got %s, %s", mem.Host(), plain.Host())
	}
	const arn = "arn:aws:memorydb:us-west-1:111111111111:"
	c.CLI(t, c.Admin,
		awsclitest.Works("memorydb describe-clusters --query Clusters[].[Name,Status,TLSEnabled,ACLName,ClusterEndpoint.Port]", "mem\tavailable\tTrue\tteam\t6379\nplain\tavailable\tFalse\topen-access\t6379\nyoung\tcreating\tTrue\topen-access\tNone"),
		awsclitest.Works("memorydb describe-clusters --cluster-name mem --query Clusters[].[ARN,ClusterEndpoint.Address,SubnetGroupName]", arn+"cluster/mem\t"+mem.Host()+"\tinner"),
		awsclitest.Works("memorydb describe-clusters --max-results 1 --query [length(Clusters),NextToken]", "1\t"),
		awsclitest.Fails("memorydb describe-clusters --cluster-name none", "(ClusterNotFoundFault)"),
		awsclitest.Works("memorydb describe-subnet-groups --subnet-group-name inner --query SubnetGroups[].VpcId", "vpc-9"),
		awsclitest.Fails("memorydb describe-subnet-groups --subnet-group-name none", "(SubnetGroupNotFoundFault)"),
		awsclitest.Works("memorydb describe-users --query Users[].[Name,Status,Authentication.Type,ACLNames[0]]", "alice\tactive\tiam\tteam\nbob\tactive\tpassword\tteam\neve\tactive\tiam\tother"),
		awsclitest.Fails("memorydb describe-users --user-name none", "(UserNotFoundFault)"),
		awsclitest.Fails("memorydb update-user --user-name bob --authentication-mode Type=password,Passwords=short", "(InvalidParameterValue)"),
		awsclitest.Works("memorydb update-user --user-name bob --authentication-mode Type=password,Passwords="+oldPassword+","+newPassword+" --query User.Status", "modifying"),
		awsclitest.Fails("memorydb update-user --user-name bob --authentication-mode Type=password,Passwords="+newPassword, "(InvalidUserStateFault)"),
		awsclitest.Works("memorydb list-tags --resource-arn "+arn+"cluster/mem --query TagList", "env\tprod"),
		awsclitest.Works("memorydb list-tags --resource-arn "+arn+"user/alice --query TagList", "teleport.dev/managed\ttrue"),
		awsclitest.Fails("memorydb list-tags --resource-arn "+arn+"cluster/none", "(ClusterNotFoundFault)"),
		awsclitest.Fails("memorydb list-tags --resource-arn "+arn+"nothing", "(InvalidARNFault)"),
		awsclitest.Works("memorydb create-user --user-name carol --authentication-mode Type=iam --access-string on~*+@all --query User.[Name,Authentication.Type]", "carol\tiam"),
		awsclitest.Fails("memorydb create-user --user-name carol --authentication-mode Type=iam --access-string on", "(UserAlreadyExistsFault)"),
		awsclitest.Works("memorydb create-acl --acl-name own --query ACL.Name", "own"),
		awsclitest.Fails("memorydb create-acl --acl-name own", "(ACLAlreadyExistsFault)"),
		awsclitest.Works("memorydb update-acl --acl-name own --user-names-to-add carol --query ACL.UserNames", "carol"),
		awsclitest.Fails("memorydb update-acl --acl-name own --user-names-to-add none", "(UserNotFoundFault)"),
		awsclitest.Works("memorydb update-cluster --cluster-name plain --acl-name own --query Cluster.ACLName", "own"),
		awsclitest.Fails("memorydb update-cluster --cluster-name plain --acl-name none", "(ACLNotFoundFault)"),
		awsclitest.Works("memorydb tag-resource --resource-arn "+arn+"user/carol --tags Key=teleport.dev/managed,Value=true --query TagList", "teleport.dev/managed\ttrue"),
	)
	c.AllCalled(t, "memorydb")
	for user, known := range map[string]bool{"alice": true, "eve": false, "bob": false} {
		reason := c.Verify(fakeaws.Login{Service: fakeaws.MemoryDBConnect, Host: "mem", User: user, Token: c.Token(t, c.Admin, "memorydb", "mem", "User", user)}).Reason
		if known != (reason == "allowed") {
			t.Errorf("%s: %s", user, reason)
		}
	}
	accepts := func(password string) (ok bool) {
		c.Update(func() { ok = bob.Access.Accepts(c.Now(), password) })
		return ok
	}
	if !accepts(oldPassword) || accepts(newPassword) {
		t.Error("the change has an effect at once")
	}
	c.Clock.Advance(time.Minute)
	if !accepts(oldPassword) || !accepts(newPassword) {
		t.Error("the change has no effect")
	}
}
