package finder_test

import (
	"log/slog"
	"strings"
	"testing"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
	"sallyport/internal/aws/finder"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// FuzzWhatAWSSays has AWS say whatever it likes of a database beside an honest one: its id, its host, and tags, which
// others than its owner may write.
func FuzzWhatAWSSays(f *testing.F) {
	const honest = "orders.abcdefghijkl.us-west-1.redshift.amazonaws.com"
	f.Add("warehouse", "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com", "TeleportDatabaseName", "orders", "arn:aws:redshift:us-west-1:"+account+":namespace:w")
	f.Add("orders", "orders.abcdefghijkl.us-west-1.redshift.amazonaws.com.evil.test", "teleport.dev/origin", "dynamic", "arn:aws:redshift:us-west-1:999999999999:namespace:w")
	f.Add("9", honest, "env", "prod", "arn:aws-cn:redshift:us-west-1:"+account+":namespace:w")
	f.Fuzz(func(t *testing.T, id, host, key, value, arn string) {
		c := &cloud{Cloud: cloudtest.New(t, nil, cloudtest.Allow("*", "*"))}
		cluster := func(id, host, arn string, tags ...any) any {
			return wire.Of("ClusterIdentifier", id, "ClusterStatus", "available", "ClusterNamespaceArn", arn,
				"Endpoint", wire.Of("Address", host, "Port", 5439), "Tags", wire.List{Element: "Tag", Items: tags})
		}
		c.Add(&fakeaws.Service{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01", Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/", Operations: []fakeaws.Operation{
			{Name: "DescribeClusters", Action: "redshift:DescribeClusters", Handle: func(*fakeaws.Call) (wire.Fields, error) {
				return wire.Of("Clusters", wire.List{Element: "Cluster", Items: []any{
					cluster("orders", honest, "arn:aws:redshift:us-west-1:"+account+":namespace:orders"),
					cluster(id, host, arn, wire.Of("Key", key, "Value", value)),
				}}), nil
			}},
		}})
		c.Finder = finder.New(finder.Config{Credentials: c.Provider(), Logger: slog.New(slog.DiscardHandler)})
		dbs, err := c.Find(t.Context(), finder.Query{Type: "redshift", Region: region})
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
			return // an answer that is no XML
		}
		seen := map[string]bool{}
		for _, db := range dbs {
			labels := db.Metadata.Labels
			if err := db.Validate(); err != nil || seen[db.GetName()] || !resource.IsDatabaseName(db.GetName()) {
				t.Fatalf("%s: %v", db.GetName(), err)
			}
			seen[db.GetName()] = true
			if name, _, _ := strings.Cut(db.Spec.URI, ":"); !strings.HasSuffix(name, ".us-west-1.redshift.amazonaws.com") || name != strings.ToLower(name) {
				t.Fatalf("a database at %s", db.Spec.URI)
			}
			if labels["region"] != region || labels["teleport.dev/origin"] != "cloud" || labels["teleport.dev/cloud"] != "AWS" || labels["account-id"] != db.Spec.AWS.AccountID || db.Spec.AWS.AssumeRoleARN != "" {
				t.Fatalf("%s: %+v, labels %v", db.GetName(), db.Spec.AWS, labels)
			}
			if db.Spec.URI == honest+":5439" && host != honest && (db.Metadata.Labels[key] == value && value != "" && key == "env" || db.Spec.AWS.AccountID != account) {
				t.Fatalf("the other database says what the honest one is: %v", labels)
			}
		}
		if len(dbs) == 0 {
			t.Fatal("the honest database is not found")
		}
	})
}
