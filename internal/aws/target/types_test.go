package target_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/target"
	"sallyport/internal/resource"
)

// oneOfEach is a database of each type.
var oneOfEach = map[endpoint.Type]resource.DatabaseSpec{
	endpoint.RDS:                   {Protocol: "postgres", URI: "db.abcdef012345.us-west-1.rds.amazonaws.com:5432"},
	endpoint.RDSProxy:              {Protocol: "postgres", URI: "pool.proxy-abcdef012345.us-west-1.rds.amazonaws.com:5432"},
	endpoint.Redshift:              {Protocol: "postgres", URI: "warehouse.abcdef012345.us-east-1.redshift.amazonaws.com:5439"},
	endpoint.RedshiftServerless:    {Protocol: "postgres", URI: "vpc-endpoint-xxxyyyzzz.123456789012.us-east-1.redshift-serverless.amazonaws.com:5439"},
	endpoint.ElastiCache:           {Protocol: "redis", URI: "master.shop.abcdef.use1.cache.amazonaws.com:6379"},
	endpoint.ElastiCacheServerless: {Protocol: "redis", URI: "carts-a1b2c3.serverless.use1.cache.amazonaws.com:6379"},
	endpoint.MemoryDB:              {Protocol: "redis", URI: "clustercfg.shop.abcdef.memorydb.us-east-1.amazonaws.com:6379"},
	endpoint.OpenSearch:            {Protocol: "opensearch", URI: "https://search-shop-abcdef.us-east-1.es.amazonaws.com:443"},
	endpoint.DocumentDB:            {Protocol: "mongodb", URI: "docs-1.abcdef012345.us-east-1.docdb.amazonaws.com:27017"},
	endpoint.DynamoDB:              {Protocol: "dynamodb", URI: "aws://dynamodb.us-east-1.amazonaws.com"},
	endpoint.Keyspaces:             {Protocol: "cassandra", URI: "cassandra.us-east-1.amazonaws.com:9142"},
}

// TestWhatAgentsFindOutOfEveryTypeIsUsed finds types that were forgotten in Of, where nothing else fails.
func TestWhatAgentsFindOutOfEveryTypeIsUsed(t *testing.T) {
	t.Parallel()
	nothingToFind := []endpoint.Type{endpoint.Redshift, endpoint.DynamoDB, endpoint.Keyspaces} // addresses say all
	for _, typ := range endpoint.Types() {
		spec, ok := oneOfEach[typ]
		if !ok {
			t.Errorf("there is no database of %s here; add one", typ)
			continue
		}
		db := &resource.Database{Spec: spec}
		before, err := target.Of(db)
		if err != nil || before.Type != typ {
			t.Errorf("%s is read as %q, %v", typ, before.Type, err)
			continue
		}
		filled(reflect.ValueOf(&db.Status.AWS).Elem())
		db.Status.AWS.AccountID = ""
		after, err := target.Of(db)
		if err != nil {
			t.Fatal(err)
		}
		if used := !reflect.DeepEqual(before.AWS, after.AWS); used == slices.Contains(nothingToFind, typ) {
			t.Errorf("%s: what its agent found out is used: %t", typ, used)
		}
	}
}

// TestEveryKeyOfAWSIsForSomeType finds keys that were forgotten among those that are idle for databases of other types.
func TestEveryKeyOfAWSIsForSomeType(t *testing.T) {
	t.Parallel()
	forAll := []string{"region", "account_id", "assume_role_arn", "external_id", "session_tags"} // of DynamoDB
	agents := []string{"iam_policy_status", "iam_policy_reason"}
	of := reflect.TypeFor[resource.AWS]()
	for i := range of.NumField() {
		key, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		db := &resource.Database{Spec: oneOfEach[endpoint.DynamoDB]}
		db.Kind, db.Version, db.Metadata.Name = resource.KindDatabase, "v3", "table"
		filled(reflect.ValueOf(&db.Spec.AWS).Elem().Field(i))
		db.Spec.AWS.Region, db.Spec.AWS.AccountID = "us-east-1", "123456789012"
		if key == "assume_role_arn" {
			db.Spec.AWS.AssumeRoleARN = "arn:aws:iam::123456789012:role/x"
		}
		if err := db.Validate(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		idle := slices.ContainsFunc(resource.Warnings(db), func(w resource.Warning) bool {
			return w.Path == "spec.aws."+key && strings.Contains(w.Message, "has no effect on a database of DynamoDB")
		})
		if want := !slices.Contains(forAll, key) && !slices.Contains(agents, key); idle != want {
			t.Errorf("%s is said to do nothing for a database of DynamoDB: %t, want %t", key, idle, want)
		}
	}
}

// filled sets everything in a value to something.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.ValueOf("x"))
	default:
		panic("not filled: " + v.Type().String())
	}
}
