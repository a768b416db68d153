package endpoint_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/aws/endpoint"
)

const (
	aws   = endpoint.PartitionAWS
	china = endpoint.PartitionChina
	gov   = endpoint.PartitionGov
)

func TestNamesSayWhatTheyStandFor(t *testing.T) {
	t.Parallel()
	type e = endpoint.Endpoint
	for address, want := range map[string]e{
		// RDS, Aurora.
		"aurora-1.abcdef012345.us-west-1.rds.amazonaws.com:5432":                   {Type: endpoint.RDS, Port: 5432, Region: "us-west-1", Partition: aws, Kind: "instance", InstanceID: "aurora-1"},
		"db.abcdef012345.us-gov-west-1.rds.amazonaws.com:5432":                     {Type: endpoint.RDS, Port: 5432, Region: "us-gov-west-1", Partition: gov, Kind: "instance", InstanceID: "db"},
		"db.abcdef012345.rds.cn-north-1.amazonaws.com.cn:5432":                     {Type: endpoint.RDS, Port: 5432, Region: "cn-north-1", Partition: china, Kind: "instance", InstanceID: "db"},
		"aurora.cluster-abcdef012345.us-west-1.rds.amazonaws.com:3306":             {Type: endpoint.RDS, Port: 3306, Region: "us-west-1", Partition: aws, Kind: "primary", ClusterID: "aurora"},
		"aurora.cluster-abcdef012345.rds.cn-northwest-1.amazonaws.com.cn:3306":     {Type: endpoint.RDS, Port: 3306, Region: "cn-northwest-1", Partition: china, Kind: "primary", ClusterID: "aurora"},
		"aurora.cluster-ro-abcdef012345.us-gov-east-1.rds.amazonaws.com:5432":      {Type: endpoint.RDS, Port: 5432, Region: "us-gov-east-1", Partition: gov, Kind: "reader", ClusterID: "aurora"},
		"aurora.cluster-ro-abcdef012345.rds.cn-north-1.amazonaws.com.cn:5432":      {Type: endpoint.RDS, Port: 5432, Region: "cn-north-1", Partition: china, Kind: "reader", ClusterID: "aurora"},
		"reports.cluster-custom-abcdef012345.us-west-1.rds.amazonaws.com:5432":     {Type: endpoint.RDS, Port: 5432, Region: "us-west-1", Partition: aws, Kind: "custom", CustomName: "reports"},
		"reports.cluster-custom-abcdef012345.rds.cn-north-1.amazonaws.com.cn:5432": {Type: endpoint.RDS, Port: 5432, Region: "cn-north-1", Partition: china, Kind: "custom", CustomName: "reports"},
		"aurora.abcdef012345.us-west-1.rds.amazonaws.com":                          {Type: endpoint.RDS, Region: "us-west-1", Partition: aws, Kind: "instance", InstanceID: "aurora"},

		// RDS Proxy.
		"pool.proxy-abcdef012345.us-west-1.rds.amazonaws.com:5432":               {Type: endpoint.RDSProxy, Port: 5432, Region: "us-west-1", Partition: aws, ProxyName: "pool"},
		"pool.proxy-abcdef012345.rds.cn-north-1.amazonaws.com.cn:5432":           {Type: endpoint.RDSProxy, Port: 5432, Region: "cn-north-1", Partition: china, ProxyName: "pool"},
		"ro.endpoint.proxy-abcdef012345.us-gov-west-1.rds.amazonaws.com:3306":    {Type: endpoint.RDSProxy, Port: 3306, Region: "us-gov-west-1", Partition: gov, ProxyEndpoint: "ro"},
		"ro.endpoint.proxy-abcdef012345.rds.cn-northwest-1.amazonaws.com.cn:1":   {Type: endpoint.RDSProxy, Port: 1, Region: "cn-northwest-1", Partition: china, ProxyEndpoint: "ro"},
		"endpoint.proxy-abcdef012345.ap-northeast-1.rds.amazonaws.com:5432":      {Type: endpoint.RDSProxy, Port: 5432, Region: "ap-northeast-1", Partition: aws, ProxyName: "endpoint"},
		"endpoint.endpoint.proxy-abcdef012345.us-west-1.rds.amazonaws.com:65535": {Type: endpoint.RDSProxy, Port: 65535, Region: "us-west-1", Partition: aws, ProxyEndpoint: "endpoint"},

		// Redshift.
		"warehouse.abcdef012345.us-east-1.redshift.amazonaws.com:5439":                                           {Type: endpoint.Redshift, Port: 5439, Region: "us-east-1", Partition: aws, ClusterID: "warehouse"},
		"warehouse.abcdef012345.us-gov-east-1.redshift.amazonaws.com":                                            {Type: endpoint.Redshift, Port: 5439, Region: "us-gov-east-1", Partition: gov, ClusterID: "warehouse"},
		"warehouse.abcdef012345.redshift.cn-north-1.amazonaws.com.cn:5439":                                       {Type: endpoint.Redshift, Port: 5439, Region: "cn-north-1", Partition: china, ClusterID: "warehouse"},
		"etl.123456789012.us-east-1.redshift-serverless.amazonaws.com:5439":                                      {Type: endpoint.RedshiftServerless, Port: 5439, Region: "us-east-1", Partition: aws, Account: "123456789012", Kind: "workgroup", Workgroup: "etl"},
		"etl.123456789012.us-gov-west-1.redshift-serverless.amazonaws.com":                                       {Type: endpoint.RedshiftServerless, Port: 5439, Region: "us-gov-west-1", Partition: gov, Account: "123456789012", Kind: "workgroup", Workgroup: "etl"},
		"vpc-endpoint-xxxyyyzzz.123456789012.us-east-1.redshift-serverless.amazonaws.com:5439":                   {Type: endpoint.RedshiftServerless, Port: 5439, Region: "us-east-1", Partition: aws, Account: "123456789012", Kind: "vpc-endpoint", VPCEndpoint: "vpc"},
		"my-endpoint-endpoint-xxxyyyzzz.123456789012.us-east-1.redshift-serverless.amazonaws.com:5439":           {Type: endpoint.RedshiftServerless, Port: 5439, Region: "us-east-1", Partition: aws, Account: "123456789012", Kind: "vpc-endpoint", VPCEndpoint: "my"},
		"postgresql://etl.123456789012.us-east-1.redshift-serverless.amazonaws.com:5439/dev?sslmode=verify-full": {Type: endpoint.RedshiftServerless, Port: 5439, Region: "us-east-1", Partition: aws, Account: "123456789012", Kind: "workgroup", Workgroup: "etl"},

		// ElastiCache.
		"clustercfg.shop.abcdef.use1.cache.amazonaws.com:6379":       {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "configuration", TLS: endpoint.TLSOn, ReplicationGroup: "shop"},
		"shop.abcdef.clustercfg.use1.cache.amazonaws.com:6379":       {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "configuration", TLS: endpoint.TLSOff, ReplicationGroup: "shop"},
		"master.shop.abcdef.usgw1.cache.amazonaws.com:6379":          {Type: endpoint.ElastiCache, Port: 6379, Region: "us-gov-west-1", Partition: gov, Kind: "primary", TLS: endpoint.TLSOn, ReplicationGroup: "shop"},
		"rediss://master.shop.abcdef.cnn1.cache.amazonaws.com.cn":    {Type: endpoint.ElastiCache, Port: 6379, Region: "cn-north-1", Partition: china, Kind: "primary", TLS: endpoint.TLSOn, ReplicationGroup: "shop"},
		"replica.shop.abcdef.euc1.cache.amazonaws.com:6380":          {Type: endpoint.ElastiCache, Port: 6380, Region: "eu-central-1", Partition: aws, Kind: "reader", TLS: endpoint.TLSOn, ReplicationGroup: "shop"},
		"shop-0001-002.shop.abcdef.use1.cache.amazonaws.com:6379":    {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "node", TLS: endpoint.TLSOn, ReplicationGroup: "shop"},
		"shop-0001-002.abcdef.0001.use1.cache.amazonaws.com:6379":    {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "node", TLS: endpoint.TLSOff, ReplicationGroup: "shop"},
		"shop-001.abcdef.0001.use1.cache.amazonaws.com:6379":         {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "node", TLS: endpoint.TLSOff, ReplicationGroup: "shop"},
		"shop.abcdef.ng.0001.use1.cache.amazonaws.com:6379":          {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "primary", TLS: endpoint.TLSOff, ReplicationGroup: "shop"},
		"shop-ro.abcdef.ng.0001.cnnw1.cache.amazonaws.com.cn:6379":   {Type: endpoint.ElastiCache, Port: 6379, Region: "cn-northwest-1", Partition: china, Kind: "reader", TLS: endpoint.TLSOff, ReplicationGroup: "shop"},
		"master.abcdef.clustercfg.use1.cache.amazonaws.com:6379":     {Type: endpoint.ElastiCache, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "configuration", TLS: endpoint.TLSOff, ReplicationGroup: "master"},
		"redis://clustercfg.shop.a.usge1.cache.amazonaws.com?mode=c": {Type: endpoint.ElastiCache, Port: 6379, Region: "us-gov-east-1", Partition: gov, Kind: "configuration", TLS: endpoint.TLSOn, ReplicationGroup: "shop"},
		"carts-a1b2c3.serverless.use1.cache.amazonaws.com:6379":      {Type: endpoint.ElastiCacheServerless, Port: 6379, Region: "us-east-1", Partition: aws, TLS: endpoint.TLSOn, CacheName: "carts"},
		"my-carts-a1b2c3.serverless.cnn1.cache.amazonaws.com.cn":     {Type: endpoint.ElastiCacheServerless, Port: 6379, Region: "cn-north-1", Partition: china, TLS: endpoint.TLSOn, CacheName: "my-carts"},
		"carts-a1b2c3.serverless.usgw1.cache.amazonaws.com:6379":     {Type: endpoint.ElastiCacheServerless, Port: 6379, Region: "us-gov-west-1", Partition: gov, TLS: endpoint.TLSOn, CacheName: "carts"},

		// MemoryDB.
		"clustercfg.shop.abcdef.memorydb.us-east-1.amazonaws.com:6379":             {Type: endpoint.MemoryDB, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "cluster", TLS: endpoint.TLSOn, ClusterName: "shop"},
		"shop.abcdef.clustercfg.memorydb.us-gov-west-1.amazonaws.com:6379":         {Type: endpoint.MemoryDB, Port: 6379, Region: "us-gov-west-1", Partition: gov, Kind: "cluster", TLS: endpoint.TLSOff, ClusterName: "shop"},
		"shop-0001-001.abcdef.0001.memorydb.us-east-1.amazonaws.com:6379":          {Type: endpoint.MemoryDB, Port: 6379, Region: "us-east-1", Partition: aws, Kind: "node", TLS: endpoint.TLSOff, ClusterName: "shop"},
		"shop-0001-001.shop.abcdef.memorydb.cn-north-1.amazonaws.com.cn:6379":      {Type: endpoint.MemoryDB, Port: 6379, Region: "cn-north-1", Partition: china, Kind: "node", TLS: endpoint.TLSOn, ClusterName: "shop"},
		"rediss://clustercfg.shop.abcdef.memorydb.cn-northwest-1.amazonaws.com.cn": {Type: endpoint.MemoryDB, Port: 6379, Region: "cn-northwest-1", Partition: china, Kind: "cluster", TLS: endpoint.TLSOn, ClusterName: "shop"},

		// DocumentDB.
		"mongodb://docs.cluster-ro-abcdef012345.us-east-1.docdb.amazonaws.com:27017/?retryWrites=false": {Type: endpoint.DocumentDB, Port: 27017, Region: "us-east-1", Partition: aws, Kind: "reader", ClusterID: "docs"},
		"docs.cluster-abcdef012345.us-gov-west-1.docdb.amazonaws.com:27017":                             {Type: endpoint.DocumentDB, Port: 27017, Region: "us-gov-west-1", Partition: gov, Kind: "cluster", ClusterID: "docs"},
		"mongodb+srv://docs.cluster-abcdef012345.us-east-1.docdb.amazonaws.com":                         {Type: endpoint.DocumentDB, Port: 27017, Region: "us-east-1", Partition: aws, Kind: "cluster", ClusterID: "docs"},
		"docs-1.abcdef012345.us-east-1.docdb.amazonaws.com:27017":                                       {Type: endpoint.DocumentDB, Port: 27017, Region: "us-east-1", Partition: aws, Kind: "instance", InstanceID: "docs-1"},
		"docs.cluster-abcdef012345.docdb.cn-northwest-1.amazonaws.com.cn:27017":                         {Type: endpoint.DocumentDB, Port: 27017, Region: "cn-northwest-1", Partition: china, Kind: "cluster", ClusterID: "docs"},
		"docs-1.abcdef012345.docdb.cn-north-1.amazonaws.com.cn:27017":                                   {Type: endpoint.DocumentDB, Port: 27017, Region: "cn-north-1", Partition: china, Kind: "instance", InstanceID: "docs-1"},

		// OpenSearch.
		"search-logs-abcdef.us-east-1.es.amazonaws.com:443":           {Type: endpoint.OpenSearch, Port: 443, Region: "us-east-1", Partition: aws},
		"https://VPC-logs-abcdef.us-gov-west-1.es.amazonaws.com/path": {Type: endpoint.OpenSearch, Port: 443, Region: "us-gov-west-1", Partition: gov},
		"search-logs-abcdef.cn-north-1.es.amazonaws.com.cn:443":       {Type: endpoint.OpenSearch, Port: 443, Region: "cn-north-1", Partition: china},

		// DynamoDB.
		"aws://dynamodb.us-east-1.amazonaws.com":               {Type: endpoint.DynamoDB, Port: 443, Region: "us-east-1", Partition: aws, Service: "dynamodb"},
		"dynamodb-fips.us-gov-west-1.amazonaws.com:443":        {Type: endpoint.DynamoDB, Port: 443, Region: "us-gov-west-1", Partition: gov, Service: "dynamodb", FIPS: true},
		"https://streams.dynamodb.cn-north-1.amazonaws.com.cn": {Type: endpoint.DynamoDB, Port: 443, Region: "cn-north-1", Partition: china, Service: "streams"},
		"dax.eu-west-1.amazonaws.com":                          {Type: endpoint.DynamoDB, Port: 443, Region: "eu-west-1", Partition: aws, Service: "dax"},
		"123456789012.ddb.us-east-1.amazonaws.com":             {Type: endpoint.DynamoDB, Port: 443, Region: "us-east-1", Partition: aws, Service: "dynamodb", Account: "123456789012"},

		// Keyspaces.
		"cassandra.us-east-1.amazonaws.com:9142":     {Type: endpoint.Keyspaces, Port: 9142, Region: "us-east-1", Partition: aws},
		"cassandra-fips.us-west-2.amazonaws.com":     {Type: endpoint.Keyspaces, Port: 9142, Region: "us-west-2", Partition: aws, FIPS: true},
		"cassandra.us-gov-east-1.amazonaws.com":      {Type: endpoint.Keyspaces, Port: 9142, Region: "us-gov-east-1", Partition: gov},
		"cassandra.cn-north-1.amazonaws.com.cn:9142": {Type: endpoint.Keyspaces, Port: 9142, Region: "cn-north-1", Partition: china},
	} {
		got, err := endpoint.Parse(address)
		want.Host = hostIn(address)
		if err != nil || got != want {
			t.Errorf("Parse(%q)\n got %+v, %v\nwant %+v", address, got, err, want)
		}
		again, err := endpoint.Parse(got.String())
		if err != nil || again != got {
			t.Errorf("Parse(%q) = %+v, %v; want what it was printed from, %+v", got, again, err, got)
		}
		if !endpoint.InDomain(got.Type, got.Region, got.Partition, got.Host) {
			t.Errorf("%s is outside its own domain", got.Host)
		}
	}
}

func TestCanonicalFormOfHostAndPort(t *testing.T) {
	t.Parallel()
	const want = "db.abcdef012345.us-west-1.rds.amazonaws.com:5432"
	for _, address := range []string{
		want, "DB.ABCDEF012345.US-WEST-1.RDS.AMAZONAWS.COM:5432", "postgres://" + want, "postgres://" + want + "/orders?sslmode=require",
		"POSTGRESQL://" + want,
	} {
		e, err := endpoint.Parse(address)
		if err != nil || e.Address() != want {
			t.Errorf("Parse(%q).Address() = %q, %v; want %q", address, e.Address(), err, want)
		}
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	for address, inAWS := range map[string]bool{
		// Not AWS at all.
		"db.example.com:5432": false,
		"10.0.0.1:5432":       false,
		"amazonaws.com:5432":  false,
		"x.abc.us-west-1.rds.amazonaws.com.evil.test:5432":            false,
		"x.abc.us-west-1.rds.amazonaws.com.cn.evil.test:5432":         false,
		"x.abc.us-west-1.rds.amazonaws.com-evil.test:5432":            false,
		"x.abc.us-west-1.rds.xamazonaws.com:5432":                     false,
		"x.abc.us-west-1.rds.amazonaws.org:5432":                      false,
		"x.abc.us-west-1.rds.amazonaws.com.com:5432":                  false,
		"postgres://evil.test/x.abc.us-west-1.rds.amazonaws.com:5432": false,
		"postgres://evil.test?x.abc.us-west-1.rds.amazonaws.com:5432": false,
		"postgres://evil.test#x.abc.us-west-1.rds.amazonaws.com:5432": false,
		// Names that readers could understand differently.
		"postgres://u:p@x.abc.us-west-1.rds.amazonaws.com:5432": true,
		"evil.test@x.abc.us-west-1.rds.amazonaws.com:5432":      true,
		"evil.test\\.x.abc.us-west-1.rds.amazonaws.com:5432":    true,
		"x.abc.us-west-1.rds.amazonaws.com.:5432":               true,
		"x.abc.us-west-1.rds.amazonaws%2ecom:5432":              true,
		"x.abc.us-west-1.rds.amazonaws。com:5432":                true,
		"x.abc.us-west-1.rds.amaz\u043enaws.com:5432":           true,
		"\u212aey.abc.us-west-1.rds.amazonaws.com:5432":         true,
		"xn--e1afmkfd.abc.us-west-1.rds.amazonaws.com:5432":     true,
		"x.abc.us-west-1.rds.amazonaws.com,evil.test:5432":      true,
		" x.abc.us-west-1.rds.amazonaws.com:5432":               true,
		"x..abc.us-west-1.rds.amazonaws.com:5432":               true,
		"-x.abc.us-west-1.rds.amazonaws.com:5432":               true,
		"gopher://x.abc.us-west-1.rds.amazonaws.com:5432":       true,
		"[x.abc.us-west-1.rds.amazonaws.com]:5432":              true,
		"x.abc.us-west-1.rds.amazonaws.com:0":                   true,
		"x.abc.us-west-1.rds.amazonaws.com:65536":               true,
		"x.abc.us-west-1.rds.amazonaws.com:05432":               true,
		"x.abc.us-west-1.rds.amazonaws.com:+5432":               true,
		"x.abc.us-west-1.rds.amazonaws.com:5432:5432":           true,
		"x.abc.us-west-1.rds.amazonaws.com:":                    true,
		"":                                                      true, "postgres://": true, ":5432": true,
		// Hosts of AWS that are no database, or no kind that is supported.
		"rds.amazonaws.com:443":                                            true,
		"rds.us-west-1.amazonaws.com:443":                                  true,
		"x.xrds.amazonaws.com:5432":                                        true,
		"xrds.amazonaws.com:5432":                                          true,
		"x.abc.us-west-1.xrds.amazonaws.com:5432":                          true,
		"abc.us-west-1.rds.amazonaws.com:5432":                             true,
		"y.x.abc.us-west-1.rds.amazonaws.com:5432":                         true,
		"x.endpoint.cluster-abc.us-west-1.rds.amazonaws.com:5432":          true,
		"x.other.proxy-abc.us-west-1.rds.amazonaws.com:5432":               true,
		"x.shardgrp-abc.us-west-1.rds.amazonaws.com:5432":                  true,
		"x.abc.us-west-1.rds.amazonaws.com.cn:5432":                        true,
		"x.abc.rds.us-west-1.amazonaws.com:5432":                           true,
		"x.abc.rds.us-west-1.amazonaws.com.cn:5432":                        true,
		"x.abc.cn-north-1.rds.amazonaws.com:5432":                          true,
		"x.abc.us-west.rds.amazonaws.com:5432":                             true,
		"x.abc.aws-global.rds.amazonaws.com:5432":                          true,
		"x.abc.us-iso-east-1.rds.amazonaws.com:5432":                       true,
		"x.global-abc.global.rds.amazonaws.com:5432":                       true,
		"x.abc.us-west-1.redshift.amazonaws.com.cn:5439":                   true,
		"y.x.abc.us-west-1.redshift.amazonaws.com:5439":                    true,
		"x.12345.us-west-1.redshift-serverless.amazonaws.com:5439":         true,
		"x.123456789012.cn-north-1.redshift-serverless.amazonaws.com.cn:1": true,
		"x.123456789012.redshift-serverless.cn-north-1.amazonaws.com.cn:1": true,
		"master.rg.abc.xyz1.cache.amazonaws.com:6379":                      true,
		"master.rg.abc.us-east-1.cache.amazonaws.com:6379":                 true,
		"master.rg.abc.use1.cache.amazonaws.com.cn:6379":                   true,
		"master.rg.abc.cnn1.cache.amazonaws.com:6379":                      true,
		"memcached.abc.cfg.use1.cache.amazonaws.com:11211":                 true,
		"carts.serverless.use1.cache.amazonaws.com:6379":                   true,
		"x.carts-a1b2c3.serverless.use1.cache.amazonaws.com:6379":          true,
		"rg.abc.ng.1.use1.cache.amazonaws.com:6379":                        true,
		"clustercfg.c.abc.memorydb.use1.amazonaws.com:6379":                true,
		"c.abc.memorydb.us-east-1.amazonaws.com:6379":                      true,
		"x.cluster-custom-abc.us-east-1.docdb.amazonaws.com:27017":         true,
		"x-123456789012.us-east-1.docdb-elastic.amazonaws.com:27017":       true,
		"mongodb://a.cluster-b.us-east-1.docdb.amazonaws.com,b.test:27017": true,
		"x.y.us-east-1.es.amazonaws.com":                                   true,
		"us-east-1.es.amazonaws.com":                                       true,
		"abcdef.us-east-1.aoss.amazonaws.com":                              true,
		"x.dynamodb.us-east-1.amazonaws.com":                               true,
		"1234.ddb.us-east-1.amazonaws.com":                                 true,
		"dynamodb.us-east-1.amazonaws.com.cn":                              true,
		"dynamodb.amazonaws.com":                                           true,
		"cassandra.x.us-east-1.amazonaws.com":                              true,
		"bucket.s3.us-east-1.amazonaws.com":                                true,
		"rds.s3.amazonaws.com":                                             true,
		"x.abc.us-east-1.elb.amazonaws.com":                                true,
	} {
		e, err := endpoint.Parse(address)
		if err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", address, e)
		} else if errors.Is(err, endpoint.ErrNotAWS) == inAWS {
			t.Errorf("Parse(%q): %v; outside AWS should be %v", address, err, !inAWS)
		}
	}
}

func TestWhyNamesAreRefused(t *testing.T) {
	t.Parallel()
	for host, unsupported := range map[string]bool{
		"x.global-abc.global.rds.amazonaws.com": true, "x-123456789012.us-east-1.docdb-elastic.amazonaws.com": true,
		"abcdef.us-east-1.aoss.amazonaws.com": true, "memcached.abc.cfg.use1.cache.amazonaws.com": true,
		"x.123456789012.redshift-serverless.cn-north-1.amazonaws.com.cn": true, "x.abc.us-east-1.elb.amazonaws.com": false,
	} {
		_, err := endpoint.Parse(host)
		if _, form := errors.AsType[*endpoint.FormError](err); err == nil || form == unsupported || errors.Is(err, endpoint.ErrUnsupported) != unsupported {
			t.Errorf("%s: %v; unsupported should be %v", host, err, unsupported)
		}
	}
	for host, want := range map[string]endpoint.Type{
		"abc.us-west-1.rds.amazonaws.com": endpoint.RDS, "y.x.abc.us-west-1.redshift.amazonaws.com": endpoint.Redshift,
		"x.12345.us-west-1.redshift-serverless.amazonaws.com": endpoint.RedshiftServerless, "master.rg.abc.xyz1.cache.amazonaws.com": endpoint.ElastiCache,
		"carts.serverless.use1.cache.amazonaws.com": endpoint.ElastiCacheServerless, "c.abc.memorydb.us-east-1.amazonaws.com": endpoint.MemoryDB,
		"us-east-1.es.amazonaws.com": endpoint.OpenSearch, "x.y.z.us-east-1.docdb.amazonaws.com": endpoint.DocumentDB,
		"x.dynamodb.us-east-1.amazonaws.com": endpoint.DynamoDB, "cassandra.x.us-east-1.amazonaws.com": endpoint.Keyspaces,
	} {
		_, err := endpoint.Parse(host)
		if form, ok := errors.AsType[*endpoint.FormError](err); !ok || form.Type != want || !strings.Contains(form.Error(), host) {
			t.Errorf("%s: %v, want the wrong form of %s", host, err, want)
		}
	}
}

func TestErrorsDoNotShowPasswords(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://u:s3cret@x.abc.us-west-1.rds.amazonaws.com:5432", "u:s3cret@h", "x://u:s3cret@h", "postgres://s3cret@,:1"} {
		if _, err := endpoint.Parse(address); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestHostsOfOnesOwn(t *testing.T) {
	t.Parallel()
	got, err := endpoint.ParseCustom(endpoint.OpenSearch, "us-gov-west-1", "https://Logs.Example.com/x")
	want := endpoint.Endpoint{Type: endpoint.OpenSearch, Host: "logs.example.com", Port: 443, Region: "us-gov-west-1", Partition: gov, Kind: "custom"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, address := range []string{"search-x.us-east-1.es.amazonaws.com", "search-x.us-east-1.es.amazonaws.com.evil.test", "u@logs.example.com", "logs.example.com.", ""} {
		if e, err := endpoint.ParseCustom(endpoint.OpenSearch, "us-east-1", address); err == nil {
			t.Errorf("%q: %+v, want an error", address, e)
		}
	}
	if e, err := endpoint.ParseCustom(endpoint.OpenSearch, "", "logs.example.com"); err == nil {
		t.Errorf("without a region: %+v, want an error", e)
	}
}

func TestHostOfRegionalServices(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]struct {
		typ    endpoint.Type
		region string
	}{
		"dynamodb.us-east-1.amazonaws.com":      {endpoint.DynamoDB, "us-east-1"},
		"cassandra.cn-north-1.amazonaws.com.cn": {endpoint.Keyspaces, "cn-north-1"},
		"":                                      {endpoint.RDS, "us-east-1"},
	} {
		if got, err := endpoint.HostOf(in.typ, in.region); got != want || (err == nil) != (want != "") {
			t.Errorf("HostOf(%s, %s) = %q, %v; want %q", in.typ, in.region, got, err, want)
		}
	}
	if host, err := endpoint.HostOf(endpoint.DynamoDB, "evil.test/"); err == nil {
		t.Errorf("HostOf with no region = %q, want an error", host)
	}
}
