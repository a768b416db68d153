package finder_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
	"sallyport/internal/aws/finder"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// everything adds some of all that is described.
func (c *cloud) everything(t *testing.T) {
	t.Helper()
	c.has(t, instance("orders"), withCustom(withReader(cluster("books")), "night"),
		&rds.Proxy{Place: here, Name: "pool", Tags: named("env", "prod", tagName, "front"), Endpoints: []*rds.ProxyEndpoint{{Name: "far"}}},
		&rds.Cluster{Place: here, ID: "papers", Engine: "docdb", Members: []rds.Member{{ID: "papers-1", Writer: true}}})
	if err := c.serverless.Add(&redshiftserverless.Workgroup{Place: here, Name: "etl", Tags: named("env", "prod"), Endpoints: []*redshiftserverless.Endpoint{{Name: "near"}}}); err != nil {
		t.Fatal(err)
	}
}

// partial looks and wants to hear that something could not be seen.
func (c *cloud) partial(t *testing.T, q finder.Query) ([]*resource.Database, *finder.PartialError) {
	t.Helper()
	dbs, err := c.Find(t.Context(), q)
	partial, ok := errors.AsType[*finder.PartialError](err)
	if !ok {
		t.Fatalf("got %q and %v", names(dbs), err)
	}
	return dbs, partial
}

// TestWithoutPermissionForAPart takes one permission away after a look that saw everything. What could be seen is found,
// and with what is known nothing is lost.
func TestWithoutPermissionForAPart(t *testing.T) {
	books := []string{"books-custom-night-rds-aurora" + suffix, "books-rds-aurora" + suffix, "books-reader-rds-aurora" + suffix}
	for _, test := range []struct {
		name, kind, operation string
		tags                  resource.Labels
		found                 []string
		says                  string
	}{
		{"instances of RDS", "rds", "DescribeDBInstances", nil, books, "RDS instances could not be read: AccessDenied: "},
		{"clusters of RDS", "rds", "DescribeDBClusters", nil, []string{"orders-rds" + suffix}, "Aurora clusters could not be read: AccessDenied: "},
		{"endpoints of proxies", "rdsproxy", "DescribeDBProxyEndpoints", nil, []string{"front"}, "endpoints of RDS Proxies could not be read: "},
		{"tags of proxies", "rdsproxy", "ListTagsForResource", nil, []string{"pool-far-rdsproxy" + suffix, "pool-rdsproxy" + suffix}, "labels of some databases could not be read: "},
		{"tags of proxies that are looked for", "rdsproxy", "ListTagsForResource", resource.Labels{"env": {"prod"}}, nil, "rds:ListTagsForResource"},
		{"VPC endpoints of workgroups", "redshift-serverless", "ListEndpointAccess", nil, []string{"etl-redshift-serverless" + suffix}, "VPC endpoints of workgroups could not be read: "},
		{"tags of workgroups", "redshift-serverless", "ListTagsForResource", nil, []string{"etl-near-redshift-serverless" + suffix, "etl-redshift-serverless" + suffix}, "redshift-serverless:ListTagsForResource"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t)
			c.everything(t)
			q := finder.Query{Type: test.kind, Region: region, Tags: test.tags}
			before, err := c.Find(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			c.Inject(fakeaws.Fault{Operation: test.operation, Kind: fakeaws.Denied})
			found, partial := c.partial(t, q)
			wantNames(t, found, test.found...)
			if !fault.Is(partial, fault.AccessDenied) || !strings.Contains(fault.Message(partial), test.says) {
				t.Errorf("the error is %v", partial)
			}
			after := partial.Resolve(found, before)
			slices.SortFunc(after, func(a, b *resource.Database) int { return strings.Compare(a.GetName(), b.GetName()) })
			for i, db := range before {
				if i >= len(after) || len(after) != len(before) {
					t.Fatalf("%q became %q", names(before), names(after))
				}
				got, _ := resource.Encode(after[i])
				if want, _ := resource.Encode(db); string(got) != string(want) {
					t.Errorf("%s became %s", want, got)
				}
			}
			wantNames(t, found, test.found...)
		})
	}
}

func TestWhatIsGoneIsNotKept(t *testing.T) {
	c := start(t)
	gone := instance("gone")
	c.has(t, gone, instance("orders"), cluster("books"))
	before := c.find(t, "rds")
	c.rds.Remove(gone)
	c.Inject(fakeaws.Fault{Operation: "DescribeDBClusters", Kind: fakeaws.Denied})
	found, partial := c.partial(t, finder.Query{Type: "rds", Region: region})
	after := partial.Resolve(found, before)
	wantNames(t, after, "orders-rds"+suffix, "books-rds-aurora"+suffix)
}

func TestChangesAreTakenOverBesideWhatIsKept(t *testing.T) {
	c := start(t, cloudtest.Allow("*", "*"), cloudtest.AllowAssume)
	c.everything(t)
	role := c.Role(t, account, "looker", cloudtest.Trust("arn:aws:iam::"+account+":root", ""), cloudtest.Allow("*", "*"))
	before := c.find(t, "rdsproxy")
	c.Inject(fakeaws.Fault{Operation: "ListTagsForResource", Kind: fakeaws.Denied})
	found, partial := c.partial(t, finder.Query{Type: "rdsproxy", Region: region, AssumeRoleARN: role.ARN()})
	after := partial.Resolve(found, before)
	wantNames(t, after, "front-far", "front")
	for _, db := range after {
		if db.Spec.AWS.AssumeRoleARN != role.ARN() || db.Metadata.Labels["env"] != "prod" {
			t.Errorf("got %+v", db)
		}
	}
}

func TestNothingSeenIsNoPart(t *testing.T) {
	c := start(t, cloudtest.Allow("rds:Nothing", "*"))
	c.everything(t)
	for _, kind := range []string{"rds", "rdsproxy", "redshift", "redshift-serverless", "docdb"} {
		dbs, err := c.Find(t.Context(), finder.Query{Type: kind, Region: region})
		if _, ok := errors.AsType[*finder.PartialError](err); ok || dbs != nil || !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %q, %v", kind, names(dbs), err)
		}
	}
}
