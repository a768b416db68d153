package clustertest_test

import (
	"errors"
	"fmt"
	"testing"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
	"sallyport/internal/clustertest"
	"sallyport/internal/resource"
)

// rds tells of one instance, "orders".
func rds() *fakeaws.Service {
	return &fakeaws.Service{Name: "rds", Scope: "rds", Protocol: wire.Query, Version: "2014-10-31", Namespace: "http://rds.amazonaws.com/doc/2014-10-31/", Operations: []fakeaws.Operation{
		{Name: "DescribeDBInstances", Action: "rds:DescribeDBInstances", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			id := c.Params.String("DBInstanceIdentifier")
			return wire.Of("DBInstances", wire.List{Element: "DBInstance", Items: []any{wire.Of("DBInstanceIdentifier", id, "DbiResourceId", "db-"+id,
				"DBInstanceArn", c.ARN("rds", "db:"+id), "Engine", "postgres", "IAMDatabaseAuthenticationEnabled", true,
				"TagList", wire.List{Element: "Tag", Items: []any{wire.Of("Key", "env", "Value", "prod")}},
				"Endpoint", wire.Of("Address", id+".abcdefghijkl.us-west-1.rds.amazonaws.com", "Port", 5432))}}), nil
		}},
	}}
}

// TestDatabasesInAWSAreDescribed registers one of RDS, with what AWS says of it, beside one whose questions AWS never
// answers and one of one's own, which wait for nothing.
func TestDatabasesInAWSAreDescribed(t *testing.T) {
	cloud := cloudtest.New(t, []*fakeaws.Service{rds()}, cloudtest.Allow("rds:Describe*", "*"))
	server, err := cloud.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	cloud.Inject(fakeaws.Fault{Service: "rds", Region: "us-west-2", Kind: fakeaws.Hang})
	cluster := clustertest.Start(t, clustertest.Options{Databases: []*resource.Database{
		clustertest.Database(t, "own", "127.0.0.1:1", nil),
		clustertest.Database(t, "orders", "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432", nil),
		clustertest.Database(t, "silent", "silent.abcdefghijkl.us-west-2.rds.amazonaws.com:5432", nil),
	}})
	served := func(name string) (*resource.Database, error) {
		res, err := cluster.Admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindDatabaseServer})
		if err != nil {
			return nil, err
		}
		for _, one := range res.GetResources() {
			r, err := resource.Decode(resource.KindDatabaseServer, one.GetJson())
			if err != nil {
				return nil, err
			}
			if db := r.(*resource.DatabaseServer).Spec.Database; db.GetName() == name {
				return db, nil
			}
		}
		return nil, errors.New(name + " is not registered")
	}
	clustertest.Eventually(t, "the database of RDS is registered with its labels", func() error {
		db, err := served("orders")
		if err != nil {
			return err
		}
		if db.Status.AWS.RDS.ResourceID != "db-orders" || db.Metadata.Labels["env"] != "prod" || db.Metadata.Labels["account-id"] != cloudtest.AgentAccount {
			return fmt.Errorf("status %+v, labels %v", db.Status.AWS, db.Metadata.Labels)
		}
		return nil
	})
	clustertest.Eventually(t, "one's own is registered", func() error { _, err := served("own"); return err })
	clustertest.Eventually(t, "the silent one is registered without", func() error {
		db, err := served("silent")
		if err == nil && db.Metadata.Labels["env"] != "" {
			err = fmt.Errorf("labels %v", db.Metadata.Labels)
		}
		return err
	})
}
