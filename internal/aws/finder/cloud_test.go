package finder_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/ec2"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/opensearch"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
	"sallyport/internal/aws/finder"
	"sallyport/internal/resource"
)

const (
	account = cloudtest.AgentAccount
	region  = "us-west-1"
	suffix  = "-" + region + "-" + account
)

var here = inventory.Place{Account: account, Region: region}

// cloud is a local AWS with the services that describe databases, and a finder in it.
type cloud struct {
	*cloudtest.Cloud
	*finder.Finder
	log         bytes.Buffer
	logger      *slog.Logger
	rds         *rds.RDS
	redshift    *redshift.Redshift
	serverless  *redshiftserverless.Serverless
	elasticache *elasticache.ElastiCache
	memorydb    *memorydb.MemoryDB
	opensearch  *opensearch.OpenSearch
}

// start starts one, whose agent has the policies, or may do everything.
func start(t *testing.T, policies ...string) *cloud {
	t.Helper()
	if policies == nil {
		policies = []string{cloudtest.Allow("*", "*")}
	}
	c := &cloud{Cloud: cloudtest.New(t, nil, policies...)}
	c.rds, c.redshift, c.serverless = rds.New(c.World), redshift.New(c.World), redshiftserverless.New(c.World)
	c.elasticache, c.memorydb, c.opensearch = elasticache.New(c.World), memorydb.New(c.World), opensearch.New(c.World)
	c.Add(c.rds.Service(), c.redshift.Service(), c.serverless.Service(), c.elasticache.Service(), c.memorydb.Service(), c.opensearch.Service(), ec2.New(c.World).Service())
	c.logger = slog.New(slog.NewTextHandler(&c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Finder = finder.New(finder.Config{Credentials: c.Provider(), Logger: c.logger})
	return c
}

// has adds resources of RDS.
func (c *cloud) has(t *testing.T, all ...rds.Resource) *cloud {
	t.Helper()
	if err := c.rds.Add(all...); err != nil {
		t.Fatal(err)
	}
	return c
}

// find looks, and fails the test on an error.
func (c *cloud) find(t *testing.T, kind string) []*resource.Database {
	t.Helper()
	return c.findIn(t, kind, region)
}

// as makes the test's process one with keys of a role in an account of another partition.
func (c *cloud) as(t *testing.T, partition, account string) {
	t.Helper()
	role, err := c.Account(partition, account).AddRole(fakeaws.Role{Name: "agent", Permissions: cloudtest.Inline(cloudtest.Allow("*", "*")),
		Trust: cloudtest.Trust("arn:"+partition+":iam::"+account+":root", "")})
	if err != nil {
		t.Fatal(err)
	}
	keys := role.Session("i-1", time.Hour)
	cloudtest.Environment(t, map[string]string{"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken})
}

// names lists the names of databases.
func names(dbs []*resource.Database) []string {
	all := []string{}
	for _, db := range dbs {
		all = append(all, db.GetName())
	}
	return all
}

// wantNames compares names, which are sorted.
func wantNames(t *testing.T, dbs []*resource.Database, want ...string) {
	t.Helper()
	if got := names(dbs); !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// pairs writes labels in a fixed order, without those that all databases of the test have.
func pairs(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		switch key {
		case "account-id", "region", "teleport.dev/cloud", "teleport.dev/origin", "teleport.dev/discovery-type", "vpc-id":
		default:
			all = append(all, fmt.Sprintf("%s=%s", key, labels[key]))
		}
	}
	return strings.Join(all, " ")
}

// logged tells what the log says of a database.
func (c *cloud) logged(id string) string {
	var lines []string
	for line := range strings.Lines(c.log.String()) {
		if strings.Contains(line, "id="+id+" ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// findIn looks in another region.
func (c *cloud) findIn(t *testing.T, kind, region string) []*resource.Database {
	t.Helper()
	dbs, err := c.Find(t.Context(), finder.Query{Type: kind, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	return dbs
}
