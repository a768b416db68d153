package metadata_test

import (
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
)

const (
	account   = "222222222222"
	hash      = "abcdefghijkl.us-west-1"
	vpc       = "vpc-1"
	ofAccount = ":us-west-1:" + account + ":"
)

// world is what the APIs of the services tell. Tests change it.
type world struct {
	iamOff   bool
	modified []string
}

func tag(keyName, valueName string) []any {
	return []any{wire.Of(keyName, "env", valueName, "prod"), wire.Of(keyName, "region", valueName, "mars"), wire.Of(keyName, "teleport.dev/origin", valueName, "dynamic")}
}

func (w *world) services() []*fakeaws.Service {
	rdsTags := wire.List{Element: "Tag", Items: tag("Key", "Value")}
	groups := wire.List{Element: "VpcSecurityGroupMembership", Items: []any{wire.Of("VpcSecurityGroupId", "sg-1")}}
	instance := func(id, cluster string) wire.Fields {
		var member any
		if cluster != "" {
			member = cluster
		}
		return wire.Of("DBInstanceIdentifier", id, "DbiResourceId", "db-"+id, "DBInstanceArn", "arn:aws:rds"+ofAccount+"db:"+id, "Engine", "postgres", "EngineVersion", "16.1",
			"IAMDatabaseAuthenticationEnabled", !w.iamOff, "DBClusterIdentifier", member, "TagList", rdsTags, "VpcSecurityGroups", groups,
			"Endpoint", wire.Of("Address", id+"."+hash+".rds.amazonaws.com", "Port", 5432), "DBSubnetGroup", wire.Of("VpcId", vpc))
	}
	cluster := func(id string) wire.Fields {
		service := "rds"
		if id == "papers" {
			service = "docdb"
		}
		return wire.Of("DBClusterIdentifier", id, "DbClusterResourceId", "cluster-"+id, "DBClusterArn", "arn:aws:rds"+ofAccount+"cluster:"+id, "Engine", "aurora-postgresql", "EngineVersion", "15.4",
			"IAMDatabaseAuthenticationEnabled", !w.iamOff, "TagList", rdsTags, "Port", 5432,
			"Endpoint", id+".cluster-"+hash+"."+service+".amazonaws.com", "ReaderEndpoint", id+".cluster-ro-"+hash+"."+service+".amazonaws.com",
			"CustomEndpoints", wire.Strings("member", []string{"night.cluster-custom-" + hash + ".rds.amazonaws.com"}))
	}
	modify := func(what, id string) func(*fakeaws.Call) (wire.Fields, error) {
		return func(c *fakeaws.Call) (wire.Fields, error) {
			if c.Params.String("EnableIAMDatabaseAuthentication") == "true" && c.Params.String("ApplyImmediately") == "true" {
				w.modified = append(w.modified, what+" "+c.Params.String(id))
			}
			return wire.Of(), nil
		}
	}
	rds := &fakeaws.Service{Name: "rds", Scope: "rds", Protocol: wire.Query, Version: "2014-10-31", Namespace: "http://rds.amazonaws.com/doc/2014-10-31/", Operations: []fakeaws.Operation{
		{Name: "DescribeDBInstances", Action: "rds:DescribeDBInstances", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			id := c.Params.String("DBInstanceIdentifier")
			of := map[string]string{"orders": "", "books-1": "books"}
			if _, ok := of[id]; !ok {
				return nil, wire.StatusErrorf(404, "DBInstanceNotFound", "DBInstance %s not found.", id)
			}
			return wire.Of("DBInstances", wire.List{Element: "DBInstance", Items: []any{instance(id, of[id])}}), nil
		}},
		{Name: "DescribeDBClusters", Action: "rds:DescribeDBClusters", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			id := c.Params.String("DBClusterIdentifier")
			if id != "books" && id != "papers" {
				return nil, wire.StatusErrorf(404, "DBClusterNotFoundFault", "DBCluster %s not found.", id)
			}
			return wire.Of("DBClusters", wire.List{Element: "DBCluster", Items: []any{cluster(id)}}), nil
		}},
		{Name: "ModifyDBInstance", Action: "rds:ModifyDBInstance", Handle: modify("instance", "DBInstanceIdentifier")},
		{Name: "ModifyDBCluster", Action: "rds:ModifyDBCluster", Handle: modify("cluster", "DBClusterIdentifier")},
		{Name: "DescribeDBProxies", Action: "rds:DescribeDBProxies", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			name := c.Params.String("DBProxyName")
			return wire.Of("DBProxies", wire.List{Items: []any{wire.Of("DBProxyName", name, "DBProxyArn", "arn:aws:rds"+ofAccount+"db-proxy:prx-"+name, "EngineFamily", "POSTGRESQL", "VpcId", vpc,
				"Endpoint", name+".proxy-"+hash+".rds.amazonaws.com")}}), nil
		}},
		{Name: "DescribeDBProxyEndpoints", Action: "rds:DescribeDBProxyEndpoints", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			name := c.Params.String("DBProxyEndpointName")
			return wire.Of("DBProxyEndpoints", wire.List{Items: []any{wire.Of("DBProxyName", "pool", "DBProxyEndpointName", name, "TargetRole", "READ_ONLY", "Endpoint", name+".endpoint.proxy-"+hash+".rds.amazonaws.com")}}), nil
		}},
		{Name: "ListTagsForResource", Action: "rds:ListTagsForResource", Handle: func(*fakeaws.Call) (wire.Fields, error) { return wire.Of("TagList", rdsTags), nil }},
	}}
	redshift := &fakeaws.Service{Name: "redshift", Scope: "redshift", Protocol: wire.Query, Version: "2012-12-01", Namespace: "http://redshift.amazonaws.com/doc/2012-12-01/", Operations: []fakeaws.Operation{
		{Name: "DescribeClusters", Action: "redshift:DescribeClusters", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			return wire.Of("Clusters", wire.List{Element: "Cluster", Items: []any{wire.Of("ClusterIdentifier", "warehouse", "ClusterNamespaceArn", "arn:aws:redshift"+ofAccount+"namespace:1", "VpcId", vpc,
				"Tags", wire.List{Element: "Tag", Items: tag("Key", "Value")}, "Endpoint", wire.Of("Address", "warehouse."+hash+".redshift.amazonaws.com", "Port", 5439))}}), nil
		}},
	}}
	serverless := &fakeaws.Service{Name: "redshift-serverless", Scope: "redshift-serverless", Protocol: wire.JSON11, Target: "RedshiftServerless", Operations: []fakeaws.Operation{
		{Name: "GetWorkgroup", Action: "redshift-serverless:GetWorkgroup", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			name := c.Params.String("workgroupName")
			if name != "etl" {
				return nil, wire.Errorf("ResourceNotFoundException", "Workgroup %s not found.", name)
			}
			return wire.Of("workgroup", wire.Of("workgroupName", name, "workgroupId", "id-1", "workgroupArn", "arn:aws:redshift-serverless"+ofAccount+"workgroup/id-1", "namespaceName", "ns",
				"endpoint", wire.Of("address", name+"."+account+".us-west-1.redshift-serverless.amazonaws.com", "port", 5439))), nil
		}},
		{Name: "GetEndpointAccess", Action: "redshift-serverless:GetEndpointAccess", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			return wire.Of("endpoint", wire.Of("endpointName", "near", "workgroupName", "etl", "address", "near-endpoint-abcdefghijkl."+account+".us-west-1.redshift-serverless.amazonaws.com", "port", 5439)), nil
		}},
		{Name: "ListTagsForResource", Action: "redshift-serverless:ListTagsForResource", Handle: func(*fakeaws.Call) (wire.Fields, error) {
			return wire.Of("tags", wire.List{Items: tag("key", "value")}), nil
		}},
	}}
	caches := &fakeaws.Service{Name: "elasticache", Scope: "elasticache", Protocol: wire.Query, Version: "2015-02-02", Namespace: "http://elasticache.amazonaws.com/doc/2015-02-02/", Operations: []fakeaws.Operation{
		{Name: "DescribeReplicationGroups", Action: "elasticache:DescribeReplicationGroups", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			return wire.Of("ReplicationGroups", wire.List{Element: "ReplicationGroup", Items: []any{wire.Of("ReplicationGroupId", "cache", "ARN", "arn:aws:elasticache"+ofAccount+"replicationgroup:cache", "Engine", "redis",
				"TransitEncryptionEnabled", true, "UserGroupIds", wire.Strings("member", []string{"group"}),
				"NodeGroups", wire.List{Element: "NodeGroup", Items: []any{wire.Of("PrimaryEndpoint", wire.Of("Address", "master.cache.abcdef.usw1.cache.amazonaws.com", "Port", 6379))}})}}), nil
		}},
		{Name: "DescribeServerlessCaches", Action: "elasticache:DescribeServerlessCaches", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			return wire.Of("ServerlessCaches", wire.List{Items: []any{wire.Of("ServerlessCacheName", "quick", "ARN", "arn:aws:elasticache"+ofAccount+"serverlesscache:quick", "Engine", "valkey", "FullEngineVersion", "8.0",
				"Endpoint", wire.Of("Address", "quick-abcdef.serverless.usw1.cache.amazonaws.com", "Port", 6379))}}), nil
		}},
		{Name: "ListTagsForResource", Action: "elasticache:ListTagsForResource", Handle: func(*fakeaws.Call) (wire.Fields, error) {
			return wire.Of("TagList", wire.List{Element: "Tag", Items: tag("Key", "Value")}), nil
		}},
	}}
	memory := &fakeaws.Service{Name: "memorydb", Scope: "memorydb", Hosts: []string{"memory-db"}, Protocol: wire.JSON11, Target: "AmazonMemoryDB", Operations: []fakeaws.Operation{
		{Name: "DescribeClusters", Action: "memorydb:DescribeClusters", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			return wire.Of("Clusters", wire.List{Items: []any{wire.Of("Name", "mem", "ARN", "arn:aws:memorydb"+ofAccount+"cluster/mem", "ACLName", "acl", "TLSEnabled", true, "Engine", "valkey", "EngineVersion", "7.2",
				"ClusterEndpoint", wire.Of("Address", "clustercfg.mem.abcdef.memorydb.us-west-1.amazonaws.com", "Port", 6379))}}), nil
		}},
		{Name: "ListTags", Action: "memorydb:ListTags", Handle: func(*fakeaws.Call) (wire.Fields, error) {
			return wire.Of("TagList", wire.List{Items: tag("Key", "Value")}), nil
		}},
	}}
	search := &fakeaws.Service{Name: "es", Scope: "es", Protocol: wire.RESTJSON, Operations: []fakeaws.Operation{
		{Name: "DescribeDomains", Path: "POST /2021-01-01/opensearch/domain-info", Action: "es:DescribeDomains", Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			return wire.Of("DomainStatusList", wire.List{Items: []any{wire.Of("DomainName", "logs", "DomainId", account+"/logs", "ARN", "arn:aws:es"+ofAccount+"domain/logs", "EngineVersion", "OpenSearch_2.11", "ClusterConfig", wire.Of(),
				"Endpoint", "search-logs-abcdefghijklmnopqrstuvwxyz.us-west-1.es.amazonaws.com",
				"DomainEndpointOptions", wire.Of("CustomEndpointEnabled", true, "CustomEndpoint", "logs.example.com"))}}), nil
		}},
		{Name: "ListTags", Path: "GET /2021-01-01/tags", Action: "es:ListTags", Handle: func(*fakeaws.Call) (wire.Fields, error) {
			return wire.Of("TagList", wire.List{Items: tag("Key", "Value")}), nil
		}},
	}}
	return []*fakeaws.Service{rds, redshift, serverless, caches, memory, search}
}
