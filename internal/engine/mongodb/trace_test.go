package mongodb_test

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/mongowire"
)

var update = flag.Bool("update", false, "write the files below testdata anew")

// TestTrace compares a login, some commands and a refusal, as they are on both sides of the engine, with the file below
// testdata.
func TestTrace(t *testing.T) {
	t.Parallel()
	var client, server bytes.Buffer
	agent, small := small(t, mongotest.Options{Trace: &server, Hello: func(d bson.D) bson.D {
		return append(bson.D{e("compression", bson.A{"zlib"}), e("setName", "rs0"), e("hosts", bson.A{"inner:27017"})}, d...)
	}}, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	c := connectRaw(t, agent)
	for _, command := range []bson.D{
		hello(e("helloOk", true), e("compression", bson.A{"zlib"}), e("client", d(e("driver", d(e("name", "trace"), e("version", "1")))))),
		in("orders", e("insert", "items"), e("documents", bson.A{d(e("_id", 1))})),
		in("secret", e("find", "items")),
		in("admin", e("endSessions", bson.A{})),
	} {
		fmt.Fprintf(&client, "C %s\n", mongowire.AppendJSON(nil, marshal(t, command)))
		reply, _ := c.run(patience(t), command)
		fmt.Fprintf(&client, "S %s\n", mongowire.AppendJSON(nil, mongowire.Document(reply)))
	}
	v := leave(t, agent, c)
	small.Stop()
	var got strings.Builder
	fmt.Fprintf(&got, "client and engine\n%s\nengine and database\n%s\nrecorded\n", client.String(), server.String())
	for _, event := range v.Journal.Events() {
		fmt.Fprintf(&got, "%s %s %s\n", event.Code, event.Type, event.Text("db_query"))
	}
	enginetest.Golden(t, "login_and_commands.txt", got.String(), *update)
}
