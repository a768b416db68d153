package rds_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/awsclitest"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/rds"
)

var here = fakeawstest.Here

func newCloud(t *testing.T, resources ...rds.Resource) (*fakeawstest.Cloud, *rds.RDS) {
	t.Helper()
	c := fakeawstest.New(t)
	r := rds.New(c.World)
	c.Add(r.Service())
	if err := r.Add(resources...); err != nil {
		t.Fatal(err)
	}
	return c, r
}

func TestAWSCLI(t *testing.T) {
	orders := &rds.Cluster{Place: here, ID: "orders", Members: []rds.Member{{ID: "orders-1", Writer: true}, {ID: "orders-2"}}, CustomEndpoints: []string{"analysts"},
		Tags: map[string]string{"env": "prod"}}
	front := &rds.Proxy{Place: here, Name: "front", ResourceID: "prx-0123", Tags: map[string]string{"env": "dev"}, Endpoints: []*rds.ProxyEndpoint{{Name: "reads", Role: "READ_ONLY"}}}
	c, _ := newCloud(t, orders, front,
		&rds.Instance{Place: here, ID: "plain", ResourceID: "db-PLAIN", Tags: map[string]string{"env": "test"}},
		&rds.Instance{Place: here, ID: "young", Engine: "mariadb", Status: "creating", NoEndpoint: true},
		&rds.Instance{Place: here, ID: "big", Engine: "sqlserver-ex"},
		&rds.Cluster{Place: here, ID: "docs", Engine: "docdb", Members: []rds.Member{{ID: "docs-1", Writer: true}}})
	c.CLI(t, c.Admin,
		awsclitest.Works("rds describe-db-instances --filters Name=engine,Values=postgres,mysql,mariadb --query DBInstances[].[DBInstanceIdentifier,DBInstanceStatus,Endpoint.Port]", "plain\tavailable\t5432\nyoung\tcreating\tNone"),
		awsclitest.Works("rds describe-db-instances --db-instance-identifier plain --query DBInstances[].[DbiResourceId,DBInstanceArn,TagList[0].Value,DBSubnetGroup.VpcId]", "db-PLAIN\tarn:aws:rds:us-west-1:111111111111:db:plain\ttest\tvpc-"),
		awsclitest.Works("rds describe-db-instances --filters Name=db-cluster-id,Values=orders --query DBInstances[].[DBInstanceIdentifier,DBClusterIdentifier]", "orders-1\torders\norders-2\torders"),
		awsclitest.Fails("rds describe-db-instances --db-instance-identifier none", "DBInstance none not found."),
		awsclitest.Fails("rds describe-db-instances --filters Name=engine,Values=postgrez", "Unrecognized engine name: postgrez"),
		awsclitest.Fails("rds describe-db-instances --filters Name=colour,Values=red", "Unrecognized filter name: colour"),
		awsclitest.Fails("rds describe-db-instances --max-items 1 --page-size 7", "Must be between 20 and 100"),
		awsclitest.Works("rds describe-db-clusters --filters Name=engine,Values=aurora-postgresql --query DBClusters[].[DBClusterIdentifier,Endpoint,ReaderEndpoint,CustomEndpoints[0],DBClusterMembers[?IsClusterWriter].DBInstanceIdentifier|[0]]",
			"orders\torders.cluster-"+middle(orders.Host)+"\torders.cluster-ro-"+middle(orders.Host)+"\tanalysts.cluster-custom-"+middle(orders.Host)+"\torders-1"),
		awsclitest.Works("docdb describe-db-clusters --filters Name=engine,Values=docdb --query DBClusters[].[DBClusterIdentifier,Endpoint,Port]", "docs\tdocs.cluster-"),
		awsclitest.Works("rds describe-db-clusters --db-cluster-identifier arn:aws:rds:us-west-1:111111111111:cluster:docs --query DBClusters[].Engine", "docdb"),
		awsclitest.Fails("rds describe-db-clusters --db-cluster-identifier none", "(DBClusterNotFoundFault)"),
		awsclitest.Works("rds modify-db-instance --db-instance-identifier plain --enable-iam-database-authentication --query DBInstance.[IAMDatabaseAuthenticationEnabled,PendingModifiedValues.IAMDatabaseAuthenticationEnabled]", "False\tTrue"),
		awsclitest.Works("rds modify-db-instance --db-instance-identifier plain --enable-iam-database-authentication --apply-immediately --query DBInstance.[IAMDatabaseAuthenticationEnabled,PendingModifiedValues]", "True\tNone"),
		awsclitest.Fails("rds modify-db-instance --db-instance-identifier orders-1 --enable-iam-database-authentication --apply-immediately", "(InvalidParameterCombination)"),
		awsclitest.Fails("rds modify-db-instance --db-instance-identifier big --enable-iam-database-authentication --apply-immediately", "not supported for this configuration"),
		awsclitest.Fails("rds modify-db-instance --db-instance-identifier young --enable-iam-database-authentication --apply-immediately", "(InvalidDBInstanceState)"),
		awsclitest.Fails("rds modify-db-instance --db-instance-identifier plain --allocated-storage 7", "changes nothing but IAM authentication"),
		awsclitest.Works("rds modify-db-cluster --db-cluster-identifier orders --enable-iam-database-authentication --apply-immediately --query DBCluster.IAMDatabaseAuthenticationEnabled", "True"),
		awsclitest.Works("rds describe-db-instances --db-instance-identifier orders-2 --query DBInstances[].IAMDatabaseAuthenticationEnabled", "True"),
		awsclitest.Fails("rds modify-db-cluster --db-cluster-identifier docs --enable-iam-database-authentication --apply-immediately", "not supported"),
		awsclitest.Works("rds describe-db-proxies --query DBProxies[].[DBProxyName,DBProxyArn,RequireTLS,EngineFamily,Endpoint,Auth[0].IAMAuth]", "front\tarn:aws:rds:us-west-1:111111111111:db-proxy:prx-0123\tTrue\tPOSTGRESQL\tfront.proxy-"),
		awsclitest.Fails("rds describe-db-proxies --db-proxy-name none", "(DBProxyNotFoundFault)"),
		awsclitest.Works("rds modify-db-proxy --db-proxy-name front --role-arn arn:aws:iam::111111111111:role/r --auth AuthScheme=SECRETS,SecretArn=arn:aws:secretsmanager:us-west-1:111111111111:secret:a-abcdef,IAMAuth=REQUIRED AuthScheme=SECRETS,SecretArn=arn:aws:secretsmanager:us-west-1:111111111111:secret:b-abcdef,IAMAuth=DISABLED --query DBProxy.[RoleArn,Auth[].IAMAuth]",
			"arn:aws:iam::111111111111:role/r\nREQUIRED\tDISABLED"),
		awsclitest.Fails("rds modify-db-proxy --db-proxy-name front --auth AuthScheme=SECRETS,SecretArn=rdsproxy_alice,IAMAuth=REQUIRED", "Invalid secret ARN"),
		awsclitest.Fails("rds modify-db-proxy --db-proxy-name none", "(DBProxyNotFoundFault)"),
		awsclitest.Works("rds describe-db-proxy-endpoints --query DBProxyEndpoints[].[DBProxyEndpointName,TargetRole,IsDefault,DBProxyName]", "default\tREAD_WRITE\tTrue\tfront\nreads\tREAD_ONLY\tFalse\tfront"),
		awsclitest.Works("rds describe-db-proxy-endpoints --db-proxy-endpoint-name reads --query DBProxyEndpoints[].Endpoint", "reads.endpoint.proxy-"),
		awsclitest.Fails("rds describe-db-proxy-endpoints --db-proxy-endpoint-name none", "(DBProxyEndpointNotFoundFault)"),
		awsclitest.Works("rds list-tags-for-resource --resource-name arn:aws:rds:us-west-1:111111111111:db-proxy:prx-0123 --query TagList", "env\tdev"),
		awsclitest.Works("rds list-tags-for-resource --resource-name arn:aws:rds:us-west-1:111111111111:db:plain --query TagList", "env\ttest"),
		awsclitest.Works("rds list-tags-for-resource --resource-name arn:aws:rds:us-west-1:111111111111:cluster:orders --query TagList", "env\tprod"),
		awsclitest.Fails("rds list-tags-for-resource --resource-name arn:aws:rds:us-west-1:111111111111:db:none", "(DBInstanceNotFound)"),
		awsclitest.Fails("rds list-tags-for-resource --resource-name arn:aws:rds:us-west-2:111111111111:db:plain", "in this region"),
	)
	c.AllCalled(t, "rds")
}

// middle is what follows the kind in a host name of a cluster.
func middle(host string) string {
	_, rest, _ := strings.Cut(host, ".cluster-")
	return rest
}

func describe(t *testing.T, c *fakeawstest.Cloud, keys fakeaws.Keys, region string, engines ...string) ([]string, error) {
	t.Helper()
	input := &sdk.DescribeDBInstancesInput{}
	if len(engines) > 0 {
		input.Filters = []types.Filter{{Name: aws.String("engine"), Values: engines}}
	}
	var names []string
	for pages := sdk.NewDescribeDBInstancesPaginator(sdk.NewFromConfig(c.Config(keys, region)), input); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			return names, err
		}
		for _, i := range page.DBInstances {
			names = append(names, *i.DBInstanceIdentifier)
		}
	}
	return names, nil
}

func TestRegionsAndAccountsAreApart(t *testing.T) {
	c, r := newCloud(t)
	other := c.World.Account("aws", "222222222222")
	stranger, err := other.AddUser(fakeaws.User{Name: "s", Permissions: fakeaws.Permissions{Inline: map[string]string{"p": fakeawstest.Everything}}})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Add(&rds.Instance{Place: here, ID: "mine"}, &rds.Instance{Place: inventory.Place{Account: "111111111111", Region: "eu-west-1"}, ID: "abroad"},
		&rds.Instance{Place: inventory.Place{Account: "222222222222", Region: "us-west-1"}, ID: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		rule, region string
		keys         fakeaws.Keys
		want         string
	}{
		{"own", "us-west-1", c.Admin, "mine"},
		{"another region", "eu-west-1", c.Admin, "abroad"},
		{"another account", "us-west-1", stranger.CreateKeys(), "theirs"},
		{"an empty region", "us-east-2", c.Admin, ""},
	} {
		t.Run(one.rule, func(t *testing.T) {
			names, err := describe(t, c, one.keys, one.region)
			if err != nil || strings.Join(names, " ") != one.want {
				t.Errorf("got %v, %v", names, err)
			}
		})
	}
}

func TestManyInstances(t *testing.T) {
	c, r := newCloud(t)
	regions := []string{"us-west-1", "us-east-1", "eu-west-1"}
	if err := r.Add(rds.Many{Count: 1200, Account: fakeawstest.AccountID, Regions: regions[:1]}.Make()...); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(rds.Many{Count: 300, Account: fakeawstest.AccountID, Regions: regions, Prefix: "more", Engine: "mysql"}.Make()...); err != nil {
		t.Fatal(err)
	}
	names, err := describe(t, c, c.Admin, "us-west-1", "postgres")
	if err != nil || len(names) != 1200 || names[0] != "db-00000" || names[1199] != "db-01199" {
		t.Errorf("got %d, %v", len(names), err)
	}
	if calls := len(c.Calls("rds", "DescribeDBInstances")); calls != 12 {
		t.Errorf("%d pages", calls)
	}
	for _, region := range regions {
		if names, err := describe(t, c, c.Admin, region, "mysql"); err != nil || len(names) != 100 {
			t.Errorf("%s: got %d, %v", region, len(names), err)
		}
	}
}

func TestTenThousandInstances(t *testing.T) {
	c, r := newCloud(t)
	var regions []string
	for _, area := range []string{"us-east", "us-west", "eu-west", "eu-central", "ap-south"} {
		for number := range 4 {
			regions = append(regions, fmt.Sprintf("%s-%d", area, number+1))
		}
	}
	if err := r.Add(rds.Many{Count: 10000, Account: fakeawstest.AccountID, Regions: regions}.Make()...); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, region := range regions {
		names, err := describe(t, c, c.Admin, region)
		if err != nil || len(names) != 500 {
			t.Errorf("%s: got %d, %v", region, len(names), err)
		}
		for _, name := range names {
			seen[name] = true
		}
	}
	if calls := len(c.Calls("rds", "DescribeDBInstances")); len(seen) != 10000 || calls != 100 {
		t.Errorf("got %d in %d pages", len(seen), calls)
	}
}

func TestRegionsWithoutAnEngine(t *testing.T) {
	c, r := newCloud(t, &rds.Instance{Place: here, ID: "a"}, &rds.Instance{Place: here, ID: "b", Engine: "mysql"})
	c.Update(func() { r.Engines[here.Region] = []string{"postgres", "mysql"} })
	if _, err := describe(t, c, c.Admin, here.Region, "postgres", "mariadb"); err == nil || !strings.Contains(err.Error(), "Unrecognized engine name: mariadb") {
		t.Errorf("got %v", err)
	}
	if names, err := describe(t, c, c.Admin, here.Region, "postgres", "mysql"); err != nil || len(names) != 2 {
		t.Errorf("got %v, %v", names, err)
	}
	if _, err := describe(t, c, c.Admin, "us-east-1", "postgres", "mariadb"); err != nil {
		t.Errorf("another region: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	c, _ := newCloud(t, &rds.Instance{Place: here, ID: "mine", Tags: map[string]string{"team": "a"}}, &rds.Instance{Place: here, ID: "other"})
	keys := c.User(t, "u", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"rds:DescribeDBInstances","Resource":"arn:aws:rds:us-west-1:111111111111:db:mine"},
		{"Effect":"Allow","Action":"rds:ModifyDBInstance","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}`)
	client := sdk.NewFromConfig(c.Config(keys, here.Region))
	for _, one := range []struct {
		rule, code string
		call       func() error
	}{
		{"the instance that is named", "", func() error {
			_, err := client.DescribeDBInstances(t.Context(), &sdk.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("mine")})
			return err
		}},
		{"another instance", "AccessDenied", func() error {
			_, err := client.DescribeDBInstances(t.Context(), &sdk.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("other")})
			return err
		}},
		{"the list of all", "AccessDenied", func() error {
			_, err := client.DescribeDBInstances(t.Context(), &sdk.DescribeDBInstancesInput{})
			return err
		}},
		{"an instance with the tag", "", func() error {
			_, err := client.ModifyDBInstance(t.Context(), &sdk.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("mine"), EnableIAMDatabaseAuthentication: aws.Bool(true)})
			return err
		}},
		{"an instance without the tag", "AccessDenied", func() error {
			_, err := client.ModifyDBInstance(t.Context(), &sdk.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("other"), EnableIAMDatabaseAuthentication: aws.Bool(true)})
			return err
		}},
		{"clusters", "AccessDenied", func() error {
			_, err := client.DescribeDBClusters(t.Context(), &sdk.DescribeDBClustersInput{})
			return err
		}},
	} {
		t.Run(one.rule, func(t *testing.T) {
			if code := fakeawstest.Code(t, one.call()); code != one.code {
				t.Errorf("got %q", code)
			}
		})
	}
}

func TestTheVerifierKnowsWhatIsAdded(t *testing.T) {
	k := &rds.Cluster{Place: here, ID: "orders", Members: []rds.Member{{ID: "orders-1", Writer: true}}, CustomEndpoints: []string{"analysts"}}
	i := &rds.Instance{Place: here, ID: "plain"}
	p := &rds.Proxy{Place: here, Name: "front", Endpoints: []*rds.ProxyEndpoint{{Name: "reads"}}}
	c, r := newCloud(t, k, i, p)
	verdict := func(addr string) string {
		return c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: addr, User: "u", Token: "x"}).Reason
	}
	const off, on, gone = "IAM authentication is not switched on", "no query", "no rds-db server"
	check := func(rule string, addrs []string, want string) {
		t.Helper()
		for _, addr := range addrs {
			if got := verdict(addr); !strings.Contains(got, want) {
				t.Errorf("%s: %s: %q", rule, addr, got)
			}
		}
	}
	if len(k.Addrs()) != 4 || len(p.Addrs()) != 2 || p.CertificateName() != strings.Replace(p.Host, "front.", "*.", 1) {
		t.Errorf("%v %v %s", k.Addrs(), p.Addrs(), p.CertificateName())
	}
	check("a proxy with IAM", p.Addrs(), on)
	check("before", append(k.Addrs(), i.Addr()), off)
	client := sdk.NewFromConfig(c.Config(c.Admin, here.Region))
	if _, err := client.ModifyDBCluster(t.Context(), &sdk.ModifyDBClusterInput{DBClusterIdentifier: &k.ID, EnableIAMDatabaseAuthentication: aws.Bool(true), ApplyImmediately: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ModifyDBInstance(t.Context(), &sdk.ModifyDBInstanceInput{DBInstanceIdentifier: &i.ID, EnableIAMDatabaseAuthentication: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	check("a cluster switched on", k.Addrs(), on)
	check("an instance to be switched on some day", []string{i.Addr()}, off)
	r.Remove(k, p)
	check("removed", append(k.Addrs(), p.Addrs()...), gone)
}

func TestHostNames(t *testing.T) {
	c, r := newCloud(t)
	c.World.Account("aws-cn", "333333333333")
	c.World.Account("aws-us-gov", "444444444444")
	china, gov := inventory.Place{Account: "333333333333", Region: "cn-north-1"}, inventory.Place{Account: "444444444444", Region: "us-gov-west-1"}
	for _, one := range []struct {
		instance   *rds.Instance
		start, end string
	}{
		{&rds.Instance{Place: here, ID: "a"}, "a.", ".us-west-1.rds.amazonaws.com"},
		{&rds.Instance{Place: china, ID: "a"}, "a.", ".rds.cn-north-1.amazonaws.com.cn"},
		{&rds.Instance{Place: gov, ID: "a"}, "a.", ".us-gov-west-1.rds.amazonaws.com"},
	} {
		if err := r.Add(one.instance); err != nil {
			t.Fatal(err)
		}
		if host := one.instance.Host; !strings.HasPrefix(host, one.start) || !strings.HasSuffix(host, one.end) {
			t.Errorf("got %q", host)
		}
	}
	for rule, wrong := range map[string]rds.Resource{
		"no such account":           &rds.Instance{Place: inventory.Place{Account: "999999999999", Region: "us-west-1"}, ID: "a"},
		"no region":                 &rds.Instance{Place: inventory.Place{Account: fakeawstest.AccountID}, ID: "a"},
		"a region of another cloud": &rds.Instance{Place: inventory.Place{Account: fakeawstest.AccountID, Region: "cn-north-1"}, ID: "a"},
		"no name":                   &rds.Cluster{Place: here},
		"an engine that is none":    &rds.Instance{Place: here, ID: "a", Engine: "postgresql"},
	} {
		if err := r.Add(wrong); err == nil {
			t.Errorf("%s: accepted", rule)
		}
	}
}
