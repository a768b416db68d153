package finder_test

import (
	"strings"
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/memorydb"
	"sallyport/internal/aws/fakeaws/opensearch"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/finder"
)

// TestOtherPartitions looks in China, where host names have another form and domain, and in GovCloud.
func TestOtherPartitions(t *testing.T) {
	for _, test := range []struct{ partition, region, domain string }{
		{"aws-cn", "cn-north-1", ".amazonaws.com.cn:"},
		{"aws-us-gov", "us-gov-west-1", ".amazonaws.com:"},
	} {
		t.Run(test.region, func(t *testing.T) {
			c := start(t)
			const account = "333333333333"
			c.as(t, test.partition, account)
			c.Finder = finder.New(finder.Config{Credentials: c.Provider(), Logger: c.logger})
			at := inventory.Place{Account: account, Region: test.region}
			c.has(t, &rds.Instance{Place: at, ID: "orders"}, &rds.Proxy{Place: at, Name: "pool", Endpoints: []*rds.ProxyEndpoint{{Name: "far"}}},
				&rds.Cluster{Place: at, ID: "books", Members: []rds.Member{{ID: "w", Writer: true}, {ID: "r"}}, CustomEndpoints: []string{"night"}},
				&rds.Cluster{Place: at, ID: "papers", Engine: "docdb", Members: []rds.Member{{ID: "papers-1", Writer: true}}})
			if err := c.redshift.Add(&redshift.Cluster{Place: at, ID: "warehouse"}); err != nil {
				t.Fatal(err)
			}
			c.caches(t, &elasticache.ReplicationGroup{Place: at, ID: "carts"}, &elasticache.ServerlessCache{Place: at, Name: "quick"}).
				memories(t, &memorydb.Cluster{Place: at, Name: "mem"}).domains(t, &opensearch.Domain{Place: at, Name: "logs"})
			for kind, want := range map[string]int{"rds": 4, "rdsproxy": 2, "redshift": 1, "docdb": 1, "elasticache": 2, "elasticache-serverless": 1, "memorydb": 1, "opensearch": 1} {
				dbs := c.findIn(t, kind, test.region)
				if len(dbs) != want {
					t.Errorf("%s: found %q", kind, names(dbs))
				}
				for _, db := range dbs {
					if !strings.Contains(db.Spec.URI, test.domain) || !strings.HasSuffix(db.GetName(), test.region+"-"+account) || db.Spec.AWS.AccountID != account || db.Type() != kind {
						t.Errorf("got %s at %s, %+v", db.GetName(), db.Spec.URI, db.Spec.AWS)
					}
				}
			}
		})
	}
}

// TestHostsAreChecked has AWS answer with hosts that lead elsewhere. None becomes the address of a database, and those
// that are right are found all the same.
func TestHostsAreChecked(t *testing.T) {
	for name, host := range map[string]string{
		"a look-alike":              "x.abcdefghijkl.us-west-1.rds.amazonaws.com.evil.example",
		"the domain within a label": "x.abcdefghijkl.us-west-1.rds.amazonaws.com-evil.example",
		"another domain":            "x.example.com",
		"another region":            "x.abcdefghijkl.us-east-1.rds.amazonaws.com",
		"another service":           "x.abcdefghijkl.us-west-1.redshift.amazonaws.com",
		"another partition":         "x.abcdefghijkl.rds.us-west-1.amazonaws.com.cn",
		"another kind":              "x.cluster-abcdefghijkl.us-west-1.rds.amazonaws.com",
		"an address":                "169.254.169.254",
		"this machine":              "localhost",
		"a user before it":          "x@orders.abcdefghijkl.us-west-1.rds.amazonaws.com",
		"a line break":              "x.abcdefghijkl.us-west-1.rds.amazonaws.com\nx",
		"a path":                    "evil.example/x.abcdefghijkl.us-west-1.rds.amazonaws.com",
		"a dot at the end":          "x.abcdefghijkl.us-west-1.rds.amazonaws.com.",
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t).has(t, instance("orders"), &rds.Instance{Place: here, ID: "x", Host: host})
			wantNames(t, c.find(t, "rds"), "orders-rds"+suffix)
			if !strings.Contains(c.logged("x"), "level=WARN") {
				t.Error("nobody is told")
			}
		})
	}
}

func TestServerNamesAndCustomEndpointsAreChecked(t *testing.T) {
	evil := "books.cluster-abcdefghijkl.us-west-1.rds.amazonaws.com.evil.example"
	c := start(t).has(t,
		&rds.Cluster{Place: here, ID: "books", Host: evil, Members: []rds.Member{{ID: "w", Writer: true}, {ID: "r"}}, CustomEndpoints: []string{"night"}},
		&rds.Cluster{Place: here, ID: "papers", Members: []rds.Member{{ID: "w", Writer: true}}, CustomEndpoints: []string{"night.cluster-custom-a.us-west-1.rds.amazonaws.com.evil.example", "night.example.com"}},
		&rds.Proxy{Place: here, Name: "pool", Host: "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com.evil.example", Endpoints: []*rds.ProxyEndpoint{{Name: "far"}}})
	wantNames(t, c.find(t, "rds"), "books-reader-rds-aurora"+suffix, "papers-rds-aurora"+suffix)
	wantNames(t, c.find(t, "rdsproxy"))
}

func TestTheRoleThatLooksIsTheOneThatReaches(t *testing.T) {
	c := start(t, cloudtest.AllowAssume)
	role := c.Role(t, cloudtest.DatabaseAccount, "looker", cloudtest.Trust("arn:aws:iam::"+account+":root", "secret-id"), cloudtest.Allow("*", "*"))
	c.has(t, instance("mine"), &rds.Instance{Place: inventory.Place{Account: cloudtest.DatabaseAccount, Region: region}, ID: "theirs"})
	dbs, err := c.Find(t.Context(), finder.Query{Type: "rds", Region: region, AssumeRoleARN: role.ARN(), ExternalID: "secret-id"})
	if err != nil {
		t.Fatal(err)
	}
	wantNames(t, dbs, "theirs-rds-"+region+"-"+cloudtest.DatabaseAccount)
	if a := dbs[0].Spec.AWS; a.AssumeRoleARN != role.ARN() || a.ExternalID != "secret-id" || a.AccountID != cloudtest.DatabaseAccount {
		t.Errorf("got %+v", a)
	}
	for _, id := range []string{"", "wrong"} {
		if dbs, err := c.Find(t.Context(), finder.Query{Type: "rds", Region: region, AssumeRoleARN: role.ARN(), ExternalID: id}); err == nil || dbs != nil {
			t.Errorf("with external id %q: %q", id, names(dbs))
		}
	}
	t.Run("an external id for roles of users alone", func(t *testing.T) {
		c := start(t).has(t, &rds.Cluster{Place: here, ID: "papers", Engine: "docdb", Members: []rds.Member{{ID: "papers-1", Writer: true}}})
		dbs, err := c.Find(t.Context(), finder.Query{Type: "docdb", Region: region, ExternalID: "for-users"})
		if err != nil || len(dbs) != 1 || dbs[0].Spec.AWS.ExternalID != "for-users" {
			t.Errorf("got %q, %v", names(dbs), err)
		}
	})
}
