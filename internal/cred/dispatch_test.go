package cred_test

import (
	"context"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// named is a source whose credentials have its name.
type named string

func (n named) Credential(context.Context, cred.Request) (*cred.Credential, error) {
	return &cred.Credential{User: string(n)}, nil
}

func TestDispatch(t *testing.T) {
	t.Parallel()
	source := cred.Dispatch{SelfHosted: named("self-hosted"), AWS: named("aws")}
	for _, test := range []struct {
		name string
		spec resource.DatabaseSpec
		want string // "" for a refusal
	}{
		{"a host of one's own", resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432"}, "self-hosted"},
		{"one that only lies in a region", resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432", AWS: resource.AWS{Region: "us-west-1"}}, "self-hosted"},
		{"RDS by its host", resource.DatabaseSpec{Protocol: "postgres", URI: "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"}, "aws"},
		{"RDS by its ids", resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432", AWS: resource.AWS{RDS: resource.RDS{InstanceID: "orders"}}}, "aws"},
		{"DynamoDB", resource.DatabaseSpec{Protocol: "dynamodb"}, "aws"},
		{"Atlas", resource.DatabaseSpec{Protocol: "mongodb", URI: "x.mongodb.net:27017", MongoAtlas: resource.MongoAtlas{Name: "x"}}, "self-hosted"},
		{"Google's", resource.DatabaseSpec{Protocol: "postgres", URI: "10.0.0.1:5432", GCP: resource.GCP{ProjectID: "x"}}, ""},
		{"Microsoft's", resource.DatabaseSpec{Protocol: "postgres", URI: "x.postgres.database.azure.com:5432", Azure: resource.Azure{Name: "x"}}, ""},
	} {
		got, err := source.Credential(t.Context(), cred.Request{Database: &resource.Database{Spec: test.spec}})
		if test.want == "" {
			if !fault.Is(err, fault.BadParameter) {
				t.Errorf("%s: %v, %v", test.name, got, err)
			}
			continue
		}
		if err != nil || got.User != test.want {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
}
