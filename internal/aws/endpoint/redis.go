package endpoint

import "strings"

// elastiCache reads "Finding connection endpoints" of the ElastiCache user guide. Whether in-transit
// encryption is on shows in the order of the labels.
func elastiCache(n name) (Endpoint, bool, error) {
	last := len(n.labels) - 1
	if n.labels[last] != "cache" {
		return Endpoint{}, false, nil
	}
	if last < 3 {
		return Endpoint{}, true, n.malformed(ElastiCache)
	}
	region, err := RegionOfCode(n.labels[last-1])
	if err != nil {
		return Endpoint{}, true, n.wrong(ElastiCache, "cannot be read: "+err.Error())
	}
	before := n.labels[:last-1]
	e := Endpoint{Type: ElastiCache, Region: region}
	switch {
	case before[len(before)-1] == "serverless":
		id, ok := cutSuffix(before[0], 6, isHash)
		if !ok || len(before) != 2 {
			return Endpoint{}, true, n.malformed(ElastiCacheServerless)
		}
		e.Type, e.CacheName, e.TLS = ElastiCacheServerless, id, TLSOn
	case len(before) == 3:
		e.Kind, e.ReplicationGroup, e.TLS = redisName(before)
		if e.Kind == KindNode && e.TLS == TLSOn {
			switch before[0] {
			case "master":
				e.Kind = KindPrimary
			case "replica":
				e.Kind = KindReader
			}
		}
	case len(before) == 4 && before[2] == "ng" && isDigits(before[3], 4):
		e.Kind, e.ReplicationGroup, e.TLS = KindPrimary, before[0], TLSOff
		if id, ok := strings.CutSuffix(before[0], "-ro"); ok {
			e.Kind, e.ReplicationGroup = KindReader, id
		}
	default:
		return Endpoint{}, true, n.malformed(ElastiCache)
	}
	return e, true, nil
}

// memoryDB reads "Finding connection endpoints" of the MemoryDB developer guide.
func memoryDB(n name) (Endpoint, bool, error) {
	last := len(n.labels) - 1
	if last < 1 || n.labels[last-1] != "memorydb" {
		return Endpoint{}, false, nil
	}
	if last != 4 {
		return Endpoint{}, true, n.malformed(MemoryDB)
	}
	e := Endpoint{Type: MemoryDB, Region: n.labels[last]}
	e.Kind, e.ClusterName, e.TLS = redisName(n.labels[:3])
	if e.Kind == KindConfiguration {
		e.Kind = KindCluster
	}
	return e, true, nil
}

// redisName reads the three labels that both services use. The third label is looked at first: where
// it is not an opaque one, an id in the first label may itself be called clustercfg or master.
func redisName(labels []string) (kind, id string, tls TLS) {
	switch {
	case labels[2] == "clustercfg":
		return KindConfiguration, labels[0], TLSOff
	case isDigits(labels[2], 4):
		return KindNode, nodeGroup(labels[0]), TLSOff
	case labels[0] == "clustercfg":
		return KindConfiguration, labels[1], TLSOn
	default:
		return KindNode, labels[1], TLSOn
	}
}

// nodeGroup takes the numbers of node (-nnn) and shard (-ssss) off the name of a node.
func nodeGroup(node string) string {
	group, ok := cutSuffix(node, 3, func(s string) bool { return isDigits(s, 3) })
	if !ok {
		return node // a cache of one node, without a replication group, has no numbers
	}
	if shardless, ok := cutSuffix(group, 4, func(s string) bool { return isDigits(s, 4) }); ok {
		return shardless
	}
	return group
}

// cutSuffix cuts a hyphen and n more characters off the end, if these are as asked for.
func cutSuffix(s string, n int, is func(string) bool) (before string, ok bool) {
	at := len(s) - n - 1
	if at < 1 || s[at] != '-' || !is(s[at+1:]) {
		return s, false
	}
	return s[:at], true
}
