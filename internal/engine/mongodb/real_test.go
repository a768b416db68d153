package mongodb_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/mongoserver"
	"sallyport/internal/realserver"
)

func TestMain(m *testing.M) { realserver.Main(m) }

// front starts an agent before FerretDB, whose clients come for the account app and the database orders.
func front(t testing.TB, change ...func(*enginetest.Config)) *enginetest.Agent {
	t.Helper()
	server := mongoserver.Start(t, mongoserver.Options{})
	return startAgent(t, server.Addr, server.DatabaseCA, server.ClientCertificate, change)
}

// connect returns a client of MongoDB's own driver.
func connect(t testing.TB, address string, change ...func(*options.ClientOptions)) *mongo.Client {
	t.Helper()
	o := options.Client().ApplyURI("mongodb://" + address + "/?directConnection=true").SetServerSelectionTimeout(enginetest.Patience).SetAppName("tests")
	for _, change := range change {
		change(o)
	}
	client, err := mongo.Connect(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), enginetest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// recorded returns the events of the types of all visits of an agent.
func recorded(agent *enginetest.Agent, types ...string) []enginetest.Event {
	var events []enginetest.Event
	for _, v := range agent.Visits() {
		events = append(events, v.Journal.Events(types...)...)
	}
	return events
}

// TestDriver has MongoDB's own driver write and read through the engine.
func TestDriver(t *testing.T) {
	t.Parallel()
	agent := front(t)
	client := connect(t, agent.Addr())
	c := client.Database("orders").Collection("items")
	var docs []any
	for i := range 250 {
		docs = append(docs, bson.D{{Key: "_id", Value: i}, {Key: "name", Value: fmt.Sprint("item ", i)}})
	}
	if res, err := c.InsertMany(patience(t), docs); err != nil || len(res.InsertedIDs) != 250 {
		t.Fatalf("inserted %v, %v", res, err)
	}
	var one struct{ Name string }
	if err := c.FindOne(patience(t), bson.D{{Key: "_id", Value: 17}}).Decode(&one); err != nil || one.Name != "item 17" {
		t.Fatalf("found %q, %v", one.Name, err)
	}
	cursor, err := c.Find(patience(t), bson.D{}, options.Find().SetBatchSize(100))
	if err != nil {
		t.Fatal(err)
	}
	var all []bson.M
	if err := cursor.All(patience(t), &all); err != nil || len(all) != 250 {
		t.Fatalf("%d documents, %v", len(all), err)
	}
	if res, err := c.UpdateMany(patience(t), bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: 10}}}}, bson.D{{Key: "$set", Value: bson.D{{Key: "seen", Value: true}}}}); err != nil || res.ModifiedCount != 10 {
		t.Fatalf("updated %v, %v", res, err)
	}
	if _, err := c.InsertOne(patience(t), bson.D{{Key: "_id", Value: 17}}); !mongo.IsDuplicateKeyError(err) {
		t.Fatalf("a second one: %v", err)
	}
	if err := client.Disconnect(patience(t)); err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][]int64)
	failed := 0
	names := make(map[int64]string)
	for _, v := range agent.Visits() {
		if err := v.Wait(t); err != nil {
			t.Errorf("a session ended with %v", err)
		}
		clear(names)
		for _, e := range v.Journal.Events("db.session.query", "db.session.result") {
			if e.Type == "db.session.query" {
				var command bson.D
				if err := bson.UnmarshalExtJSON([]byte(e.Text("db_query")), false, &command); err != nil {
					t.Fatalf("%q: %v", e.Text("db_query"), err)
				}
				names[e.Number("ei")] = command[0].Key
				continue
			}
			name := names[e.Number("statement_ei")]
			if !e.Flag("success") && name != "endSessions" { // which FerretDB does not have
				failed++
			}
			rows[name] = append(rows[name], e.Number("affected_records"))
		}
	}
	want := map[string][]int64{"insert": {250, 0}, "find": {1, 100}, "getMore": {100, 50}, "update": {10}}
	for name, counts := range want {
		if !slices.Equal(rows[name], counts) {
			t.Errorf("%s: recorded %v, want %v", name, rows[name], counts)
		}
	}
	if failed != 1 {
		t.Errorf("%d commands failed", failed)
	}
	if start := recorded(agent, "db.session.start"); len(start) == 0 || start[0].Text("user_agent") == "" {
		t.Errorf("start: %v", start)
	}
}

// TestDatabasesOfCommands has the rules allow one database, in which a client can work, and no other.
func TestDatabasesOfCommands(t *testing.T) {
	t.Parallel()
	agent := front(t, func(c *enginetest.Config) {
		c.Roles = []string{ordersOnly}
	})
	client := connect(t, agent.Addr())
	if err := client.Ping(patience(t), nil); err != nil {
		t.Fatalf("ping, which is sent to admin: %v", err)
	}
	if _, err := client.Database("orders").Collection("items").InsertOne(patience(t), bson.D{{Key: "a", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	_, err := client.Database("secret").Collection("items").InsertOne(patience(t), bson.D{{Key: "a", Value: 1}})
	var refused mongo.CommandError
	if command, ok := err.(mongo.CommandError); ok {
		refused = command
	}
	if refused.Code != 13 || refused.Name != "Unauthorized" {
		t.Fatalf("another database: %v", err)
	}
	if _, err := client.ListDatabaseNames(patience(t), bson.D{}); err == nil {
		t.Fatal("all databases are listed")
	}
	if err := client.Disconnect(patience(t)); err != nil {
		t.Fatal(err)
	}
	denied := recorded(agent, "db.session.query.failed")
	if len(denied) != 2 || denied[0].Text("db_name") != "secret" || denied[0].Code != "TDB02W" || denied[1].Text("db_name") != "admin" {
		t.Errorf("denied: %v", denied)
	}
	for _, e := range recorded(agent, "db.session.end") {
		if e.Text("db_name") != "orders" {
			t.Errorf("end: %v", e.Fields)
		}
	}
}
