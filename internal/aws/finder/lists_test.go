package finder_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/wire"
	"sallyport/internal/aws/finder"
	"sallyport/internal/fault"
)

const many = 1200

func TestAllPagesAreRead(t *testing.T) {
	c := start(t).has(t, rds.Many{Count: many, Account: account, Regions: []string{region}}.Make()...)
	for i := range many {
		c.has(t, &rds.Proxy{Place: here, Name: fmt.Sprintf("p-%04d", i)})
		if err := c.redshift.Add(&redshift.Cluster{Place: here, ID: fmt.Sprintf("r-%04d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"rds", "rdsproxy", "redshift"} {
		dbs := c.find(t, kind)
		seen := map[string]bool{}
		for _, db := range dbs {
			seen[db.Spec.URI] = true
		}
		if len(dbs) != many || len(seen) != many {
			t.Errorf("%s: %d databases at %d addresses", kind, len(dbs), len(seen))
		}
	}
	if n := len(c.Calls("rds", "DescribeDBInstances")); n != many/100 {
		t.Errorf("instances came in %d pages", n)
	}
}

func TestALaterPageIsAsImportantAsTheFirst(t *testing.T) {
	c := start(t).has(t, rds.Many{Count: 150, Account: account, Regions: []string{region}}.Make()...)
	c.Inject(fakeaws.Fault{Operation: "DescribeDBInstances", Kind: fakeaws.ServerError, Skip: 1})
	dbs, partial := c.partial(t, finder.Query{Type: "rds", Region: region})
	if len(dbs) > 0 || len(partial.Parts) != 1 {
		t.Errorf("found %d databases, %v", len(dbs), partial)
	}
}

// TestADatabaseOnTwoPagesIsOne has a list change while it is read, so that the last of one page comes again on the next.
func TestADatabaseOnTwoPagesIsOne(t *testing.T) {
	c := &cloud{Cloud: cloudtest.New(t, nil, cloudtest.Allow("*", "*"))}
	cluster := func(id string) any {
		return wire.Of("ClusterIdentifier", id, "ClusterStatus", "available", "ClusterNamespaceArn", "arn:aws:redshift:us-west-1:"+account+":namespace:"+id,
			"Endpoint", wire.Of("Address", id+".abcdefghijkl.us-west-1.redshift.amazonaws.com", "Port", 5439))
	}
	c.Add(&fakeaws.Service{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01", Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/", Operations: []fakeaws.Operation{
		{Name: "DescribeClusters", Action: "redshift:DescribeClusters", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			if c.Params.String("Marker") == "" {
				return wire.Of("Marker", "next", "Clusters", wire.List{Element: "Cluster", Items: []any{cluster("a"), cluster("b")}}), nil
			}
			return wire.Of("Clusters", wire.List{Element: "Cluster", Items: []any{cluster("b"), cluster("c")}}), nil
		}},
	}})
	c.Finder = finder.New(finder.Config{Credentials: c.Provider(), Logger: slog.New(slog.DiscardHandler)})
	wantNames(t, c.find(t, "redshift"), "a-redshift"+suffix, "b-redshift"+suffix, "c-redshift"+suffix)
}

// TestAListWithoutAnEnd has AWS give a new token with every page.
func TestAListWithoutAnEnd(t *testing.T) {
	c := &cloud{Cloud: cloudtest.New(t, nil, cloudtest.Allow("*", "*"))}
	pages := 0
	c.Add(&fakeaws.Service{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01", Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/", Operations: []fakeaws.Operation{
		{Name: "DescribeClusters", Action: "redshift:DescribeClusters", Handle: func(*fakeaws.Call) (wire.Fields, error) {
			if pages++; pages > 2000 {
				return wire.Of("Clusters", wire.List{Element: "Cluster"}), nil // for those who would go on
			}
			return wire.Of("Marker", fmt.Sprint(pages), "Clusters", wire.List{Element: "Cluster"}), nil
		}},
	}})
	c.Finder = finder.New(finder.Config{Credentials: c.Provider(), Logger: slog.New(slog.DiscardHandler)})
	_, err := c.Find(t.Context(), finder.Query{Type: "redshift", Region: region})
	if !fault.Is(err, fault.LimitExceeded) || !strings.Contains(fault.Message(err), "databases stay as they are") {
		t.Errorf("after %d pages: %v", pages, err)
	}
}

func TestAnEmptyPageIsNotTheEnd(t *testing.T) {
	c := start(t).has(t, instance("orders"))
	c.Inject(fakeaws.Fault{Operation: "DescribeDBInstances", Kind: fakeaws.EmptyPage, Times: 1})
	wantNames(t, c.find(t, "rds"), "orders-rds"+suffix)
}

func TestARegionMayLackEngines(t *testing.T) {
	for _, test := range []struct {
		name    string
		engines []string
		want    []string
	}{
		{"all but MariaDB", []string{"postgres", "mysql", "aurora-postgresql", "aurora-mysql"}, []string{"k-rds-aurora" + suffix, "my-rds" + suffix, "pg-rds" + suffix}},
		{"PostgreSQL alone", []string{"postgres"}, []string{"pg-rds" + suffix}},
		{"the last one alone", []string{"mariadb"}, nil},
		{"Aurora alone", []string{"aurora-postgresql"}, []string{"k-rds-aurora" + suffix}},
		{"none", []string{"neptune"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t).has(t, instance("pg"), &rds.Instance{Place: here, ID: "my", Engine: "mysql"}, cluster("k"))
			c.Update(func() { c.rds.Engines[region] = test.engines })
			wantNames(t, c.find(t, "rds"), test.want...)
		})
	}
	t.Run("another error of one engine is an error", func(t *testing.T) {
		c := start(t).has(t, instance("pg"))
		c.Update(func() { c.rds.Engines[region] = []string{"postgres"} })
		c.Inject(fakeaws.Fault{Operation: "DescribeDBInstances", Kind: fakeaws.Throttle, Skip: 2})
		c.Inject(fakeaws.Fault{Operation: "DescribeDBClusters", Kind: fakeaws.Throttle})
		if dbs, err := c.Find(t.Context(), finder.Query{Type: "rds", Region: region}); err == nil || len(dbs) > 0 {
			t.Errorf("found %q, %v", names(dbs), err)
		}
	})
	t.Run("the region has no DocumentDB", func(t *testing.T) {
		c := start(t)
		c.Update(func() { c.rds.Engines[region] = []string{"postgres"} })
		wantNames(t, c.find(t, "docdb"))
	})
}

func TestWhatIsPassedOver(t *testing.T) {
	at := func(status string) rds.Resource { return &rds.Instance{Place: here, ID: "x", Status: status} }
	clusterAt := func(status string) rds.Resource { k := cluster("x"); k.Status = status; return k }
	mode := func(mode, version string) rds.Resource {
		k := cluster("x")
		k.Engine, k.EngineMode, k.EngineVersion = "aurora-mysql", mode, version
		return k
	}
	maria := func(version string) rds.Resource {
		return &rds.Instance{Place: here, ID: "x", Engine: "mariadb", EngineVersion: version}
	}
	papers := func(version string) rds.Resource {
		k := cluster("x")
		k.Engine, k.EngineVersion = "docdb", version
		return k
	}
	none := &rds.Cluster{Place: here, ID: "x"}
	for _, test := range []struct {
		name, kind string
		has        rds.Resource
		found      bool
		level      string // of what the log says
	}{
		{"an instance that is changed", "rds", at("modifying"), true, ""},
		{"an instance with a full disk", "rds", at("storage-full"), true, ""},
		{"an instance that is stopped", "rds", at("stopped"), false, "DEBUG"},
		{"an instance that is made", "rds", at("creating"), false, "DEBUG"},
		{"an instance in a new state", "rds", at("daydreaming"), true, "WARN"},
		{"an instance without an endpoint", "rds", &rds.Instance{Place: here, ID: "x", Status: "modifying", NoEndpoint: true}, false, "DEBUG"},
		{"a cluster that fails over", "rds", clusterAt("failing-over"), true, ""},
		{"a cluster that is stopped", "rds", clusterAt("stopped"), false, "DEBUG"},
		{"a cluster in a new state", "rds", clusterAt("daydreaming"), true, "WARN"},
		{"a cluster without members", "rds", none, false, "DEBUG"},
		{"Serverless v1", "rds", mode("serverless", "5.7.mysql_aurora.2.07.1"), false, "DEBUG"},
		{"Serverless v2", "rds", mode("provisioned", "8.0.mysql_aurora.3.04.0"), true, ""},
		{"parallel query without IAM", "rds", mode("parallelquery", "5.6.mysql_aurora.1.22.2"), false, "DEBUG"},
		{"parallel query of the first version", "rds", mode("parallelquery", "5.6.10a"), false, "DEBUG"},
		{"parallel query with IAM", "rds", mode("parallelquery", "5.7.mysql_aurora.2.09.0"), true, ""},
		{"that version without parallel query", "rds", mode("provisioned", "5.6.mysql_aurora.1.22.2"), true, ""},
		{"MariaDB 10.6.0", "rds", maria("10.6.0"), true, ""},
		{"MariaDB 10.6", "rds", maria("10.6"), true, ""},
		{"MariaDB 11", "rds", maria("11.4.3"), true, ""},
		{"MariaDB 10.5", "rds", maria("10.5.25"), false, "DEBUG"},
		{"MariaDB of no version", "rds", maria("ten"), false, "DEBUG"},
		{"DocumentDB 5", "docdb", papers("5.0.0"), true, ""},
		{"DocumentDB 4", "docdb", papers("4.0.0"), false, "DEBUG"},
		{"a proxy without TLS", "rdsproxy", &rds.Proxy{Place: here, Name: "x", NoTLS: true}, false, "DEBUG"},
		{"a proxy that is suspended", "rdsproxy", &rds.Proxy{Place: here, Name: "x", Status: "suspended"}, false, "DEBUG"},
		{"a proxy that is changed", "rdsproxy", &rds.Proxy{Place: here, Name: "x", Status: "modifying"}, true, ""},
		{"a proxy in a new state", "rdsproxy", &rds.Proxy{Place: here, Name: "x", Status: "daydreaming"}, true, "WARN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t).has(t, test.has)
			if dbs := c.find(t, test.kind); len(dbs) > 0 != test.found {
				t.Errorf("found %q", names(dbs))
			}
			said := c.logged("x")
			if test.level == "" && said != "" || test.level != "" && !strings.Contains(said, "level="+test.level+" ") {
				t.Errorf("the log says %q", said)
			}
		})
	}
}

func TestMembersOfClusters(t *testing.T) {
	writer, reader := rds.Member{ID: "w", Writer: true}, rds.Member{ID: "r"}
	for _, test := range []struct {
		name, engine string
		members      []rds.Member
		custom       []string
		want         string
	}{
		{"a writer", "aurora-postgresql", []rds.Member{writer}, nil, "x-rds-aurora"},
		{"a writer and a reader", "aurora-postgresql", []rds.Member{writer, reader}, nil, "x-rds-aurora x-reader-rds-aurora"},
		{"readers only", "aurora-postgresql", []rds.Member{reader}, nil, "x-reader-rds-aurora"},
		{"no members", "aurora-postgresql", nil, nil, ""},
		{"no members but custom endpoints", "aurora-postgresql", nil, []string{"a", "b"}, "x-custom-a-rds-aurora x-custom-b-rds-aurora"},
		{"readers and a custom endpoint", "aurora-mysql", []rds.Member{reader}, []string{"a"}, "x-custom-a-rds-aurora x-reader-rds-aurora"},
		{"DocumentDB with a writer", "docdb", []rds.Member{writer}, nil, "x-docdb"},
		{"DocumentDB with both", "docdb", []rds.Member{writer, reader}, nil, "x-docdb x-reader-docdb"},
		{"DocumentDB with readers only", "docdb", []rds.Member{reader}, nil, "x-reader-docdb"},
		{"DocumentDB without members", "docdb", nil, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t).has(t, &rds.Cluster{Place: here, ID: "x", Engine: test.engine, Members: test.members, CustomEndpoints: test.custom})
			kind := "rds"
			if test.engine == "docdb" {
				kind = "docdb"
			}
			var got []string
			for _, db := range c.find(t, kind) {
				got = append(got, strings.TrimSuffix(db.GetName(), suffix))
				if custom := strings.Contains(db.GetName(), "custom"); custom != (db.Spec.TLS.ServerName != "") {
					t.Errorf("%s has the server name %q", db.GetName(), db.Spec.TLS.ServerName)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestUncertaintyIsAnError runs looks that AWS disturbs. None of them may pass for one that found less.
func TestUncertaintyIsAnError(t *testing.T) {
	refused := &wire.Error{Code: "InvalidParameterValue", Message: "Something else"}
	for _, kind := range []fakeaws.Fault{{Kind: fakeaws.Throttle}, {Kind: fakeaws.ServerError}, {Kind: fakeaws.Unavailable}, {Kind: fakeaws.Garbage},
		{Kind: fakeaws.DuplicateToken}, {Kind: fakeaws.Custom, Error: refused}} {
		for _, test := range []struct {
			kind, operation string
			skip            int
		}{
			{"rds", "DescribeDBInstances", 0}, {"rds", "DescribeDBInstances", 1}, {"rds", "DescribeDBClusters", 0},
			{"rdsproxy", "DescribeDBProxies", 0}, {"rdsproxy", "DescribeDBProxyEndpoints", 0}, {"rdsproxy", "ListTagsForResource", 0},
			{"redshift", "DescribeClusters", 0}, {"redshift-serverless", "ListWorkgroups", 0}, {"redshift-serverless", "ListEndpointAccess", 0},
			{"redshift-serverless", "ListTagsForResource", 0}, {"docdb", "DescribeDBClusters", 0},
		} {
			if kind.Kind == fakeaws.DuplicateToken && strings.HasPrefix(test.operation, "ListTags") {
				continue // tags do not come in pages
			}
			t.Run(fmt.Sprintf("%s of %s %d for %s", kind.Kind, test.operation, test.skip, test.kind), func(t *testing.T) {
				c := start(t)
				c.everything(t)
				f := kind
				f.Operation, f.Skip = test.operation, test.skip
				c.Inject(f)
				dbs, err := c.Find(t.Context(), finder.Query{Type: test.kind, Region: region})
				if err == nil {
					t.Fatalf("no error, but %q", names(dbs))
				}
				if _, ok := errors.AsType[*fault.Error](err); !ok || fault.KindOf(err) == fault.Internal {
					t.Errorf("the error is no fault: %v", err)
				}
				partial, ok := errors.AsType[*finder.PartialError](err)
				if !ok && dbs != nil || ok && len(dbs) == 0 {
					t.Errorf("found %q with %v", names(dbs), partial)
				}
				// Without tags it is not known which databases match, even if there is permission to see them.
				if ok && strings.HasPrefix(test.operation, "ListTags") {
					t.Errorf("tags that are late pass for tags that may not be read: %v", partial)
				}
			})
		}
	}
}
