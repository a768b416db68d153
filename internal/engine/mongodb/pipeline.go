package mongodb

import (
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// plainStages touch no collection but the one they are given (MongoDB documentation, "Aggregation Stages").
var plainStages = makeSet(`$addFields $bucket $bucketAuto $changeStreamSplitLargeEvent $collStats $count $densify $documents $fill
	$geoNear $group $indexStats $limit $listSearchIndexes $match $planCacheStats $project $redact $replaceRoot $replaceWith
	$sample $search $searchMeta $set $setWindowFields $skip $sort $sortByCount $unset $unwind $vectorSearch`)

// serverStages show what others do, or what is in all databases.
var serverStages = makeSet(`$currentOp $listLocalSessions $listSampledQueries $listSessions $querySettings $queryStats
	$shardedDataDistribution`)

func makeSet(words string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// pipeline adds the databases that the stages of a pipeline name, which runs in the database db.
func (n *names) pipeline(e mongowire.Element, db string) {
	list, ok := e.Array()
	if !ok {
		n.fail(fault.BadParameter, "a pipeline is not a list of stages")
		return
	}
	for e := range list.Elements() {
		stage, ok := e.Document()
		if !ok {
			n.fail(fault.BadParameter, "a stage of a pipeline is not a document")
			return
		}
		for e := range stage.Elements() {
			n.stage(e, db)
		}
	}
}

func (n *names) stage(e mongowire.Element, db string) {
	switch name := string(e.Key); name {
	case "$out":
		n.target(e, db)
	case "$merge":
		n.within(e, db, "into", "whenMatched")
	case "$lookup", "$graphLookup":
		n.within(e, db, "from", "pipeline")
	case "$unionWith":
		n.union(e, db)
	case "$facet":
		n.facets(e, db)
	case "$changeStream":
		n.changes(e)
	default:
		switch {
		case plainStages[name]:
		case serverStages[name]:
			n.wholeServer(e.Key)
		default:
			n.fail(fault.AccessDenied, "the stage %q is not known to this system, which cannot say which databases it touches, so the command is not passed on; see docs/databases/mongodb.md", cutOff(e.Key))
		}
	}
}

// target adds the database of a collection: named alone it is in db, otherwise it is {db, coll}.
func (n *names) target(e mongowire.Element, db string) {
	if _, ok := e.Text(); ok {
		n.add(db)
		return
	}
	d, ok := e.Document()
	if !ok {
		n.fail(fault.BadParameter, "%q names no collection", cutOff(e.Key))
		return
	}
	found := false
	for e := range d.Elements() {
		switch string(e.Key) {
		case "db":
			found = true
			n.addText(e)
		case "coll", "timeseries":
		default: // such as a bucket or another cluster
			n.fail(fault.AccessDenied, "the field %q of where a stage reads or writes is not known to this system, so the command is not passed on", cutOff(e.Key))
		}
	}
	if !found {
		n.add(db)
	}
}

// within adds the databases of a stage that has a collection and perhaps a pipeline in fields of its own.
func (n *names) within(e mongowire.Element, db, collection, pipeline string) {
	d, ok := e.Document()
	if !ok {
		n.target(e, db) // $merge: "collection"
		return
	}
	for e := range d.Elements() {
		switch string(e.Key) {
		case collection:
			n.target(e, db)
		case "db":
			n.addText(e)
		case pipeline:
			if _, ok := e.Text(); !ok || pipeline != "whenMatched" { // which may be a word
				n.pipeline(e, db)
			}
		}
	}
}

func (n *names) union(e mongowire.Element, db string) {
	d, ok := e.Document()
	if !ok {
		n.target(e, db)
		return
	}
	inner := db
	each(d, "db", func(e mongowire.Element) {
		n.addText(e)
		text, _ := e.Text()
		inner = string(text)
	})
	each(d, "pipeline", func(e mongowire.Element) { n.pipeline(e, inner) })
}

func (n *names) facets(e mongowire.Element, db string) {
	d, ok := e.Document()
	if !ok {
		n.fail(fault.BadParameter, "$facet is not a document")
		return
	}
	for e := range d.Elements() {
		n.pipeline(e, db)
	}
}

// changes refuses the stream of all databases at once, of which some may not be allowed.
func (n *names) changes(e mongowire.Element) {
	d, ok := e.Document()
	if !ok {
		n.fail(fault.BadParameter, "$changeStream is not a document")
		return
	}
	each(d, "allChangesForCluster", func(e mongowire.Element) {
		if e.Type != mongowire.Boolean || e.True() {
			n.fail(fault.AccessDenied, "a change stream of the whole cluster is not passed on, because it shows every database; watch one database instead")
		}
	})
}
