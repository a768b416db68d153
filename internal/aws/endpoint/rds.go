package endpoint

import "strings"

// rds reads instances, clusters and proxies ("Amazon RDS DB instances", "Amazon Aurora endpoint
// connections" and "RDS Proxy concepts" in the RDS user guides).
func rds(n name) (Endpoint, bool, error) {
	before, region, ok := n.byRegion("rds")
	if !ok {
		return Endpoint{}, false, nil
	}
	e := Endpoint{Type: RDS, Region: region}
	id := before[0]
	switch len(before) {
	case 2:
		if proxyHash, ok := strings.CutPrefix(before[1], "proxy-"); ok && isHash(proxyHash) {
			e.Type, e.ProxyName = RDSProxy, id
			return e, true, nil
		}
		e.Kind = clusterKind(before[1], "cluster-custom-", "cluster-ro-", "cluster-")
	case 3:
		if proxyHash, ok := strings.CutPrefix(before[2], "proxy-"); ok && isHash(proxyHash) && before[1] == "endpoint" {
			e.Type, e.ProxyEndpoint = RDSProxy, id
			return e, true, nil
		}
	}
	switch e.Kind {
	case KindCustom:
		e.CustomName = id
	case KindReader, KindPrimary:
		e.ClusterID = id
	case KindInstance:
		e.InstanceID = id
	default:
		return Endpoint{}, true, n.malformed(RDS)
	}
	return e, true, nil
}

// clusterKind says what the label after an id means. A prefix that a service does not have is empty.
// Anything else with a hyphen is a kind of endpoint that AWS added later.
func clusterKind(label, custom, reader, cluster string) string {
	for _, one := range []struct{ prefix, kind string }{
		{custom, KindCustom}, {reader, KindReader}, {cluster, KindPrimary}, {"", KindInstance},
	} {
		if one.prefix == "" && one.kind != KindInstance {
			continue
		}
		if hash, ok := strings.CutPrefix(label, one.prefix); ok && isHash(hash) {
			return one.kind
		}
	}
	return ""
}

// documentDB reads "Understanding Amazon DocumentDB endpoints" of the DocumentDB developer guide.
func documentDB(n name) (Endpoint, bool, error) {
	before, region, ok := n.byRegion("docdb")
	if !ok {
		return Endpoint{}, false, nil
	}
	e := Endpoint{Type: DocumentDB, Region: region}
	if len(before) == 2 {
		e.Kind = clusterKind(before[1], "", "cluster-ro-", "cluster-")
	}
	switch e.Kind {
	case KindPrimary:
		e.Kind, e.ClusterID = KindCluster, before[0]
	case KindReader:
		e.ClusterID = before[0]
	case KindInstance:
		e.InstanceID = before[0]
	default:
		return Endpoint{}, true, n.malformed(DocumentDB)
	}
	return e, true, nil
}
