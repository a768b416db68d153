package redis

// clusterRule says what becomes of a command without keys where the database is a cluster. Only one of the fields is set, beside large; the zero
// value sends it to the node that was last used, because each node gives the same answer.
type clusterRule struct {
	home  bool        // it is about the connection, or a server: always the node that was reached first
	every combination // all primaries execute it, and this makes one reply of theirs
	large bool        // which need not be small
	no    string      // it is refused, and this says of it why
}

// Why commands are refused.
const (
	tellsOfOne  = "tells of one node only"
	actsOnOne   = "acts on one node only"
	redirects   = "is not needed, because redirections are followed here"
	connections = "acts on the connection to one node only, and here there are several"
	leadsAway   = "leads clients in cluster mode to addresses that are not reached from here: connect without that mode, since every key is reached over this connection"
)

// clusterRules has every command that may come without keys, but for those with a role of their own and those that concern the
// server: the latter are about one node, and refused. A test compares it with the list of commands.
var clusterRules = map[string]clusterRule{
	"acl": {}, "acl cat": {}, "acl genpass": {}, "acl help": {}, "acl whoami": {},
	"asking":         {no: redirects},
	"client":         {},
	"client help":    {},
	"client id":      {home: true},
	"client info":    {home: true},
	"client caching": {no: connections}, "client getredir": {no: connections}, "client no-touch": {no: connections},
	"client maint_notifications": {no: connections}, "client tracking": {no: connections}, "client trackinginfo": {no: connections},
	"client getname": {home: true}, "client setinfo": {home: true}, "client setname": {home: true},
	"cluster": {}, "cluster help": {}, "cluster info": {}, "cluster keyslot": {},
	"cluster nodes": {no: leadsAway}, "cluster shards": {no: leadsAway}, "cluster slots": {no: leadsAway},
	"cluster countkeysinslot": {no: tellsOfOne}, "cluster getkeysinslot": {no: tellsOfOne}, "cluster links": {no: tellsOfOne},
	"cluster myid": {no: tellsOfOne}, "cluster myshardid": {no: tellsOfOne},
	"commandlog": {}, "command": {}, "command count": {}, "command docs": {}, "command getkeys": {}, "command getkeysandflags": {}, "command help": {},
	"command info": {}, "command list": {},
	"config": {}, "config help": {},
	"dbsize":   {every: sum},
	"echo":     {},
	"flushall": {every: agreed}, "flushdb": {every: agreed},
	"function": {}, "function help": {},
	"function delete": {every: agreed}, "function flush": {every: agreed}, "function load": {every: agreed}, "function restore": {every: agreed},
	"function dump": {home: true}, "function list": {home: true}, // all have the same, if nobody has told one node only
	"function kill": {no: actsOnOne}, "function stats": {no: tellsOfOne},
	"info":    {home: true},
	"keys":    {every: joined, large: true},
	"latency": {}, "latency help": {},
	"lolwut": {},
	"memory": {}, "memory help": {},
	"memory doctor": {no: tellsOfOne}, "memory malloc-stats": {no: tellsOfOne}, "memory purge": {no: actsOnOne}, "memory stats": {no: tellsOfOne},
	"module": {}, "module help": {},
	"object": {}, "object help": {},
	"ping":    {},
	"publish": {}, // every subscriber gets it; the number is that of the node's own
	"pubsub":  {}, "pubsub help": {},
	"pubsub channels": {no: tellsOfOne}, "pubsub numpat": {no: tellsOfOne}, "pubsub numsub": {no: tellsOfOne},
	"pubsub shardchannels": {no: tellsOfOne}, "pubsub shardnumsub": {no: tellsOfOne},
	"randomkey": {no: tellsOfOne},
	"readonly":  {}, "readwrite": {}, // primaries answer all the same
	"scan":   {no: tellsOfOne},
	"script": {}, "script help": {},
	"script exists": {every: least}, "script flush": {every: agreed}, "script load": {every: agreed},
	"script kill": {no: actsOnOne}, "script show": {no: tellsOfOne},
	"select":  {},
	"slowlog": {}, "slowlog help": {},
	"swapdb":  {no: actsOnOne},
	"time":    {},
	"unwatch": {},
	"wait":    {no: tellsOfOne}, "waitaof": {no: tellsOfOne},
	"xgroup": {}, "xgroup help": {},
	"xinfo": {}, "xinfo help": {},
}
