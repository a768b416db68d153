package resource_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func awsDatabase(spec string) string {
	return "kind: db\nversion: v3\nmetadata: {name: a}\nspec: {" + spec + "}\n"
}

func TestEndpointsFillWhatIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spec, typ, uri, aws string }{
		"RDS instance": {`protocol: postgres, uri: "db.abc.us-west-1.rds.amazonaws.com:5432"`,
			"rds", "", `{"region":"us-west-1","rds":{"instance_id":"db"}}`},
		"Aurora, in China": {`protocol: mysql, uri: "aurora.cluster-ro-abc.rds.cn-north-1.amazonaws.com.cn:3306"`,
			"rds", "", `{"region":"cn-north-1","rds":{"cluster_id":"aurora"}}`},
		"an id that is written stays": {`protocol: postgres, uri: "db.abc.us-west-1.rds.amazonaws.com:5432", aws: {rds: {instance_id: other}}`,
			"rds", "", `{"region":"us-west-1","rds":{"instance_id":"other"}}`},
		"Aurora custom endpoint": {`protocol: postgres, uri: "x.cluster-custom-abc.us-west-1.rds.amazonaws.com:5432", aws: {rds: {cluster_id: c}}`,
			"rds", "", `{"region":"us-west-1","rds":{"cluster_id":"c"}}`},
		"RDS Proxy": {`protocol: postgres, uri: "p.proxy-abc.us-west-1.rds.amazonaws.com:5432"`,
			"rdsproxy", "", `{"region":"us-west-1","rdsproxy":{"name":"p"}}`},
		"RDS Proxy custom endpoint": {`protocol: postgres, uri: "e.endpoint.proxy-abc.us-west-1.rds.amazonaws.com:5432"`,
			"rdsproxy", "", `{"region":"us-west-1","rdsproxy":{"custom_endpoint_name":"e"}}`},
		"Redshift": {`protocol: postgres, uri: "c.abc.us-west-1.redshift.amazonaws.com:5439"`,
			"redshift", "", `{"region":"us-west-1","redshift":{"cluster_id":"c"}}`},
		"Redshift Serverless": {`protocol: postgres, uri: "w.123456789012.us-west-1.redshift-serverless.amazonaws.com:5439"`,
			"redshift-serverless", "", `{"region":"us-west-1","account_id":"123456789012","redshift_serverless":{"workgroup_name":"w"}}`},
		"Redshift Serverless VPC endpoint": {`protocol: postgres, uri: "v-endpoint-abc.123456789012.us-west-1.redshift-serverless.amazonaws.com:5439"`,
			"redshift-serverless", "", `{"region":"us-west-1","account_id":"123456789012","redshift_serverless":{"endpoint_name":"v"}}`},
		"ElastiCache; what the name says of TLS wins": {`protocol: redis, uri: "rediss://master.g.abc.use1.cache.amazonaws.com:6379", aws: {elasticache: {endpoint_type: reader}}`,
			"elasticache", "", `{"region":"us-east-1","elasticache":{"replication_group_id":"g","transit_encryption_enabled":true,"endpoint_type":"primary"}}`},
		"ElastiCache without TLS": {`protocol: redis, uri: "g.abc.clustercfg.use1.cache.amazonaws.com:6379", aws: {elasticache: {transit_encryption_enabled: true}}`,
			"elasticache", "", `{"region":"us-east-1","elasticache":{"replication_group_id":"g","endpoint_type":"configuration"}}`},
		"ElastiCache Serverless": {`protocol: redis, uri: "rediss://c-abcdef.serverless.use1.cache.amazonaws.com:6379"`,
			"elasticache-serverless", "", `{"region":"us-east-1","elasticache_serverless":{"cache_name":"c"}}`},
		"MemoryDB": {`protocol: redis, uri: "clustercfg.c.abc.memorydb.us-east-1.amazonaws.com:6379"`,
			"memorydb", "", `{"region":"us-east-1","memorydb":{"cluster_name":"c","tls_enabled":true,"endpoint_type":"cluster"}}`},
		"DocumentDB": {`protocol: mongodb, uri: "mongodb://d.cluster-abc.us-east-1.docdb.amazonaws.com:27017/?retryWrites=false"`,
			"docdb", "", `{"region":"us-east-1","docdb":{"cluster_id":"d","endpoint_type":"cluster"}}`},
		"OpenSearch": {`protocol: opensearch, uri: "search-x.us-gov-west-1.es.amazonaws.com:443", aws: {account_id: "123456789012"}`,
			"opensearch", "", `{"region":"us-gov-west-1","account_id":"123456789012"}`},
		"OpenSearch under a name of its owner's": {`protocol: opensearch, uri: "https://logs.example.com", aws: {account_id: "123456789012", region: us-east-1}`,
			"opensearch", "", `{"region":"us-east-1","account_id":"123456789012"}`},
		"DynamoDB without URI": {`protocol: dynamodb, aws: {account_id: "123456789012", region: cn-north-1}`,
			"dynamodb", "aws://dynamodb.cn-north-1.amazonaws.com.cn", `{"region":"cn-north-1","account_id":"123456789012"}`},
		"DynamoDB with URI": {`protocol: dynamodb, uri: "https://streams.dynamodb.us-east-1.amazonaws.com", aws: {account_id: "123456789012"}`,
			"dynamodb", "", `{"region":"us-east-1","account_id":"123456789012"}`},
		"DynamoDB elsewhere": {`protocol: dynamodb, uri: "https://dynamo.example.com", aws: {account_id: "123456789012", region: us-east-1}`,
			"dynamodb", "", `{"region":"us-east-1","account_id":"123456789012"}`},
		"Keyspaces without URI": {`protocol: cassandra, aws: {account_id: "123456789012", region: us-gov-west-1}`,
			"keyspace", "cassandra.us-gov-west-1.amazonaws.com:9142", `{"region":"us-gov-west-1","account_id":"123456789012"}`},
		"Keyspaces with URI": {`protocol: cassandra, uri: "cassandra.us-east-1.amazonaws.com:9142", aws: {account_id: "123456789012"}`,
			"keyspace", "", `{"region":"us-east-1","account_id":"123456789012"}`},
		"hosts are written as they are dialled": {`protocol: postgres, uri: "postgres://DB.abc.US-west-1.rds.AmazonAWS.com:5432/Orders"`,
			"rds", "postgres://db.abc.us-west-1.rds.amazonaws.com:5432/Orders", `{"region":"us-west-1","rds":{"instance_id":"db"}}`},
		"a region does not make a database one of RDS": {`protocol: postgres, uri: "db.example.com:5432", aws: {region: us-east-1}`,
			"self-hosted", "", `{"region":"us-east-1"}`},
		"Cassandra of one's own": {`protocol: cassandra, uri: "db.example.com:9042"`, "self-hosted", "", `{}`},
		"DocumentDB with an external id only": {`protocol: mongodb, uri: "d.cluster-abc.us-east-1.docdb.amazonaws.com:27017", aws: {external_id: x}`,
			"docdb", "", `{"region":"us-east-1","external_id":"x","docdb":{"cluster_id":"d","endpoint_type":"cluster"}}`},
	} {
		list, err := resource.ParseYAML([]byte(awsDatabase(c.spec)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		db := list[0].(*resource.Database)
		aws, err := json.Marshal(db.Spec.AWS)
		if err != nil || string(aws) != c.aws || db.Type() != c.typ || c.uri != "" && db.Spec.URI != c.uri {
			t.Errorf("%s: %s, %s, %s, %v\nwant %s, %s, %s", name, db.Type(), db.Spec.URI, aws, err, c.typ, c.uri, c.aws)
		}
		once := resource.Clone(db)
		if err := db.Validate(); err != nil || !slices.Equal(encode(t, once), encode(t, db)) {
			t.Errorf("%s: validated twice: %v\n%s\n%s", name, err, encode(t, once), encode(t, db))
		}
		e, err := db.AWSEndpoint()
		if own := c.typ == "self-hosted"; own != (err != nil) || !own && string(e.Type) != c.typ {
			t.Errorf("%s: the endpoint is %+v, %v", name, e, err)
		}
	}
}

func encode(t *testing.T, r resource.Resource) []byte {
	t.Helper()
	data, err := resource.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDatabasesInAWSThatAreRefused(t *testing.T) {
	t.Parallel()
	const rds = `protocol: postgres, uri: "db.abc.us-west-1.rds.amazonaws.com:5432", `
	for name, c := range map[string]struct{ spec, want string }{
		"an account that is too short":                {rds + `aws: {account_id: "1234"}`, "spec.aws.account_id: must be the 12 digits"},
		"a region that is none":                       {rds + `aws: {region: west}`, `spec.aws.region: "west" is not a region`},
		"another region than the endpoint's":          {rds + `aws: {region: us-west-2}`, `spec.aws.region: "us-west-2" does not match the configured URI region us-west-1`},
		"a role that is none":                         {rds + `aws: {assume_role_arn: "arn:aws:iam::123456789012:user/x"}`, "spec.aws.assume_role_arn: "},
		"a role of another partition":                 {rds + `aws: {assume_role_arn: "arn:aws-cn:iam::123456789012:role/x"}`, "is a role in partition aws-cn, and region us-west-1 is in aws"},
		"an external id without a role":               {rds + `aws: {external_id: x}`, "spec.aws.external_id: is used with assume_role_arn only"},
		"an id of another service":                    {rds + `aws: {redshift: {cluster_id: c}}`, "is an endpoint of RDS, and spec.aws describes a database of Redshift"},
		"a proxy taken for an instance":               {`protocol: postgres, uri: "p.proxy-abc.us-west-1.rds.amazonaws.com:5432", aws: {rds: {instance_id: p}}`, "is an endpoint of RDS Proxy, and"},
		"an Aurora custom endpoint without cluster":   {`protocol: postgres, uri: "x.cluster-custom-abc.us-west-1.rds.amazonaws.com:5432"`, "missing RDS ClusterID for RDS Aurora custom endpoint"},
		"the writer of a global database":             {`protocol: postgres, uri: "x.global-abc.global.rds.amazonaws.com:5432"`, "the writer endpoint of an Aurora global database"},
		"a global writer with everything written":     {`protocol: postgres, uri: "x.global-abc.global.rds.amazonaws.com:5432", aws: {region: us-east-1, rds: {cluster_id: c}}`, "the writer endpoint of an Aurora global database"},
		"an elastic cluster":                          {`protocol: mongodb, uri: "x-123456789012.us-east-1.docdb-elastic.amazonaws.com:27017"`, "an elastic cluster of DocumentDB"},
		"Redshift Serverless in China":                {`protocol: postgres, uri: "w.123456789012.redshift-serverless.cn-north-1.amazonaws.com.cn:5439"`, "Redshift Serverless in China, which is not supported"},
		"a name of Redshift that cannot be read":      {`protocol: postgres, uri: "a.b.c.us-east-1.redshift.amazonaws.com:5439"`, "is not an endpoint of Redshift"},
		"a look-alike":                                {`protocol: postgres, uri: "x.abc.us-west-1.rds.amazonaws.com.evil.test:5432", aws: {rds: {instance_id: x}}`, "it only looks like an endpoint of AWS"},
		"a dot at the end":                            {`protocol: postgres, uri: "x.abc.us-west-1.rds.amazonaws.com.:5432", aws: {rds: {instance_id: x}}`, "without the dot at its end"},
		"several hosts":                               {`protocol: mongodb, uri: "mongodb://d.abc.us-east-1.docdb.amazonaws.com:27017,h.test:27017", aws: {docdb: {cluster_id: d}}`, "names several hosts"},
		"Keyspaces without account":                   {`protocol: cassandra, uri: "cassandra.us-east-1.amazonaws.com:9142"`, "spec.aws.account_id: is missing"},
		"Keyspaces without region":                    {`protocol: cassandra, aws: {account_id: "123456789012"}`, "spec.aws.region: is missing"},
		"Keyspaces at a host of another service":      {`protocol: cassandra, uri: "x.abc.us-east-1.rds.amazonaws.com:9142", aws: {account_id: "123456789012"}`, "needs one of Keyspaces"},
		"DynamoDB without account":                    {`protocol: dynamodb, aws: {region: us-east-1}`, "spec.aws.account_id: is missing"},
		"DynamoDB without region and URI":             {`protocol: dynamodb, aws: {account_id: "123456789012"}`, "spec.uri: is missing"},
		"DynamoDB elsewhere without region":           {`protocol: dynamodb, uri: "https://dynamo.example.com", aws: {account_id: "123456789012"}`, "spec.aws.region: is missing"},
		"DynamoDB of another region":                  {`protocol: dynamodb, uri: "aws://dynamodb.us-east-1.amazonaws.com", aws: {account_id: "123456789012", region: us-east-2}`, "leave the URI out"},
		"DynamoDB at a host of AWS that is another's": {`protocol: dynamodb, uri: "https://s3.us-east-1.amazonaws.com", aws: {account_id: "123456789012", region: us-east-1}`, "needs an endpoint of DynamoDB"},
		"OpenSearch without account":                  {`protocol: opensearch, uri: "search-x.us-east-1.es.amazonaws.com:443"`, "spec.aws.account_id: is missing"},
		"OpenSearch elsewhere without region":         {`protocol: opensearch, uri: "https://logs.example.com", aws: {account_id: "123456789012"}`, "spec.aws.region: is missing"},
		"OpenSearch at a look-alike":                  {`protocol: opensearch, uri: "https://search-x.us-east-1.es.amazonaws.com.evil.test", aws: {account_id: "123456789012", region: us-east-1}`, "it only looks like"},
		"OpenSearch in the partition of another":      {`protocol: opensearch, uri: "https://search-x.cn-north-1.es.amazonaws.com", aws: {account_id: "123456789012", region: cn-north-1}`, "whose hosts end with amazonaws.com.cn"},
		"OpenSearch Serverless":                       {`protocol: opensearch, uri: "https://x.us-east-1.aoss.amazonaws.com", aws: {account_id: "123456789012", region: us-east-1}`, "a collection of OpenSearch Serverless"},
	} {
		_, err := resource.ParseYAML([]byte(awsDatabase(c.spec)))
		if !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", name, err, c.want)
		}
	}
}

func TestWarningsAboutEndpoints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spec, path, want string }{
		"a database of one's own":              {`protocol: postgres, uri: "[::1]:5432"`, "", ""},
		"a replica set of one's own":           {`protocol: mongodb, uri: "mongodb://a:27017,b:27017"`, "", ""},
		"an endpoint that is read":             {`protocol: postgres, uri: "db.abc.us-west-1.rds.amazonaws.com:5432"`, "", ""},
		"OpenSearch under a name of one's own": {`protocol: opensearch, uri: "logs.example.com:443", aws: {account_id: "123456789012", region: us-east-1}`, "spec.protocol", "is opensearch, which this version cannot serve: the database is listed only"},
		"a name of RDS that cannot be read":    {`protocol: postgres, uri: "a.b.c.us-east-1.rds.amazonaws.com:5432"`, "spec.uri", "is not an endpoint of RDS"},
		"a name of ElastiCache":                {`protocol: redis, uri: "master.g.abc.xyz1.cache.amazonaws.com:6379"`, "spec.uri", "short code"},
		"a name of MemoryDB":                   {`protocol: redis, uri: "x.memorydb.us-east-1.amazonaws.com:6379"`, "spec.uri", "MemoryDB"},
		"a name of Redshift Serverless":        {`protocol: postgres, uri: "w.1.us-east-1.redshift-serverless.amazonaws.com:5439"`, "spec.uri", "Redshift Serverless"},
		"another service":                      {`protocol: postgres, uri: "x.us-east-1.elb.amazonaws.com:5432"`, "spec.uri", "not of a database service"},
		"a look-alike with no word of AWS":     {`protocol: postgres, uri: "x.abc.us-west-1.rds.amazonaws.com.evil.test:5432"`, "spec.uri", "only looks like"},
		"an alias of an instance":              {`protocol: postgres, uri: "db.example.com:5432", aws: {region: us-east-1, rds: {instance_id: x}}`, "spec.uri", "makes no token"},
		"another id than the endpoint's":       {`protocol: postgres, uri: "db.abc.us-west-1.rds.amazonaws.com:5432", aws: {rds: {instance_id: other}}`, "spec.aws.rds.instance_id", `names "db"`},
		"another account than the endpoint's":  {`protocol: postgres, uri: "w.123456789012.us-west-1.redshift-serverless.amazonaws.com:5439", aws: {account_id: "210987654321"}`, "spec.aws.account_id", `names "123456789012"`},
	} {
		list, err := resource.ParseYAML([]byte(awsDatabase(c.spec)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		warnings := resource.Warnings(list[0])
		switch {
		case c.path == "" && len(warnings) > 0:
			t.Errorf("%s: %v, want no warning", name, warnings)
		case c.path != "" && (len(warnings) != 1 || warnings[0].Path != c.path || !strings.Contains(warnings[0].Message, c.want)):
			t.Errorf("%s: %v, want one about %s with %q", name, warnings, c.path, c.want)
		}
	}
}

func TestKeysWithoutEffect(t *testing.T) {
	t.Parallel()
	const rds, cache = `protocol: postgres, uri: "db.abc.us-west-1.rds.amazonaws.com:5432"`, `protocol: redis, uri: "master.g.abc.usw1.cache.amazonaws.com:6379"`
	const own, mem = `protocol: postgres, uri: "h:5432"`, `protocol: redis, uri: "clustercfg.m.abc.memorydb.us-east-1.amazonaws.com:6379"`
	for name, c := range map[string]struct {
		spec, aws string
		warned    []string
		want      string
	}{
		"a store of secrets of RDS":                    {rds, `secret_store: {key_prefix: x}`, []string{"secret_store"}, "has no effect on a database of RDS; it is for ElastiCache, ElastiCache Serverless, MemoryDB"},
		"a key for secrets of a database of one's own": {own, `secret_store: {kms_key_id: x}`, []string{"secret_store"}, "spec.uri is no endpoint of AWS"},
		"a store of secrets of a cache":                {cache, `secret_store: {key_prefix: x}`, nil, ""},
		"a store of secrets of MemoryDB":               {mem, `secret_store: {key_prefix: x}`, nil, ""},
		"tags of sessions":                             {rds, `session_tags: {a: b}`, []string{"session_tags"}, "it is for DynamoDB"},
		"what belongs to another service":              {mem, `rds: {vpc_id: x}`, []string{"rds"}, "on a database of MemoryDB; it is for RDS"},
		"groups of another kind of cache":              {cache, `elasticache_serverless: {user_group_ids: [a]}, memorydb: {acl_name: b}`, []string{"elasticache_serverless", "memorydb"}, "on a database of ElastiCache"},
		"a role for a database of one's own":           {own, `assume_role_arn: "arn:aws:iam::123456789012:role/x", account_id: "123456789012", region: us-west-1`, []string{"region", "assume_role_arn"}, "no id in spec.aws"},
		"an account of a database of one's own":        {own, `account_id: "123456789012"`, []string{"account_id"}, "no id in spec.aws"},
		"all that RDS has":                             {rds, `region: us-west-1, account_id: "123456789012", assume_role_arn: "arn:aws:iam::123456789012:role/x", external_id: y, rds: {iam_auth: yes}`, nil, ""},
	} {
		list, err := resource.ParseYAML([]byte(awsDatabase(c.spec + ", aws: {" + c.aws + "}")))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var warned []string
		for _, warning := range resource.Warnings(list[0]) {
			warned = append(warned, strings.TrimPrefix(warning.Path, "spec.aws."))
			if !strings.Contains(warning.Message, c.want) {
				t.Errorf("%s: %q lacks %q", name, warning.Message, c.want)
			}
		}
		if !slices.Equal(warned, c.warned) {
			t.Errorf("%s: warned of %q, want %q", name, warned, c.warned)
		}
	}
}

func TestEndpointsThatAreNotDialled(t *testing.T) {
	t.Parallel()
	for name, db := range map[string]*resource.Database{
		"a look-alike":             {Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "x.abc.us-west-1.rds.amazonaws.com.evil.test:5432", AWS: resource.AWS{RDS: resource.RDS{InstanceID: "x"}}}},
		"an alias":                 {Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432", AWS: resource.AWS{Region: "us-west-1", RDS: resource.RDS{InstanceID: "x"}}}},
		"another region":           {Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "x.abc.us-west-1.rds.amazonaws.com:5432", AWS: resource.AWS{Region: "us-west-2", RDS: resource.RDS{InstanceID: "x"}}}},
		"another service":          {Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "x.abc.us-west-1.rds.amazonaws.com:5432", AWS: resource.AWS{Redshift: resource.Redshift{ClusterID: "x"}}}},
		"a database of one's own":  {Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432"}},
		"OpenSearch at no region":  {Spec: resource.DatabaseSpec{Protocol: "opensearch", URI: "https://logs.example.com"}},
		"OpenSearch, a look-alike": {Spec: resource.DatabaseSpec{Protocol: "opensearch", URI: "https://x.us-east-1.es.amazonaws.com.evil.test", AWS: resource.AWS{Region: "us-east-1"}}},
	} {
		if e, err := db.AWSEndpoint(); err == nil {
			t.Errorf("%s: %+v, want an error", name, e)
		}
	}
	own := &resource.Database{Spec: resource.DatabaseSpec{Protocol: "opensearch", URI: "https://Logs.example.com", AWS: resource.AWS{Region: "us-east-1"}}}
	if e, err := own.AWSEndpoint(); err != nil || e.Address() != "logs.example.com:443" || e.Type != endpoint.OpenSearch {
		t.Errorf("OpenSearch under a name of its owner's: %+v, %v", e, err)
	}
}
