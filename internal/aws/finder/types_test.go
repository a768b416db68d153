package finder_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
	"sallyport/internal/aws/finder"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// want is what a database must be.
type want struct {
	name, protocol, description, labels string
	uri                                 string // its host may begin with this
	serverName                          bool   // that is not the host's
	aws                                 func(*resource.AWS) bool
}

func check(t *testing.T, dbs []*resource.Database, wants ...want) {
	t.Helper()
	if len(dbs) != len(wants) {
		t.Fatalf("found %q", names(dbs))
	}
	for _, w := range wants {
		at := slices.IndexFunc(dbs, func(db *resource.Database) bool { return db.GetName() == w.name })
		if at < 0 {
			t.Errorf("no %s among %q", w.name, names(dbs))
			continue
		}
		db := dbs[at]
		l := db.Metadata.Labels
		if db.Spec.Protocol != w.protocol || db.Metadata.Description != w.description || pairs(l) != w.labels || !strings.HasPrefix(db.Spec.URI, w.uri) {
			t.Errorf("%s is %s at %s: %q, %q", w.name, db.Spec.Protocol, db.Spec.URI, db.Metadata.Description, pairs(l))
		}
		if (db.Spec.TLS.ServerName != "") != w.serverName || strings.HasPrefix(db.Spec.URI, db.Spec.TLS.ServerName+":") {
			t.Errorf("%s at %s has the server name %q", w.name, db.Spec.URI, db.Spec.TLS.ServerName)
		}
		if !w.aws(&db.Spec.AWS) || db.Spec.AWS.Region != region || db.Spec.AWS.AccountID != account || db.Spec.AWS.AssumeRoleARN != "" {
			t.Errorf("%s: %+v", w.name, db.Spec.AWS)
		}
		if l["account-id"] != account || l["region"] != region || l["teleport.dev/cloud"] != "AWS" || l["teleport.dev/origin"] != "cloud" || l["teleport.dev/discovery-type"] == "" || l["vpc-id"] == "" {
			t.Errorf("%s has labels %v", w.name, l)
		}
		if at, err := db.AWSEndpoint(); err != nil || at.Address() != db.Spec.URI || db.Type() != l["teleport.dev/discovery-type"] {
			t.Errorf("%s at %s is of type %s: %v", w.name, db.Spec.URI, db.Type(), err)
		}
		doubts := 0 // which of a protocol that is only listed is one
		if !resource.Served(db.Spec.Protocol) {
			doubts = 1
		}
		if err := db.Validate(); err != nil || len(resource.Warnings(db)) != doubts {
			t.Errorf("%s: %v, %v", w.name, err, resource.Warnings(db))
		}
	}
}

func TestRDS(t *testing.T) {
	c := start(t).has(t,
		&rds.Instance{Place: here, ID: "orders", Tags: map[string]string{"env": "prod"}, IAMAuth: true},
		&rds.Instance{Place: here, ID: "people", Engine: "mysql"},
		&rds.Instance{Place: here, ID: "places", Engine: "mariadb", EngineVersion: "10.11.4"},
		&rds.Instance{Place: here, ID: "licences", Engine: "oracle-ee", EngineVersion: "19"},
		&rds.Cluster{Place: here, ID: "books", Members: []rds.Member{{ID: "books-1", Writer: true}, {ID: "books-2"}}, CustomEndpoints: []string{"night"}, Tags: map[string]string{"env": "dev"}},
		&rds.Cluster{Place: here, ID: "papers", Engine: "docdb", Members: []rds.Member{{ID: "papers-1", Writer: true}}},
	)
	cluster := func(a *resource.AWS) bool {
		return a.RDS.ClusterID == "books" && strings.HasPrefix(a.RDS.ResourceID, "cluster-") && a.RDS.InstanceID == ""
	}
	instance := func(id string, iam bool) func(a *resource.AWS) bool {
		return func(a *resource.AWS) bool {
			return a.RDS.InstanceID == id && strings.HasPrefix(a.RDS.ResourceID, "db-") && a.RDS.ClusterID == "" && bool(a.RDS.IAMAuth) == iam
		}
	}
	const aurora = "endpoint-type=%s engine=aurora-postgresql engine-version=15.4 env=dev teleport.internal/discovered-name="
	kind := func(k string) string { return strings.Replace(aurora, "%s", k, 1) }
	check(t, c.find(t, "rds"),
		want{"orders-rds" + suffix, "postgres", "RDS instance in us-west-1", "endpoint-type=instance engine=postgres engine-version=15.4 env=prod teleport.internal/discovered-name=orders", "orders.", false, instance("orders", true)},
		want{"people-rds" + suffix, "mysql", "RDS instance in us-west-1", "endpoint-type=instance engine=mysql engine-version=8.0.35 teleport.internal/discovered-name=people", "people.", false, instance("people", false)},
		want{"places-rds" + suffix, "mysql", "RDS instance in us-west-1", "endpoint-type=instance engine=mariadb engine-version=10.11.4 teleport.internal/discovered-name=places", "places.", false, instance("places", false)},
		want{"books-rds-aurora" + suffix, "postgres", "Aurora cluster in us-west-1", kind("primary") + "books", "books.cluster-", false, cluster},
		want{"books-reader-rds-aurora" + suffix, "postgres", "Aurora cluster in us-west-1 (reader endpoint)", kind("reader") + "books-reader", "books.cluster-ro-", false, cluster},
		want{"books-custom-night-rds-aurora" + suffix, "postgres", "Aurora cluster in us-west-1 (custom endpoint)", kind("custom") + "books-custom-night", "night.cluster-custom-", true, cluster},
	)
	if n := len(c.Calls("rds", "ListTagsForResource")); n != 0 {
		t.Errorf("tags were asked for %d times, and they are in the lists", n)
	}
	if n := len(c.Calls("rds", "DescribeDBInstances")); n != 2 {
		t.Errorf("instances were listed %d times", n)
	}
}

func TestRDSProxy(t *testing.T) {
	c := start(t).has(t,
		&rds.Proxy{Place: here, Name: "pool", Tags: map[string]string{"env": "prod"}, Endpoints: []*rds.ProxyEndpoint{{Name: "far", Role: "READ_ONLY"}}},
		&rds.Proxy{Place: here, Name: "maria", EngineFamily: "MYSQL"},
		&rds.Proxy{Place: here, Name: "windows", EngineFamily: "SQLSERVER"},
		&rds.Proxy{Place: here, Name: "clear", NoTLS: true, Endpoints: []*rds.ProxyEndpoint{{Name: "clear-ro"}}},
	)
	ids := func(name, custom string) func(a *resource.AWS) bool {
		return func(a *resource.AWS) bool {
			return a.RDSProxy.Name == name && a.RDSProxy.CustomEndpointName == custom && strings.HasPrefix(a.RDSProxy.ResourceID, "prx-")
		}
	}
	check(t, c.find(t, "rdsproxy"),
		want{"pool-rdsproxy" + suffix, "postgres", "RDS Proxy in us-west-1", "engine=POSTGRESQL env=prod teleport.internal/discovered-name=pool", "pool.proxy-", false, ids("pool", "")},
		want{"pool-far-rdsproxy" + suffix, "postgres", "RDS Proxy endpoint in us-west-1", "endpoint-type=READ_ONLY engine=POSTGRESQL env=prod teleport.internal/discovered-name=pool-far", "far.endpoint.proxy-", true, ids("pool", "far")},
		want{"maria-rdsproxy" + suffix, "mysql", "RDS Proxy in us-west-1", "engine=MYSQL teleport.internal/discovered-name=maria", "maria.proxy-", false, ids("maria", "")},
		want{"windows-rdsproxy" + suffix, "sqlserver", "RDS Proxy in us-west-1", "engine=SQLSERVER teleport.internal/discovered-name=windows", "windows.proxy-", false, ids("windows", "")},
	)
	for _, id := range []string{"clear", "clear-ro"} {
		if c.logged(id) == "" {
			t.Errorf("nobody is told that %s is passed over", id)
		}
	}
}

func TestRedshift(t *testing.T) {
	c := start(t)
	if err := c.redshift.Add(&redshift.Cluster{Place: here, ID: "warehouse", Tags: map[string]string{"env": "prod"}},
		&redshift.Cluster{Place: here, ID: "asleep", Status: "paused"}, &redshift.Cluster{Place: here, ID: "new", Status: "modifying", NoEndpoint: true},
		&redshift.Cluster{Place: here, ID: "growing", Status: "available, prep-for-resize"}); err != nil {
		t.Fatal(err)
	}
	id := func(id string) func(*resource.AWS) bool {
		return func(a *resource.AWS) bool { return a.Redshift.ClusterID == id }
	}
	check(t, c.find(t, "redshift"),
		want{"warehouse-redshift" + suffix, "postgres", "Redshift cluster in us-west-1", "env=prod teleport.internal/discovered-name=warehouse", "warehouse.", false, id("warehouse")},
		want{"growing-redshift" + suffix, "postgres", "Redshift cluster in us-west-1", "teleport.internal/discovered-name=growing", "growing.", false, id("growing")},
	)
}

func TestRedshiftServerless(t *testing.T) {
	c := start(t)
	if err := c.serverless.Add(
		&redshiftserverless.Workgroup{Place: here, Name: "etl", Namespace: "night", Tags: map[string]string{"env": "prod"}, Endpoints: []*redshiftserverless.Endpoint{{Name: "near"}, {Name: "late", Status: "CREATING"}}},
		&redshiftserverless.Workgroup{Place: here, Name: "gone", Status: "DELETING", Endpoints: []*redshiftserverless.Endpoint{{Name: "gone-near"}}},
		&redshiftserverless.Workgroup{Place: here, Name: "2024-etl"}); err != nil {
		t.Fatal(err)
	}
	ids := func(group, endpoint string) func(*resource.AWS) bool {
		return func(a *resource.AWS) bool {
			return a.RedshiftServerless.WorkgroupName == group && a.RedshiftServerless.EndpointName == endpoint && a.RedshiftServerless.WorkgroupID != ""
		}
	}
	check(t, c.find(t, "redshift-serverless"),
		want{"etl-redshift-serverless" + suffix, "postgres", "Redshift Serverless workgroup in us-west-1", "endpoint-type=workgroup env=prod namespace=night teleport.internal/discovered-name=etl", "etl." + account, false, ids("etl", "")},
		want{"etl-near-redshift-serverless" + suffix, "postgres", "Redshift Serverless endpoint in us-west-1", "endpoint-type=vpc-endpoint env=prod namespace=night teleport.internal/discovered-name=etl-near workgroup=etl", "near-endpoint-", true, ids("etl", "near")},
		want{"redshift-serverless-2024-etl" + suffix, "postgres", "Redshift Serverless workgroup in us-west-1", "endpoint-type=workgroup namespace=2024-etl teleport.internal/discovered-name=redshift-serverless-2024-etl", "2024-etl.", false, ids("2024-etl", "")},
	)
}

func TestWhatCannotBeLookedForIsRefused(t *testing.T) {
	t.Parallel()
	f := finder.New(finder.Config{})
	for name, q := range map[string]finder.Query{
		"an unknown type":               {Type: "dynamodb", Region: region},
		"no region":                     {Type: "rds"},
		"all regions":                   {Type: "rds", Region: "*"},
		"an external id without a role": {Type: "rds", Region: region, ExternalID: "x"},
		"an expression that is not one": {Type: "rds", Region: region, Tags: resource.Labels{"env": {"^($"}}},
	} {
		if dbs, err := f.Find(t.Context(), q); err == nil || dbs != nil {
			t.Errorf("%s: %v", name, dbs)
		}
	}
}

// TestARoleThatCannotBeAssumed looks for databases of another account; those of the service's own must not take their place.
func TestARoleThatCannotBeAssumed(t *testing.T) {
	c := start(t, cloudtest.Allow("*", "*")).has(t, instance("orders"))
	role := c.Role(t, cloudtest.DatabaseAccount, "closed", cloudtest.Trust(c.Agent.ARN(), "right"), cloudtest.Allow("*", "*")).ARN()
	for _, id := range []string{"", "wrong"} {
		dbs, err := c.Find(t.Context(), finder.Query{Type: "rds", Region: region, AssumeRoleARN: role, ExternalID: id})
		if _, partial := errors.AsType[*finder.PartialError](err); !fault.Is(err, fault.AccessDenied) || partial || dbs != nil {
			t.Errorf("external id %q: %q, %v", id, names(dbs), err)
		}
	}
	if calls := c.Calls("rds", ""); len(calls) > 0 {
		t.Errorf("RDS was asked by %s", calls[0].Principal)
	}
}
