package endpoint_test

import (
	"net/netip"
	"testing"

	"sallyport/internal/aws/endpoint"
)

func TestDomainsOfServices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typ                     endpoint.Type
		region, partition, host string
		want                    bool
	}{
		"a host of the service":            {endpoint.RDS, "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com", true},
		"a form that is not known yet":     {endpoint.RDS, "us-east-1", aws, "x.y.z.us-east-1.rds.amazonaws.com", true},
		"another region":                   {endpoint.RDS, "us-east-2", aws, "x.abc.us-east-1.rds.amazonaws.com", false},
		"another service":                  {endpoint.Redshift, "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com", false},
		"a proxy for a database":           {endpoint.RDS, "us-east-1", aws, "x.proxy-abc.us-east-1.rds.amazonaws.com", false},
		"a database for a proxy":           {endpoint.RDSProxy, "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com", false},
		"no region":                        {endpoint.RDS, "", aws, "x.abc.us-east-1.rds.amazonaws.com", false},
		"no partition":                     {endpoint.RDS, "us-east-1", "", "x.abc.us-east-1.rds.amazonaws.com", false},
		"another partition":                {endpoint.RDS, "us-east-1", china, "x.abc.us-east-1.rds.amazonaws.com", false},
		"China":                            {endpoint.RDS, "cn-north-1", china, "x.abc.rds.cn-north-1.amazonaws.com.cn", true},
		"China in the other order":         {endpoint.RDS, "cn-north-1", china, "x.abc.cn-north-1.rds.amazonaws.com.cn", false},
		"GovCloud":                         {endpoint.RDS, "us-gov-west-1", gov, "x.abc.us-gov-west-1.rds.amazonaws.com", true},
		"GovCloud taken for standard":      {endpoint.RDS, "us-gov-west-1", aws, "x.abc.us-gov-west-1.rds.amazonaws.com", false},
		"a domain after it":                {endpoint.RDS, "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com.evil.test", false},
		"upper case":                       {endpoint.RDS, "us-east-1", aws, "X.abc.us-east-1.rds.amazonaws.com", false},
		"a dot at the end":                 {endpoint.RDS, "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com.", false},
		"a port":                           {endpoint.RDS, "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com:5432", false},
		"the domain itself":                {endpoint.RDS, "us-east-1", aws, "us-east-1.rds.amazonaws.com", false},
		"a label that ends like it":        {endpoint.RDS, "us-east-1", aws, "x.abc.us-east-1.xrds.amazonaws.com", false},
		"a node of a cache":                {endpoint.ElastiCache, "us-east-1", aws, "g-0001-001.g.abc.use1.cache.amazonaws.com", true},
		"a serverless cache for a cache":   {endpoint.ElastiCache, "us-east-1", aws, "c-abcdef.serverless.use1.cache.amazonaws.com", false},
		"a cache for a serverless cache":   {endpoint.ElastiCacheServerless, "us-east-1", aws, "g-0001-001.g.abc.use1.cache.amazonaws.com", false},
		"a cache of another region":        {endpoint.ElastiCache, "us-east-2", aws, "g-0001-001.g.abc.use1.cache.amazonaws.com", false},
		"MemoryDB":                         {endpoint.MemoryDB, "us-east-1", aws, "clustercfg.c.abc.memorydb.us-east-1.amazonaws.com", true},
		"MemoryDB of another region":       {endpoint.MemoryDB, "us-east-1", aws, "clustercfg.c.abc.memorydb.us-east-2.amazonaws.com", false},
		"OpenSearch":                       {endpoint.OpenSearch, "us-east-1", aws, "search-x.us-east-1.es.amazonaws.com", true},
		"OpenSearch without a domain":      {endpoint.OpenSearch, "us-east-1", aws, "us-east-1.es.amazonaws.com", false},
		"DynamoDB":                         {endpoint.DynamoDB, "us-east-1", aws, "dynamodb.us-east-1.amazonaws.com", true},
		"DynamoDB by account":              {endpoint.DynamoDB, "us-east-1", aws, "123456789012.ddb.us-east-1.amazonaws.com", true},
		"something under DynamoDB":         {endpoint.DynamoDB, "us-east-1", aws, "x.dynamodb.us-east-1.amazonaws.com", false},
		"Keyspaces":                        {endpoint.Keyspaces, "us-east-1", aws, "cassandra.us-east-1.amazonaws.com", true},
		"Keyspaces for DynamoDB":           {endpoint.DynamoDB, "us-east-1", aws, "cassandra.us-east-1.amazonaws.com", false},
		"a type that is none of AWS":       {"self-hosted", "us-east-1", aws, "x.abc.us-east-1.rds.amazonaws.com", false},
		"Redshift":                         {endpoint.Redshift, "us-east-1", aws, "c.abc.us-east-1.redshift.amazonaws.com", true},
		"Redshift Serverless for Redshift": {endpoint.Redshift, "us-east-1", aws, "w.123456789012.us-east-1.redshift-serverless.amazonaws.com", false},
		"Redshift Serverless":              {endpoint.RedshiftServerless, "us-east-1", aws, "w.123456789012.us-east-1.redshift-serverless.amazonaws.com", true},
		"DocumentDB":                       {endpoint.DocumentDB, "us-east-1", aws, "d.cluster-abc.us-east-1.docdb.amazonaws.com", true},
		"DocumentDB for RDS":               {endpoint.RDS, "us-east-1", aws, "d.cluster-abc.us-east-1.docdb.amazonaws.com", false},
	} {
		if got := endpoint.InDomain(c.typ, c.region, c.partition, c.host); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLookAlikes(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"x.abc.us-east-1.rds.amazonaws.com":           false,
		"x.abc.us-east-1.rds.AmazonAWS.com":           false,
		"db.example.com":                              false,
		"amazonaws-mirror.example.com":                false,
		"x.abc.us-east-1.rds.amazonaws.com.evil.test": true,
		"x.abc.us-east-1.rds.amazonaws.com.":          true,
		"x.abc.us-east-1.rds.amazonaws。com":           true,
		"evil\\.us-east-1.rds.amazonaws.com":          true,
		"x.rds.amazonaws.org":                         true,
	} {
		if got := endpoint.LooksLikeAWS(host); got != want {
			t.Errorf("LooksLikeAWS(%q) = %v, want %v", host, got, want)
		}
	}
}

func TestAddressesThatAreDialled(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"10.1.2.3": true, "172.31.0.5": true, "100.64.0.1": true, "52.95.110.1": true, "::ffff:10.1.2.3": true,
		"2600:1f18::1": true, "fd12:3456::1": true, "64:ff9b::345f:6e01": true,

		"169.254.169.254": false, "169.254.170.2": false, "169.254.170.23": false, "169.254.0.1": false, "fe80::1": false, "fe80::1%eth0": false,
		"fd00:ec2::254": false, "fd00:ec2::23": false, "fd00:ec2:0:0::254": false,
		"127.0.0.1": false, "127.8.9.10": false, "::1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"224.0.0.1": false, "239.255.255.255": false, "255.255.255.255": false, "240.0.0.1": false, "ff02::1": false, "ff0e::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:a9fe:a9fe": false, "::ffff:0.0.0.0": false,
		"::127.0.0.1": false, "::a9fe:a9fe": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false, "2002:7f00:1::": false,
		"2600:1f18::1%eth0": false,
	} {
		if err := endpoint.DialAllowed(netip.MustParseAddr(addr)); (err == nil) != want {
			t.Errorf("DialAllowed(%s) = %v, allowed should be %v", addr, err, want)
		}
	}
	if err := endpoint.DialAllowed(netip.Addr{}); err == nil {
		t.Error("DialAllowed of no address is allowed")
	}
}
