package finder_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/opensearch"
	"sallyport/internal/aws/finder"
	"sallyport/internal/resource"
)

// caches adds resources of ElastiCache.
func (c *cloud) caches(t *testing.T, all ...elasticache.Resource) *cloud {
	t.Helper()
	if err := c.elasticache.Add(all...); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cloud) memories(t *testing.T, all ...*memorydb.Cluster) *cloud {
	t.Helper()
	for _, one := range all {
		if err := c.memorydb.Add(one); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *cloud) domains(t *testing.T, all ...*opensearch.Domain) *cloud {
	t.Helper()
	if err := c.opensearch.Add(all...); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestElastiCache(t *testing.T) {
	c := start(t).caches(t,
		&elasticache.ReplicationGroup{Place: here, ID: "carts", Replicas: 1, UserGroups: []string{"g"}, Tags: named("env", "prod")},
		&elasticache.ReplicationGroup{Place: here, ID: "big", Engine: "valkey", EngineVersion: "8.0", ClusterMode: true, Shards: 3},
		&elasticache.ReplicationGroup{Place: here, ID: "clear", NoTLS: true},
		&elasticache.ReplicationGroup{Place: here, ID: "new", Status: "creating"},
		&elasticache.CacheCluster{Place: here, ID: "alone"})
	id := func(id, kind string) func(*resource.AWS) bool {
		return func(a *resource.AWS) bool {
			e := a.ElastiCache
			return e.ReplicationGroupID == id && e.EndpointType == kind && bool(e.TransitEncryptionEnabled) && (id != "carts" || slices.Equal(e.UserGroupIDs, []string{"g"}))
		}
	}
	check(t, c.find(t, "elasticache"),
		want{"carts-elasticache" + suffix, "redis", "ElastiCache cluster in us-west-1 (primary endpoint)", "endpoint-type=primary engine=redis engine-version=7.1.0 env=prod teleport.internal/discovered-name=carts", "master.carts.", false, id("carts", "primary")},
		want{"carts-reader-elasticache" + suffix, "redis", "ElastiCache cluster in us-west-1 (reader endpoint)", "endpoint-type=reader engine=redis engine-version=7.1.0 env=prod teleport.internal/discovered-name=carts-reader", "replica.carts.", false, id("carts", "reader")},
		want{"big-elasticache" + suffix, "redis", "ElastiCache cluster in us-west-1 (configuration endpoint)", "endpoint-type=configuration engine=valkey engine-version=8.0.0 teleport.internal/discovered-name=big", "clustercfg.big.", false, id("big", "configuration")},
	)
	for _, id := range []string{"clear", "new"} {
		if c.logged(id) == "" {
			t.Errorf("nobody is told that %s is passed over", id)
		}
	}
}

func TestElastiCacheServerless(t *testing.T) {
	c := start(t).caches(t,
		&elasticache.ServerlessCache{Place: here, Name: "quick", Engine: "valkey", Version: "8", UserGroup: "g", Tags: named("env", "prod")},
		&elasticache.ServerlessCache{Place: here, Name: "mem", Engine: "memcached"},
		&elasticache.ServerlessCache{Place: here, Name: "new", Status: "creating"})
	dbs := c.find(t, "elasticache-serverless")
	if len(dbs) != 1 {
		t.Fatalf("found %q", names(dbs))
	}
	version := dbs[0].Metadata.Labels["engine-version"]
	check(t, dbs, want{"quick-elasticache-serverless" + suffix, "redis", "ElastiCache Serverless cache in us-west-1", "engine=valkey engine-version=" + version + " env=prod teleport.internal/discovered-name=quick", "quick-", false,
		func(a *resource.AWS) bool {
			return a.ElastiCacheServerless.CacheName == "quick" && slices.Equal(a.ElastiCacheServerless.UserGroupIDs, []string{"g"}) && strings.HasPrefix(version, "8")
		}})
}

func TestMemoryDB(t *testing.T) {
	c := start(t).memories(t,
		&memorydb.Cluster{Place: here, Name: "mem", ACL: "acl", Tags: named("env", "prod")},
		&memorydb.Cluster{Place: here, Name: "clear", NoTLS: true},
		&memorydb.Cluster{Place: here, Name: "new", Status: "creating"})
	check(t, c.find(t, "memorydb"), want{"mem-memorydb" + suffix, "redis", "MemoryDB cluster in us-west-1", "endpoint-type=cluster engine-version=7.1 env=prod teleport.internal/discovered-name=mem", "clustercfg.mem.", false,
		func(a *resource.AWS) bool {
			return a.MemoryDB.ClusterName == "mem" && a.MemoryDB.ACLName == "acl" && bool(a.MemoryDB.TLSEnabled) && a.MemoryDB.EndpointType == "cluster"
		}})
}

func TestOpenSearch(t *testing.T) {
	c := start(t).domains(t,
		&opensearch.Domain{Place: here, Name: "logs", CustomEndpoint: "logs.example.com", Tags: named("env", "prod")},
		&opensearch.Domain{Place: here, Name: "inner", VPC: "vpc-1", Processing: true},
		&opensearch.Domain{Place: here, Name: "new", NotCreated: true},
		&opensearch.Domain{Place: here, Name: "gone", Deleted: true})
	dbs := c.find(t, "opensearch")
	for _, db := range dbs { // those outside a VPC have no label that says which one
		if strings.HasPrefix(db.GetName(), "logs") {
			if vpc := db.Metadata.Labels["vpc-id"]; vpc != "" {
				t.Errorf("%s is in %s", db.GetName(), vpc)
			}
			db.Metadata.Labels["vpc-id"] = "none"
		}
	}
	id := func(name, kind string) func(*resource.AWS) bool {
		return func(a *resource.AWS) bool {
			return a.OpenSearch == resource.OpenSearch{DomainName: name, DomainID: account + "/" + name, EndpointType: kind}
		}
	}
	const version = " engine-version=OpenSearch_2.11 "
	check(t, dbs,
		want{"logs-opensearch" + suffix, "opensearch", "OpenSearch domain in us-west-1 (default endpoint)", "endpoint-type=default" + version + "env=prod teleport.internal/discovered-name=logs", "search-logs-", false, id("logs", "default")},
		want{"logs-custom-opensearch" + suffix, "opensearch", "OpenSearch domain in us-west-1 (custom endpoint)", "endpoint-type=custom" + version + "env=prod teleport.internal/discovered-name=logs-custom", "logs.example.com:443", false, id("logs", "custom")},
		want{"inner-vpc-opensearch" + suffix, "opensearch", "OpenSearch domain in us-west-1 (vpc endpoint)", "endpoint-type=vpc" + version + "teleport.internal/discovered-name=inner-vpc", "vpc-inner-", false, id("inner", "vpc")},
	)
}

func TestCustomEndpointsOfOpenSearchAreChecked(t *testing.T) {
	for _, host := range []string{"search-logs-x.us-west-1.es.amazonaws.com.evil.example", "search-x.us-west-1.es.amazonaws.com", "169.254.169.254", "127.0.0.1",
		"u:p@logs.example.com", "logs.example.com/x", "2852039166", "0xa9fea9fe", "logs.0x1", "localhost", "[::1]", "logs.example.com:80:443"} {
		c := start(t).domains(t, &opensearch.Domain{Place: here, Name: "logs", CustomEndpoint: host})
		wantNames(t, c.find(t, "opensearch"), "logs-opensearch"+suffix)
		if !strings.Contains(c.logged("logs"), "level=WARN") {
			t.Errorf("%s: nobody is told", host)
		}
	}
}

// TestADomainThatIsListedAndNotDescribed is there, or was a moment ago: what was found before stays.
func TestADomainThatIsListedAndNotDescribed(t *testing.T) {
	c := start(t).domains(t, &opensearch.Domain{Place: here, Name: "logs"}, &opensearch.Domain{Place: here, Name: "audit"}, &opensearch.Domain{Place: here, Name: "gone"})
	before := c.find(t, "opensearch")
	c = start(t).domains(t, &opensearch.Domain{Place: here, Name: "logs", Silent: true}, &opensearch.Domain{Place: here, Name: "audit"})
	found, partial := c.partial(t, finder.Query{Type: "opensearch", Region: region})
	wantNames(t, found, "audit-opensearch"+suffix)
	wantNames(t, partial.Resolve(found, before), "audit-opensearch"+suffix, "logs-opensearch"+suffix)
	if !strings.Contains(partial.Error(), `"logs"`) {
		t.Error(partial)
	}
}

func TestAllPagesOfCachesAndDomainsAreRead(t *testing.T) {
	c := start(t)
	const many = 230 // pages are of 100, 50 and 5
	for i := range many {
		id := fmt.Sprintf("x-%04d", i)
		c.caches(t, &elasticache.ReplicationGroup{Place: here, ID: id, ClusterMode: true}, &elasticache.ServerlessCache{Place: here, Name: id, Subnets: []string{"subnet-" + id}})
		c.memories(t, &memorydb.Cluster{Place: here, Name: id})
		c.domains(t, &opensearch.Domain{Place: here, Name: id, Tags: named("number", id)})
	}
	for _, kind := range []string{"elasticache", "elasticache-serverless", "memorydb", "opensearch"} {
		dbs := c.find(t, kind)
		seen := map[string]bool{}
		for _, db := range dbs {
			seen[db.Spec.URI] = true
			if kind == "opensearch" && !strings.HasPrefix(db.GetName(), db.Metadata.Labels["number"]) {
				t.Errorf("%s has the tags of %s", db.GetName(), db.Metadata.Labels["number"])
			}
		}
		if len(dbs) != many || len(seen) != many {
			t.Errorf("%s: %d databases at %d addresses", kind, len(dbs), len(seen))
		}
	}
	if n := len(c.Calls("opensearch", "DescribeDomains")); n != many/5 {
		t.Errorf("domains were described in %d calls", n)
	}
}

// TestDisturbedLooksForCachesAndDomains runs each call with an error, and without permission.
func TestDisturbedLooksForCachesAndDomains(t *testing.T) {
	for _, test := range []struct {
		kind, operation string
		labelsOnly      bool // without permission, only labels are lacking
	}{
		{"elasticache", "DescribeReplicationGroups", false}, {"elasticache", "ListTagsForResource", true},
		{"elasticache", "DescribeCacheClusters", true}, {"elasticache", "DescribeCacheSubnetGroups", true},
		{"elasticache-serverless", "DescribeServerlessCaches", false}, {"elasticache-serverless", "ListTagsForResource", true},
		{"elasticache-serverless", "DescribeSubnets", true},
		{"memorydb", "DescribeClusters", false}, {"memorydb", "ListTags", true}, {"memorydb", "DescribeSubnetGroups", true},
		{"opensearch", "ListDomainNames", false}, {"opensearch", "DescribeDomains", false}, {"opensearch", "ListTags", true},
	} {
		t.Run(test.kind+" "+test.operation, func(t *testing.T) {
			c := start(t).caches(t, &elasticache.ReplicationGroup{Place: here, ID: "x", ClusterMode: true, Tags: named("env", "prod")},
				&elasticache.ServerlessCache{Place: here, Name: "x", Tags: named("env", "prod")}).
				memories(t, &memorydb.Cluster{Place: here, Name: "x", Tags: named("env", "prod")}).
				domains(t, &opensearch.Domain{Place: here, Name: "x", Tags: named("env", "prod")})
			q := finder.Query{Type: test.kind, Region: region}
			before := c.find(t, test.kind)
			for _, kind := range []fakeaws.Kind{fakeaws.Throttle, fakeaws.Unavailable} {
				remove := c.Inject(fakeaws.Fault{Operation: test.operation, Kind: kind})
				dbs, err := c.Find(t.Context(), q)
				if _, partial := errors.AsType[*finder.PartialError](err); err == nil || partial || dbs != nil {
					t.Errorf("%s: %q, %v", kind, names(dbs), err)
				}
				remove()
			}
			c.Inject(fakeaws.Fault{Operation: test.operation, Kind: fakeaws.Denied})
			if !test.labelsOnly {
				if dbs, err := c.Find(t.Context(), q); err == nil || dbs != nil {
					t.Errorf("denied: %q, %v", names(dbs), err)
				}
				return
			}
			found, partial := c.partial(t, q)
			wantNames(t, found, names(before)...)
			if len(found[0].Metadata.Labels) >= len(before[0].Metadata.Labels) {
				t.Errorf("no label is lacking: %v", found[0].Metadata.Labels)
			}
			got, _ := resource.Encode(partial.Resolve(found, before)[0])
			if want, _ := resource.Encode(before[0]); string(got) != string(want) {
				t.Errorf("%s became %s", want, got)
			}
		})
	}
}
