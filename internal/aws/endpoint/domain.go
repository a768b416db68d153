package endpoint

import (
	"slices"
	"strings"
)

// InDomain reports whether a host lies in the domain of a service in a region and partition. It serves
// where a host was not parsed from configuration but learnt: from an answer of AWS, or from a database
// that names its nodes. Hosts in any other spelling than the canonical one, unknown regions and a
// partition that is not the region's are outside.
func InDomain(t Type, region, partition, host string) bool {
	n, ok := inAWS(host)
	if !ok || checkHost(host) != nil || partition != PartitionOf(region) {
		return false
	}
	if err := n.fits(Endpoint{Region: region, Partition: partition}); err != nil {
		return false
	}
	last := len(n.labels) - 1
	switch t {
	case RDS, RDSProxy, DocumentDB, Redshift, RedshiftServerless:
		service := map[Type]string{RDS: "rds", RDSProxy: "rds", DocumentDB: "docdb", Redshift: "redshift",
			RedshiftServerless: "redshift-serverless"}[t]
		before, in, ok := n.byRegion(service)
		isProxy := ok && strings.HasPrefix(before[len(before)-1], "proxy-")
		return ok && in == region && isProxy == (t == RDSProxy)
	case ElastiCache, ElastiCacheServerless:
		if last < 3 || n.labels[last] != "cache" {
			return false
		}
		in, err := RegionOfCode(n.labels[last-1])
		serverless := n.labels[last-2] == "serverless"
		return err == nil && in == region && serverless == (t == ElastiCacheServerless)
	case MemoryDB:
		return last >= 2 && n.labels[last-1] == "memorydb" && n.labels[last] == region
	case OpenSearch:
		return last >= 2 && n.labels[last] == "es" && n.labels[last-1] == region
	case DynamoDB, Keyspaces:
		e, err := parseHost(host)
		return err == nil && e.Type == t && e.Region == region
	default:
		return false
	}
}

// LooksLikeAWS reports whether a host carries the name of AWS's domain without being a host in it, as
// x.rds.amazonaws.com.example.com does. No host of one's own needs that.
func LooksLikeAWS(host string) bool {
	host = lower(host)
	if _, ok := inAWS(host); ok {
		return checkHost(host) != nil
	}
	words := strings.FieldsFunc(host, func(r rune) bool { return r != '-' && !alphanumeric(r) })
	return slices.Contains(words, "amazonaws")
}
