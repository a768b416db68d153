package mongodb

import (
	"bytes"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// rule finds the logical databases of one command.
type rule func(n *names, c call)

// call is a command, or one within an explain.
type call struct {
	value mongowire.Element // of the command's name
	body  mongowire.Document
	msg   *mongowire.Msg // with its sequences; nil within an explain
	db    string
}

// rules has every command that is passed on (MongoDB documentation, "Database Commands", and mongod's listCommands).
// Others are refused, as nobody knows which databases they touch.
var rules = makeRules()

func makeRules() map[string]rule {
	all := make(map[string]rule)
	add := func(r rule, commands string) {
		for name := range strings.FieldsSeq(commands) {
			all[name] = r
		}
	}
	add(free, `ping buildInfo buildinfo endSessions startSession refreshSessions commitTransaction abortTransaction connectionStatus whatsmyuri`)
	add(write, `insert update delete findAndModify findandmodify`)
	add(own, `find count distinct drop createIndexes dropIndexes deleteIndexes
		listIndexes listCollections collStats collstats dbStats dbstats dropDatabase validate reIndex compact convertToCapped
		cloneCollectionAsCapped planCacheListFilters planCacheSetFilter planCacheClear planCacheClearFilters createSearchIndexes
		updateSearchIndex dropSearchIndex dropUser dropAllUsersFromDatabase dropRole dropAllRolesFromDatabase dbHash dbhash
		getLastError getlasterror resetError filemd5 setIndexCommitQuorum compactStructuredEncryptionData
		cleanupStructuredEncryptionData listCommands`)
	add(cursor, `getMore killCursors`)
	add(profile, `profile`)
	add(server, `listDatabases serverStatus hostInfo top currentOp killOp killSessions killAllSessions killAllSessionsByPattern
		getCmdLineOpts getParameter setParameter getLog shutdown fsync fsyncUnlock logRotate lockInfo connPoolStats
		shardConnPoolStats replSetGetStatus replSetGetConfig replSetStepDown replSetFreeze replSetReconfig replSetInitiate
		replSetMaintenance replSetResizeOplog replSetSyncFrom replSetStepUp replSetAbortPrimaryCatchUp replSetGetRBID
		getDefaultRWConcern setDefaultRWConcern getClusterParameter setClusterParameter setFeatureCompatibilityVersion
		getAuditConfig setAuditConfig logApplicationMessage rotateCertificates dropConnections invalidateUserCache
		getFreeMonitoringStatus setFreeMonitoring isdbgrid features appendOplogNote autoCompact setQuerySettings
		removeQuerySettings setUserWriteBlockMode setProfilingFilterGlobally netstat listShards addShard removeShard
		balancerStart balancerStop balancerStatus addShardToZone removeShardFromZone getShardMap flushRouterConfig
		transitionFromDedicatedConfigServer transitionToDedicatedConfigServer`)
	add(namespace, `shardCollection reshardCollection refineCollectionShardKey unshardCollection moveCollection moveChunk moveRange
		mergeChunks split splitVector clearJumboFlag cleanupOrphaned balancerCollectionStatus configureQueryAnalyzer
		analyzeShardKey checkMetadataConsistency updateZoneKeyRange commitReshardCollection abortReshardCollection
		setAllowMigrations getShardVersion dataSize datasize`)
	add(databaseValue, `enableSharding movePrimary`)
	add(rename, `renameCollection`)
	add(piped, `aggregate create collMod`)
	add(mapReduce, `mapReduce mapreduce`)
	add(bulkWrite, `bulkWrite`)
	add(account, `createUser updateUser grantRolesToUser revokeRolesFromUser createRole updateRole grantRolesToRole
		revokeRolesFromRole grantPrivilegesToRole revokePrivilegesFromRole usersInfo rolesInfo`)
	return all
}

// isLogin tells the commands by which a connection changes who it is.
func isLogin(name []byte) bool {
	switch string(name) {
	case "authenticate", "saslStart", "saslContinue", "logout", "getnonce", "copydbgetnonce", "copydbsaslstart":
		return true
	}
	return false
}

// command adds the databases of a command that is sent to the database db.
func (n *names) command(body mongowire.Document, m *mongowire.Msg, db string) {
	c := call{body: body, msg: m, db: db}
	for e := range body.Elements() {
		c.value = e
		break
	}
	r, ok := rules[string(c.value.Key)]
	switch {
	case ok && c.value.Type == mongowire.Binary:
		n.fail(fault.BadParameter, "the command %q has a UUID in place of a collection's name, which does not say in which database that is; write the name", cutOff(c.value.Key))
		n.add(db)
	case ok:
		r(n, c)
	case string(c.value.Key) == "explain" && m != nil:
		explain(n, c)
	case n.err == nil:
		n.err = withCode(codeNotFound, fault.AccessDenied, "the command %q is not known to this system, which cannot say which databases it touches, so it is not passed on; see docs/databases/mongodb.md", cutOff(c.value.Key))
		n.add(db)
	}
}

// free touches no database: it is about the connection, or about sessions and transactions of the user's own.
func free(*names, call) {}

// own touches no other database than the one it is sent to.
func own(n *names, c call) { n.add(c.db) }

// write changes documents, but not those that are views: create and collMod make views, and are looked into.
func write(n *names, c call) {
	own(n, c)
	text, _ := c.value.Text()
	n.noViews(text)
}

func (n *names) noViews(collection []byte) {
	if string(collection) == "system.views" {
		n.fail(fault.AccessDenied, "views are not written into system.views, where nobody would look which databases they read; use create and collMod")
	}
}

// server is about the whole server.
func server(n *names, c call) {
	n.wholeServer(c.value.Key)
	n.add(c.db)
}

// cursor goes on with the answer to a command that was checked. That of bulkWrite is in no database.
func cursor(n *names, c call) {
	collection := c.value
	if string(collection.Key) == "getMore" {
		collection, _ = c.body.Find("collection")
	}
	text, ok := collection.Text()
	if !ok {
		n.fail(fault.BadParameter, "the value of %q is not the name of a collection", cutOff(collection.Key))
	}
	if c.db == admin && string(text) == "$cmd.bulkWrite" {
		return
	}
	own(n, c)
}

// profile is about its database, apart from fields that hold for all of them.
func profile(n *names, c call) {
	own(n, c)
	for _, field := range []string{"slowms", "sampleRate", "filter"} {
		each(c.body, field, func(mongowire.Element) { n.wholeServer(n.name) })
	}
}

// namespace has database.collection as its value.
func namespace(n *names, c call) {
	own(n, c)
	n.addNamespace(c.value)
	for e := range c.body.Elements() {
		switch string(e.Key) {
		case "to", "toShard":
		case "ns", "namespace":
			n.addNamespace(e)
		}
	}
}

func databaseValue(n *names, c call) {
	own(n, c)
	n.addText(c.value)
}

// rename moves a collection, perhaps to another database. It is always sent to admin, and touches nothing there.
func rename(n *names, c call) {
	n.addNamespace(c.value)
	if !each(c.body, "to", n.addNamespace) {
		n.fail(fault.BadParameter, "renameCollection does not say to what")
	}
}

// explain has a command as its value.
func explain(n *names, c call) {
	inner, ok := c.value.Document()
	if !ok {
		n.fail(fault.BadParameter, "the value of explain is not a command")
		return
	}
	if name, ok := commandName(inner); ok && isLogin(name) {
		n.mask(c.body)
	}
	db := c.db
	for e := range inner.Elements() {
		if isForServers(e.Key) {
			n.fail(fault.AccessDenied, forServers, cutOff(e.Key))
		}
		if string(e.Key) == "$db" {
			n.addText(e)
			text, _ := e.Text()
			db = string(text)
		}
	}
	own(n, c)
	n.command(inner, nil, db)
}

// piped has a pipeline, or may define a view by one.
func piped(n *names, c call) {
	own(n, c)
	each(c.body, "pipeline", func(e mongowire.Element) { n.pipeline(e, c.db) })
}

// mapReduce may write its result to another database.
func mapReduce(n *names, c call) {
	own(n, c)
	each(c.body, "out", func(e mongowire.Element) {
		if d, ok := e.Document(); ok {
			each(d, "db", n.addText)
		}
	})
}

// bulkWrite names its collections in nsInfo. It is always sent to admin, and touches nothing there.
func bulkWrite(n *names, c call) {
	found := false
	info := func(d mongowire.Document) {
		found = each(d, "ns", func(e mongowire.Element) {
			n.addNamespace(e)
			text, _ := e.Text()
			_, collection, _ := bytes.Cut(text, []byte("."))
			n.noViews(collection)
		}) || found
	}
	each(c.body, "nsInfo", func(e mongowire.Element) {
		list, ok := e.Array()
		if !ok {
			n.fail(fault.BadParameter, "nsInfo is not a list")
			return
		}
		for e := range list.Elements() {
			if d, ok := e.Document(); ok {
				info(d)
			}
		}
	})
	if c.msg != nil {
		for _, s := range c.msg.Sequences {
			if string(s.Name) == "nsInfo" {
				s.Each(info)
			}
		}
	}
	if !found {
		n.fail(fault.BadParameter, "bulkWrite names no collection in nsInfo")
	}
}

// account manages accounts and roles, whose rights may be in other databases.
func account(n *names, c call) {
	own(n, c)
	for e := range c.body.Elements() {
		switch string(e.Key) {
		case "customData", "comment": // whatever the user likes
		default:
			n.databasesIn(e)
		}
	}
}

// databasesIn adds what is called db in a value, at any depth: of roles {role, db}, of privileges {resource: {db,
// collection}}, and of users {user, db}. One that means all databases, as a resource without any does, needs a grant on
// admin.
func (n *names) databasesIn(e mongowire.Element) {
	switch string(e.Key) {
	case "db":
		if text, ok := e.Text(); ok && len(text) == 0 {
			n.wholeServer(n.name)
		} else {
			n.addText(e)
		}
	case "resource":
		if d, ok := e.Document(); !ok || !each(d, "db", func(mongowire.Element) {}) {
			n.wholeServer(n.name)
		}
	case "cluster", "anyResource", "forAllDBs":
		n.wholeServer(n.name)
	}
	if e.Type == mongowire.Embedded || e.Type == mongowire.Array {
		for e := range mongowire.Document(e.Data).Elements() {
			n.databasesIn(e)
		}
	}
}
