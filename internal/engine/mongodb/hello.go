package mongodb

import (
	"math"

	"sallyport/internal/mongowire"
)

// isHello tells the commands by which a client learns what a server is.
func isHello(name []byte) bool {
	switch string(name) {
	case "hello", "isMaster", "ismaster":
		return true
	}
	return false
}

// helloFields are those of a hello that are passed on. Left out are offers of compression, logins within hello, whatever a
// server says to a server, and comments, because a hello is not recorded.
var helloFields = map[string]bool{
	"hello": true, "isMaster": true, "ismaster": true, "helloOk": true, "client": true, "topologyVersion": true, "maxAwaitTimeMS": true,
	"apiVersion": true, "apiStrict": true, "apiDeprecationErrors": true, "$clusterTime": true, "lsid": true,
}

// helloRequest makes the hello that the database gets.
func helloRequest(body mongowire.Document) mongowire.Document {
	var d mongowire.Builder
	for e := range body.Elements() {
		if helloFields[string(e.Key)] {
			d.Element(e)
		}
	}
	return d.Text("$db", admin).Build()
}

// replyFields are those of an answer that are passed on as they are (MongoDB documentation, "hello"). Left out are other
// addresses of the set, and whatever would have the client agree on something.
var replyFields = map[string]bool{
	"ok": true, "errmsg": true, "code": true, "codeName": true, "errorLabels": true, "helloOk": true, "isWritablePrimary": true, "ismaster": true,
	"topologyVersion": true, "maxWriteBatchSize": true, "localTime": true, "logicalSessionTimeoutMinutes": true, "connectionId": true,
	"minWireVersion": true, "maxWireVersion": true, "readOnly": true, "msg": true, "isreplicaset": true, "setName": true, "setVersion": true,
	"secondary": true, "passive": true, "hidden": true, "arbiterOnly": true, "tags": true, "electionId": true, "lastWrite": true,
	"isImplicitDefaultMajorityWC": true, "operationTime": true, "$clusterTime": true,
}

// instead of the hosts of a replica set stands what a client has to do: it would try to reach them past the agent.
const useDirect = "add-directConnection-true-to-the-connection-string.invalid:27017"

// helloReply makes the answer that the client gets. The database's inner addresses stay inside, and nothing is agreed on
// that commands could not be read with afterwards.
func helloReply(body mongowire.Document) mongowire.Document {
	var d mongowire.Builder
	for e := range body.Elements() {
		switch string(e.Key) {
		case "hosts":
			var list mongowire.Builder
			d.Array("hosts", list.Text("0", useDirect).Build())
		case "maxMessageSizeBytes":
			n, _ := e.Number()
			d.Int32("maxMessageSizeBytes", int32(min(n, mongowire.MaxMessage)))
		case "maxBsonObjectSize":
			n, _ := e.Number()
			d.Int32("maxBsonObjectSize", int32(min(n, math.MaxInt32)))
		default:
			if replyFields[string(e.Key)] {
				d.Element(e)
			}
		}
	}
	return d.Build()
}

// unwrap takes a command out of the envelope in which old clients send it with a read preference.
func unwrap(d mongowire.Document) mongowire.Document {
	if e, ok := d.Find("$query"); ok {
		if inner, ok := e.Document(); ok {
			return inner
		}
	}
	return d
}

// clientOf returns what a client says it is in its first hello: application, driver and version.
func clientOf(hello mongowire.Document) string {
	e, ok := hello.Find("client")
	if !ok {
		return ""
	}
	about, ok := e.Document()
	if !ok {
		return ""
	}
	text := func(group, key string) string {
		e, _ := about.Find(group)
		if d, ok := e.Document(); ok {
			e, _ = d.Find(key)
			text, _ := e.Text()
			return string(text[:min(len(text), 128)])
		}
		return ""
	}
	agent := text("driver", "name")
	if version := text("driver", "version"); version != "" {
		agent += " " + version
	}
	if name := text("application", "name"); name != "" {
		agent = name + " (" + agent + ")"
	}
	return agent
}
