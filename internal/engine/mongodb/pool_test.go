package mongodb_test

import (
	"fmt"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// TestConnectionPool has many goroutines share a pool as applications and Compass keep one: connections that are opened beforehand, fewer
// of them than there are commands at a time.
func TestConnectionPool(t *testing.T) {
	t.Parallel()
	const least, most, workers, each = 3, 6, 24, 20
	agent := front(t)
	client := connect(t, agent.Addr(), func(o *options.ClientOptions) { o.SetMinPoolSize(least).SetMaxPoolSize(most) })
	c := client.Database("orders").Collection("items")
	if _, err := c.InsertOne(patience(t), bson.D{{Key: "_id", Value: -1}}); err != nil {
		t.Fatal(err)
	}
	ctx := patience(t)
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for i := range each {
				if err := c.FindOne(ctx, bson.D{{Key: "_id", Value: worker*each + i}}).Err(); err != mongo.ErrNoDocuments {
					t.Errorf("finding nothing: %v", err)
				}
			}
		})
	}
	all.Wait()
	if err := client.Disconnect(patience(t)); err != nil {
		t.Fatal(err)
	}
	asked := make(map[string]int) // how often each command is recorded
	pooled, outcomes := 0, 0
	for _, v := range agent.Visits() {
		if err := v.Wait(t); err != nil {
			t.Errorf("a session ended with %v", err)
		}
		names := make(map[int64]string)
		for _, e := range v.Journal.Events("db.session.query") {
			names[e.Number("ei")] = e.Text("db_query")
		}
		if len(names) > 0 {
			pooled++
		}
		for _, e := range v.Journal.Events("db.session.result") {
			text, ok := names[e.Number("statement_ei")]
			var command struct {
				Find   string
				Filter struct {
					ID int `bson:"_id"`
				}
			}
			if err := bson.UnmarshalExtJSON([]byte(text), false, &command); !ok || err != nil {
				t.Fatalf("the outcome of %q: %v", text, err)
			}
			if command.Find != "" {
				asked[fmt.Sprint(command.Filter.ID)]++
				outcomes++
			}
		}
	}
	if len(asked) != workers*each || outcomes != workers*each {
		t.Errorf("%d commands are recorded with %d outcomes, and there were %d", len(asked), outcomes, workers*each)
	}
	if pooled > most {
		t.Errorf("the commands came over %d connections", pooled)
	}
}
