package metadata_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
	"sallyport/internal/aws/metadata"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// database returns a database of a protocol, as a file or discovery has it.
func database(t *testing.T, protocol, uri string, change func(*resource.Database)) *resource.Database {
	t.Helper()
	db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: protocol, URI: uri}}
	db.Kind, db.Version, db.Metadata.Name = resource.KindDatabase, "v3", "name"
	db.Metadata.Labels = map[string]string{"team": "blue", resource.LabelOrigin: resource.OriginConfigFile}
	if change != nil {
		change(db)
	}
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

func discovered(db *resource.Database) {
	db.Metadata.Labels[resource.LabelOrigin] = resource.OriginCloud
}

func dynamic(db *resource.Database) {
	db.Metadata.Labels[resource.LabelOrigin] = resource.OriginDynamic
}

// start returns a describer in a cloud whose agent may do everything, and the cloud.
func start(t *testing.T, w *world, policies ...string) (*metadata.Describer, *cloudtest.Cloud, *bytes.Buffer) {
	t.Helper()
	if policies == nil {
		policies = []string{cloudtest.Allow("*", "*")}
	}
	c := cloudtest.New(t, w.services(), policies...)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return metadata.New(metadata.Config{Credentials: c.Provider(), Logger: logger}), c, &log
}

func TestEachType(t *testing.T) {
	d, _, _ := start(t, &world{})
	const rds, near = ".rds.amazonaws.com:5432", "near-endpoint-abcdefghijkl." + account + ".us-west-1.redshift-serverless.amazonaws.com:5439"
	for _, test := range []struct {
		name, protocol, uri string
		change              func(*resource.Database)
		status              func(*resource.AWS) bool
		labels              string // further ones, sorted
		serverName          string
	}{
		{"an instance", "postgres", "orders." + hash + rds, nil,
			func(a *resource.AWS) bool {
				return a.RDS.InstanceID == "orders" && a.RDS.ResourceID == "db-orders" && bool(a.RDS.IAMAuth) && a.RDS.VPCID == vpc && slices.Equal(a.RDS.SecurityGroups, []string{"sg-1"})
			}, "endpoint-type=instance engine-version=16.1 engine=postgres vpc-id=vpc-1", ""},
		{"an instance of Aurora", "postgres", "books-1." + hash + rds, nil,
			func(a *resource.AWS) bool {
				return a.RDS.InstanceID == "books-1" && a.RDS.ClusterID == "books" && a.RDS.ResourceID == "cluster-books"
			}, "endpoint-type=instance engine-version=16.1 engine=postgres vpc-id=vpc-1", ""},
		{"a writer", "postgres", "books.cluster-" + hash + rds, nil,
			func(a *resource.AWS) bool { return a.RDS.ClusterID == "books" && a.RDS.ResourceID == "cluster-books" }, "endpoint-type=primary engine-version=15.4 engine=aurora-postgresql", ""},
		{"readers", "postgres", "books.cluster-ro-" + hash + rds, nil,
			func(a *resource.AWS) bool { return a.RDS.ResourceID == "cluster-books" }, "endpoint-type=reader engine-version=15.4 engine=aurora-postgresql", ""},
		{"a custom endpoint", "postgres", "night.cluster-custom-" + hash + rds, func(db *resource.Database) { db.Spec.AWS.RDS.ClusterID = "books" },
			func(a *resource.AWS) bool { return a.RDS.ResourceID == "cluster-books" }, "endpoint-type=custom engine-version=15.4 engine=aurora-postgresql", "books.cluster-" + hash + ".rds.amazonaws.com"},
		{"a proxy", "postgres", "pool.proxy-" + hash + rds, nil,
			func(a *resource.AWS) bool { return a.RDSProxy.ResourceID == "prx-pool" }, "engine=POSTGRESQL vpc-id=vpc-1", ""},
		{"a custom endpoint of a proxy", "postgres", "pool-ro.endpoint.proxy-" + hash + rds, nil,
			func(a *resource.AWS) bool { return a.RDSProxy.Name == "pool" && a.RDSProxy.ResourceID == "prx-pool" }, "endpoint-type=READ_ONLY engine=POSTGRESQL vpc-id=vpc-1", "pool.proxy-" + hash + ".rds.amazonaws.com"},
		{"Redshift", "postgres", "warehouse." + hash + ".redshift.amazonaws.com:5439", nil,
			func(a *resource.AWS) bool { return a.Redshift.ClusterID == "warehouse" }, "vpc-id=vpc-1", ""},
		{"a workgroup", "postgres", "etl." + account + ".us-west-1.redshift-serverless.amazonaws.com:5439", nil,
			func(a *resource.AWS) bool { return a.RedshiftServerless.WorkgroupID == "id-1" }, "endpoint-type=workgroup namespace=ns", ""},
		{"a VPC endpoint", "postgres", near, nil,
			func(a *resource.AWS) bool {
				return a.RedshiftServerless.WorkgroupName == "etl" && a.RedshiftServerless.EndpointName == "near"
			}, "endpoint-type=vpc-endpoint namespace=ns workgroup=etl", "etl." + account + ".us-west-1.redshift-serverless.amazonaws.com"},
		{"a server name that was configured", "postgres", near, func(db *resource.Database) { db.Spec.TLS.ServerName = "mine.example.com" },
			func(*resource.AWS) bool { return true }, "endpoint-type=vpc-endpoint namespace=ns workgroup=etl", "mine.example.com"},
		{"a cache", "redis", "master.cache.abcdef.usw1.cache.amazonaws.com:6379", nil,
			func(a *resource.AWS) bool {
				return a.ElastiCache.ReplicationGroupID == "cache" && bool(a.ElastiCache.TransitEncryptionEnabled) && slices.Equal(a.ElastiCache.UserGroupIDs, []string{"group"})
			}, "endpoint-type=primary engine=redis", ""},
		{"a serverless cache", "redis", "quick-abcdef.serverless.usw1.cache.amazonaws.com:6379", nil,
			func(a *resource.AWS) bool { return a.ElastiCacheServerless.CacheName == "quick" }, "engine-version=8.0 engine=valkey", ""},
		{"MemoryDB", "redis", "clustercfg.mem.abcdef.memorydb.us-west-1.amazonaws.com:6379", nil,
			func(a *resource.AWS) bool { return a.MemoryDB.ACLName == "acl" && bool(a.MemoryDB.TLSEnabled) }, "endpoint-type=cluster engine-version=7.2 engine=valkey", ""},
		{"OpenSearch", "opensearch", "search-logs-abcdefghijklmnopqrstuvwxyz.us-west-1.es.amazonaws.com:443", func(db *resource.Database) { db.Spec.AWS.AccountID = account },
			func(a *resource.AWS) bool {
				return a.OpenSearch.DomainName == "logs" && a.OpenSearch.DomainID == account+"/logs"
			}, "endpoint-type=default engine-version=OpenSearch_2.11", ""},
		{"DocumentDB", "mongodb", "papers.cluster-" + hash + ".docdb.amazonaws.com:5432", nil,
			func(a *resource.AWS) bool { return a.DocumentDB.ClusterID == "papers" }, "endpoint-type=cluster engine-version=15.4 engine=aurora-postgresql", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, origin := range []func(*resource.Database){func(*resource.Database) {}, discovered, dynamic} {
				db := database(t, test.protocol, test.uri, test.change)
				origin(db)
				before := resource.Clone(db)
				got, err := d.Describe(t.Context(), db)
				if err != nil {
					t.Fatal(err)
				}
				if a := got.Status.AWS; a.AccountID != account || a.Region != "us-west-1" || !test.status(&a) {
					t.Errorf("status %+v", a)
				}
				if got.Spec.TLS.ServerName != test.serverName {
					t.Errorf("server name %q", got.Spec.TLS.ServerName)
				}
				want := strings.Fields(test.labels + " account-id=222222222222 region=us-west-1 teleport.dev/cloud=AWS env=prod team=blue teleport.dev/origin=config-file")
				if origin := db.Origin(); origin != resource.OriginConfigFile { // discovery and administrators label those
					want = []string{"team=blue", "teleport.dev/origin=" + origin}
				}
				var all []string
				for key, value := range got.Metadata.Labels {
					all = append(all, key+"="+value)
				}
				slices.Sort(all)
				slices.Sort(want)
				if !slices.Equal(all, want) {
					t.Errorf("labels\n%q, want\n%q", all, want)
				}
				if b, _ := resource.Encode(before); !bytes.Equal(b, must(t, db)) {
					t.Error("the database given was changed")
				}
				if err := got.Validate(); err != nil {
					t.Errorf("what comes back is not valid: %v", err)
				}
			}
		})
	}
}

func must(t *testing.T, db *resource.Database) []byte {
	t.Helper()
	data, err := resource.Encode(db)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestIAMAuthenticationIsSwitchedOn(t *testing.T) {
	for _, test := range []struct {
		name, host string
		off        bool
		policies   []string
		modified   string
	}{
		{"it is on", "orders." + hash, false, nil, ""},
		{"an instance", "orders." + hash, true, nil, "instance orders"},
		{"a cluster", "books.cluster-" + hash, true, nil, "cluster books"},
		{"an instance of Aurora: its cluster", "books-1." + hash, true, nil, "cluster books"},
		{"without permission", "orders." + hash, true, []string{cloudtest.Allow("rds:Describe*", "*")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{iamOff: test.off}
			d, _, log := start(t, w, test.policies...)
			got, err := d.Describe(t.Context(), database(t, "postgres", test.host+".rds.amazonaws.com:5432", nil))
			if err != nil || bool(got.Status.AWS.RDS.IAMAuth) == test.off {
				t.Fatalf("%v, %+v", err, got)
			}
			if modified := strings.Join(w.modified, ", "); modified != test.modified {
				t.Errorf("modified %s", modified)
			}
			if strings.Contains(log.String(), "level=WARN") {
				t.Errorf("a warning was logged: %s", log)
			}
		})
	}
}

// TestAnInstanceIsNoClusterOfItsName has a cluster with the id of an instance that AWS does not know, or says nothing of.
func TestAnInstanceIsNoClusterOfItsName(t *testing.T) {
	for name, policies := range map[string][]string{
		"it does not exist":         nil,
		"it may not be asked about": {cloudtest.Allow("rds:DescribeDBClusters", "*"), cloudtest.Allow("rds:ModifyDBCluster", "*")},
	} {
		w := &world{iamOff: true}
		d, _, _ := start(t, w, policies...)
		got, err := d.Describe(t.Context(), database(t, "postgres", "books."+hash+".rds.amazonaws.com:5432", nil))
		if len(w.modified) > 0 || err == nil && got.Status.AWS.RDS.ResourceID != "" {
			t.Errorf("%s: modified %q, %+v, %v", name, w.modified, got, err)
		}
	}
}

// TestADatabaseOfTheSameIDInTheAgentsAccount has databases of other accounts in a file, without the role that reaches them.
func TestADatabaseOfTheSameIDInTheAgentsAccount(t *testing.T) {
	const other = "zyxwvutsrqpo.us-west-1"
	for _, uri := range []string{
		"orders." + other + ".rds.amazonaws.com:5432", "books-1." + other + ".rds.amazonaws.com:5432", "books.cluster-" + other + ".rds.amazonaws.com:5432",
		"pool.proxy-" + other + ".rds.amazonaws.com:5432", "warehouse." + other + ".redshift.amazonaws.com:5439", "etl.333333333333.us-west-1.redshift-serverless.amazonaws.com:5439",
	} {
		w := &world{iamOff: true}
		d, _, log := start(t, w)
		for range 2 {
			got, err := d.Describe(t.Context(), database(t, "postgres", uri, nil))
			if err != nil {
				t.Fatalf("%s: %v", uri, err)
			}
			if len(w.modified) > 0 || got.Metadata.Labels["env"] != "" || got.Status.AWS.RDS.ResourceID != "" || got.Status.AWS.RDSProxy.ResourceID != "" || got.Status.AWS.AccountID == account {
				t.Errorf("%s: modified %q, labels %v, status %+v", uri, w.modified, got.Metadata.Labels, got.Status.AWS)
			}
		}
		if n := strings.Count(log.String(), "at another address"); n != 1 {
			t.Errorf("%s: %d warnings: %s", uri, n, log)
		}
	}
}

// TestAddressesOfDiscoveredDatabases has resources of discovery that somebody changed since.
func TestAddressesOfDiscoveredDatabases(t *testing.T) {
	const rds = ".rds.amazonaws.com:5432"
	custom := func(host string) func(*resource.Database) {
		return func(db *resource.Database) {
			db.Spec.URI = host + ":443"
			db.Spec.AWS.AccountID, db.Spec.AWS.Region, db.Spec.AWS.OpenSearch.DomainName = account, "us-west-1", "logs"
		}
	}
	as := func(change func(*resource.AWS)) func(*resource.Database) {
		return func(db *resource.Database) { change(&db.Spec.AWS) }
	}
	for _, test := range []struct {
		name, protocol, uri string
		change              func(*resource.Database)
		policies            []string
		kind                fault.Kind // -1 for none
		text                string
	}{
		{"its own", "postgres", "orders." + hash + rds, nil, nil, -1, ""},
		{"another port", "postgres", "orders." + hash + ".rds.amazonaws.com:5433", nil, nil, fault.CompareFailed, "expect database URL orders." + hash + ".rds.amazonaws.com:5432 but got orders." + hash + ".rds.amazonaws.com:5433"},
		{"another account's instance of that name", "postgres", "orders.zyxwvutsrqpo.us-west-1" + rds, nil, nil, fault.CompareFailed, "expect database URL"},
		{"an endpoint of another cluster", "postgres", "day.cluster-custom-" + hash + rds, as(func(a *resource.AWS) { a.RDS.ClusterID = "books" }), nil, fault.CompareFailed, "expect database URL"},
		{"an instance that is gone", "postgres", "gone." + hash + rds, nil, nil, fault.CompareFailed, "does not know database"},
		{"a workgroup that is gone", "postgres", "gone." + account + ".us-west-1.redshift-serverless.amazonaws.com:5439", nil, nil, fault.CompareFailed, "does not know database"},
		{"a proxy, on whatever port", "postgres", "pool.proxy-" + hash + ".rds.amazonaws.com:6000", nil, nil, -1, ""},
		{"its own, without permission to ask", "postgres", "orders." + hash + rds, nil, []string{cloudtest.AllowAssume}, -1, ""},
		{"a custom domain that is its own", "opensearch", "logs.example.com:443", custom("logs.example.com"), nil, -1, ""},
		{"a custom domain of somebody else", "opensearch", "evil.example.com:443", custom("evil.example.com"), nil, fault.CompareFailed, "expect database URL"},
		{"a custom domain, without permission to ask", "opensearch", "logs.example.com:443", custom("logs.example.com"), []string{cloudtest.AllowAssume}, fault.CompareFailed, "es:DescribeDomains"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _, log := start(t, &world{}, test.policies...)
			db := database(t, test.protocol, test.uri, test.change)
			discovered(db)
			for range 2 {
				_, err := d.Describe(t.Context(), db)
				if test.kind < 0 && err != nil || test.kind >= 0 && (!fault.Is(err, test.kind) || !strings.Contains(fault.Message(err), test.text)) {
					t.Errorf("%v", err)
				}
			}
			if warned := strings.Count(log.String(), "level=WARN"); test.policies != nil && test.kind < 0 && warned != 1 {
				t.Errorf("%d warnings: %s", warned, log)
			}
			// The same in a file is what its administrator wanted.
			db.Metadata.Labels[resource.LabelOrigin] = resource.OriginConfigFile
			if _, err := d.Describe(t.Context(), db); fault.Is(err, fault.CompareFailed) {
				t.Errorf("written in a file: %v", err)
			}
		})
	}
}

func TestWithoutPermissionOrAnswer(t *testing.T) {
	w := &world{}
	d, c, _ := start(t, w, cloudtest.AllowAssume)
	db := database(t, "postgres", "orders."+hash+".rds.amazonaws.com:5432", nil)
	got, err := d.Describe(t.Context(), db)
	if err != nil || got.Status.AWS.Region != "us-west-1" || got.Metadata.Labels["region"] != "us-west-1" || got.Metadata.Labels["engine"] != "" {
		t.Errorf("without permission: %v, %+v", err, got)
	}
	c.Inject(fakeaws.Fault{Service: "rds", Kind: fakeaws.ServerError})
	if _, err := d.Describe(t.Context(), db); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("AWS in trouble: %v", err)
	}
	db.Spec.AWS.AssumeRoleARN = "arn:aws:iam::222222222222:role/none"
	if _, err := d.Describe(t.Context(), db); !fault.Is(err, fault.AccessDenied) || !strings.Contains(fault.Message(err), "sts:AssumeRole") {
		t.Errorf("a role that cannot be assumed: %v", err)
	}
}

func TestWarnOnly(t *testing.T) {
	c := cloudtest.New(t, (&world{}).services(), cloudtest.Allow("*", "*"))
	var log bytes.Buffer
	d := metadata.New(metadata.Config{Credentials: c.Provider(), WarnOnly: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	db := database(t, "postgres", "orders."+hash+".rds.amazonaws.com:5433", nil)
	discovered(db)
	if _, err := d.Describe(t.Context(), db); err != nil || !strings.Contains(log.String(), "expect database URL") {
		t.Errorf("%v, logged %s", err, &log)
	}
}

// TestAnswersWithoutContent has AWS answer every call, and say nothing.
func TestAnswersWithoutContent(t *testing.T) {
	services := (&world{}).services()
	for _, service := range services {
		for i := range service.Operations {
			service.Operations[i].Handle = func(*fakeaws.Call) (wire.Fields, error) { return wire.Of(), nil }
		}
	}
	c := cloudtest.New(t, services, cloudtest.Allow("*", "*"))
	d := metadata.New(metadata.Config{Credentials: c.Provider(), Logger: slog.New(slog.DiscardHandler)})
	for protocol, uris := range map[string][]string{
		"postgres": {"orders." + hash + ".rds.amazonaws.com:5432", "books.cluster-" + hash + ".rds.amazonaws.com:5432", "pool.proxy-" + hash + ".rds.amazonaws.com:5432",
			"pool-ro.endpoint.proxy-" + hash + ".rds.amazonaws.com:5432", "warehouse." + hash + ".redshift.amazonaws.com:5439", "etl." + account + ".us-west-1.redshift-serverless.amazonaws.com:5439",
			"near-endpoint-abcdefghijkl." + account + ".us-west-1.redshift-serverless.amazonaws.com:5439"},
		"redis":      {"master.cache.abcdef.usw1.cache.amazonaws.com:6379", "quick-abcdef.serverless.usw1.cache.amazonaws.com:6379", "clustercfg.mem.abcdef.memorydb.us-west-1.amazonaws.com:6379"},
		"opensearch": {"search-logs-abcdefghijklmnopqrstuvwxyz.us-west-1.es.amazonaws.com:443"},
		"mongodb":    {"papers.cluster-" + hash + ".docdb.amazonaws.com:5432"},
	} {
		for _, uri := range uris {
			db := database(t, protocol, uri, func(db *resource.Database) {
				if protocol == "opensearch" {
					db.Spec.AWS.AccountID = account
				}
			})
			if got, err := d.Describe(t.Context(), db); err == nil {
				t.Errorf("%s: %+v", uri, got.Status.AWS)
			}
		}
	}
}
