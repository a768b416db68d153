package fakeaws_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/memorydb"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
)

var born = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// toys are services with one operation in each protocol; they say back what they understood.
func toys() []*fakeaws.Service {
	names := []string{"a", "b", "c"}
	return []*fakeaws.Service{
		{Name: "rds", Scope: "rds", Protocol: wire.Query, Version: "2014-10-31", Namespace: "http://rds.amazonaws.com/doc/2014-10-31/", Operations: []fakeaws.Operation{
			{Name: "DescribeDBInstances", Action: "rds:DescribeDBInstances",
				Resources: func(c *fakeaws.Call) ([]string, error) { return []string{c.ARN("rds", "db:*")}, nil },
				Handle: func(c *fakeaws.Call) (wire.Fields, error) {
					found := names
					for _, f := range c.Params.List("Filters") {
						found = nil
						for _, v := range f.Strings("Values") {
							found = append(found, f.String("Name")+"="+v)
						}
					}
					size, err := c.Params.Int("MaxRecords", 100)
					if err != nil {
						return nil, err
					}
					page, next, err := fakeaws.Page(c, found, size, "Marker", "InvalidParameterValue")
					return wire.Of("Marker", wire.Optional(next), "DBInstances", wire.ListOf("DBInstance", page, func(s string) any {
						return wire.Of("DBInstanceIdentifier", s, "InstanceCreateTime", born, "IAMDatabaseAuthenticationEnabled", true, "AllocatedStorage", 7,
							"TagList", wire.ListOf("Tag", []string{"x&y"}, func(s string) any { return wire.Of("Key", s, "Value", "<v>") }))
					})), err
				}},
		}},
		{Name: "ec2", Scope: "ec2", Protocol: wire.EC2, Version: "2016-11-15", Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/", Operations: []fakeaws.Operation{
			{Name: "DescribeSubnets", Action: "ec2:DescribeSubnets", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				found := c.Params.Strings("SubnetId")
				for _, f := range c.Params.List("Filter") {
					found = append(found, fmt.Sprint(f.String("Name"), f.Strings("Value")))
				}
				return wire.Of("subnetSet", wire.ListOf("", found, func(s string) any { return wire.Of("subnetId", s, "vpcId", "vpc-1") })), nil
			}},
		}},
		{Name: "memorydb", Scope: "memorydb", Hosts: []string{"memory-db"}, Protocol: wire.JSON11, Target: "AmazonMemoryDB", Operations: []fakeaws.Operation{
			{Name: "DescribeSnapshots", Action: "memorydb:DescribeSnapshots", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				return wire.Of("NextToken", wire.Optional(c.Params.String("NextToken")), "Snapshots", wire.ListOf("", names, func(s string) any {
					return wire.Of("Name", s, "ClusterConfiguration", wire.Of("Port", 6379, "Shards", wire.ListOf("", names, func(s string) any {
						return wire.Of("Name", s, "SnapshotCreationTime", born)
					})))
				})), nil
			}},
			{Name: "DescribeClusters", Handle: func(*fakeaws.Call) (wire.Fields, error) {
				return nil, &wire.Error{Code: "ClusterNotFoundFault", Message: "no cluster", Status: 404}
			}},
		}},
		{Name: "opensearch", Scope: "es", Protocol: wire.RESTJSON, Operations: []fakeaws.Operation{
			{Name: "ListDomainNames", Path: "GET /2021-01-01/domain", Action: "es:ListDomainNames", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
				return wire.Of("DomainNames", wire.ListOf("", names, func(s string) any { return wire.Of("DomainName", s+c.Params.String("engineType")) })), nil
			}},
			{Name: "DescribeDomain", Path: "GET /2021-01-01/opensearch/domain/{DomainName}", Action: "es:DescribeDomain",
				Resources: func(c *fakeaws.Call) ([]string, error) {
					return []string{c.ARN("es", "domain/"+c.Params.String("DomainName"))}, nil
				},
				Handle: func(c *fakeaws.Call) (wire.Fields, error) {
					name := c.Params.String("DomainName")
					return wire.Of("DomainStatus", wire.Of("DomainName", name, "DomainId", "1/"+name, "ARN", c.ARN("es", "domain/"+name), "ClusterConfig", wire.Of())), nil
				}},
		}},
	}
}

func toyCloud(t *testing.T, policy string) (*cloud, aws.Config) {
	c := newCloud(t, fakeaws.Config{}, toys()...)
	return c, c.config(addUser(t, c.account, "alice", policy).CreateKeys())
}

func TestQueryProtocol(t *testing.T) {
	_, config := toyCloud(t, everything)
	client := rds.NewFromConfig(config)
	var seen []string
	pages := rds.NewDescribeDBInstancesPaginator(client, &rds.DescribeDBInstancesInput{MaxRecords: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.DBInstances {
			seen = append(seen, *i.DBInstanceIdentifier)
			if !i.InstanceCreateTime.Equal(born) || !*i.IAMDatabaseAuthenticationEnabled || *i.AllocatedStorage != 7 || *i.TagList[0].Key != "x&y" || *i.TagList[0].Value != "<v>" {
				t.Errorf("got %+v", i)
			}
		}
	}
	if fmt.Sprint(seen) != "[a b c]" {
		t.Errorf("got %v", seen)
	}
	out, err := client.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{Filters: []rdstypes.Filter{{Name: aws.String("engine"), Values: []string{"postgres", "mysql"}}}})
	if err != nil || len(out.DBInstances) != 2 || *out.DBInstances[1].DBInstanceIdentifier != "engine=mysql" {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := client.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{Marker: aws.String("x")}); code(t, err) != "InvalidParameterValue" {
		t.Errorf("a marker nobody gave: %v", err)
	}
	if _, err := client.DescribeDBClusters(t.Context(), &rds.DescribeDBClustersInput{}); code(t, err) != "InvalidAction" {
		t.Errorf("an operation that is not there: %v", err)
	}
}

func TestEC2Protocol(t *testing.T) {
	_, config := toyCloud(t, everything)
	out, err := ec2.NewFromConfig(config).DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{SubnetIds: []string{"s-1"},
		Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{"v1", "v2"}}}})
	if err != nil || len(out.Subnets) != 2 || *out.Subnets[0].SubnetId != "s-1" || *out.Subnets[1].SubnetId != "vpc-id[v1 v2]" {
		t.Errorf("got %+v, %v", out, err)
	}
	_, config = toyCloud(t, allowing(`"rds:*"`, "*"))
	if _, err := ec2.NewFromConfig(config).DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{}); code(t, err) != "UnauthorizedOperation" {
		t.Errorf("got %v", err)
	}
}

func TestJSONProtocol(t *testing.T) {
	_, config := toyCloud(t, everything)
	client := memorydb.NewFromConfig(config)
	out, err := client.DescribeSnapshots(t.Context(), &memorydb.DescribeSnapshotsInput{NextToken: aws.String("x")})
	if err != nil || len(out.Snapshots) != 3 || *out.NextToken != "x" || *out.Snapshots[2].ClusterConfiguration.Port != 6379 || !out.Snapshots[0].ClusterConfiguration.Shards[1].SnapshotCreationTime.Equal(born) {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := client.DescribeClusters(t.Context(), &memorydb.DescribeClustersInput{}); code(t, err) != "ClusterNotFoundFault" {
		t.Errorf("got %v", err)
	}
	_, config = toyCloud(t, allowing(`"rds:*"`, "*"))
	if _, err := memorydb.NewFromConfig(config).DescribeSnapshots(t.Context(), &memorydb.DescribeSnapshotsInput{}); code(t, err) != "AccessDeniedException" {
		t.Errorf("got %v", err)
	}
}

func TestRESTProtocol(t *testing.T) {
	_, config := toyCloud(t, allowing(`["es:ListDomainNames","es:DescribeDomain"]`, "arn:aws:es:us-west-1:111111111111:domain/mine"))
	client := opensearch.NewFromConfig(config)
	out, err := client.DescribeDomain(t.Context(), &opensearch.DescribeDomainInput{DomainName: aws.String("mine")})
	if err != nil || *out.DomainStatus.ARN != "arn:aws:es:us-west-1:111111111111:domain/mine" {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := client.DescribeDomain(t.Context(), &opensearch.DescribeDomainInput{DomainName: aws.String("other")}); code(t, err) != "AccessDeniedException" {
		t.Errorf("got %v", err)
	}
	if _, err := client.ListDomainNames(t.Context(), &opensearch.ListDomainNamesInput{}); code(t, err) != "AccessDeniedException" {
		t.Errorf("the list needs a star as resource: %v", err)
	}
	_, config = toyCloud(t, everything)
	list, err := opensearch.NewFromConfig(config).ListDomainNames(t.Context(), &opensearch.ListDomainNamesInput{EngineType: "OpenSearch"})
	if err != nil || len(list.DomainNames) != 3 || *list.DomainNames[0].DomainName != "aOpenSearch" {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestFaults(t *testing.T) {
	call := func(t *testing.T, c *cloud, config aws.Config) ([]string, string) {
		out, err := rds.NewFromConfig(config).DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{MaxRecords: aws.Int32(2)})
		if err != nil {
			return nil, code(t, err)
		}
		got := []string{aws.ToString(out.Marker)}
		for _, i := range out.DBInstances {
			got = append(got, *i.DBInstanceIdentifier)
		}
		return got, ""
	}
	for kind, want := range map[fakeaws.Kind]string{fakeaws.Throttle: "Throttling", fakeaws.ServerError: "InternalFailure",
		fakeaws.Unavailable: "ServiceUnavailable", fakeaws.Denied: "AccessDenied", fakeaws.Delay: ""} {
		t.Run(string(kind), func(t *testing.T) {
			c, config := toyCloud(t, everything)
			remove := c.Inject(fakeaws.Fault{Service: "rds", Operation: "DescribeDBInstances", Kind: kind, Skip: 1, Times: 1, Delay: time.Millisecond})
			for n, expected := range []string{"", want, ""} {
				if _, got := call(t, c, config); got != expected {
					t.Errorf("call %d: got %q", n, got)
				}
			}
			remove()
			if _, got := call(t, c, config); got != "" {
				t.Errorf("after removal: %q", got)
			}
			if calls := c.Calls("rds", ""); len(calls) != 4 || !calls[1].Injected || calls[0].Injected {
				t.Errorf("journal: %+v", calls)
			}
		})
	}
	t.Run("other calls go well", func(t *testing.T) {
		c, config := toyCloud(t, everything)
		c.Inject(fakeaws.Fault{Region: "eu-west-1", Kind: fakeaws.Throttle})
		c.Inject(fakeaws.Fault{Account: "222222222222", Kind: fakeaws.Throttle})
		c.Inject(fakeaws.Fault{Operation: "ModifyDBInstance", Kind: fakeaws.Throttle})
		if _, got := call(t, c, config); got != "" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("an empty page", func(t *testing.T) {
		c, config := toyCloud(t, everything)
		c.Inject(fakeaws.Fault{Kind: fakeaws.EmptyPage, Times: 1})
		pages := rds.NewDescribeDBInstancesPaginator(rds.NewFromConfig(config), &rds.DescribeDBInstancesInput{MaxRecords: aws.Int32(2)})
		var sizes []int
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, len(page.DBInstances))
		}
		if fmt.Sprint(sizes) != "[0 2 1]" {
			t.Errorf("got %v", sizes)
		}
	})
	t.Run("a token twice", func(t *testing.T) {
		c, config := toyCloud(t, everything)
		c.Inject(fakeaws.Fault{Kind: fakeaws.DuplicateToken})
		first, _ := call(t, c, config)
		out, err := rds.NewFromConfig(config).DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{Marker: &first[0], MaxRecords: aws.Int32(2)})
		if err != nil || first[0] == "" || *out.Marker != first[0] {
			t.Errorf("got %v then %+v, %v", first, out, err)
		}
	})
	for _, kind := range []fakeaws.Kind{fakeaws.Cut, fakeaws.Garbage, fakeaws.Hang} {
		t.Run(string(kind), func(t *testing.T) {
			c, config := toyCloud(t, everything)
			c.Inject(fakeaws.Fault{Kind: kind})
			ctx, cancel := contextFor(t, kind)
			defer cancel()
			_, err := rds.NewFromConfig(config).DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
			if err == nil || kind == fakeaws.Hang && !errors.Is(err, ctx.Err()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// contextFor gives a call that would hang a moment to do so.
func contextFor(t *testing.T, kind fakeaws.Kind) (context.Context, context.CancelFunc) {
	if kind == fakeaws.Hang {
		return context.WithTimeout(t.Context(), 100*time.Millisecond)
	}
	return context.WithCancel(t.Context())
}
