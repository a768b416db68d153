package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// mongoDB is FerretDB, and MongoDB's Go driver within this process.
type mongoDB struct{ w *world }

const (
	// FerretDB has an index of ids that its own queries do not use: it reads a collection up to the document. With few of
	// them that takes a fraction of a millisecond.
	mongoDocuments = 100
	mongoAtOnce    = "at_once" // in which the front before FerretDB answers every find by itself
	mongoLarge     = 1_000_000 // bytes of a large document
	mongoManyLarge = 100
)

func (m mongoDB) protocol() string { return "mongodb" }
func (m mongoDB) account() string  { return "bench" }
func (m mongoDB) name() string     { return "bench" }
func (m mongoDB) version() string  { return "FerretDB 1.24" }

func (m mongoDB) start(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(m.w.Root, "scripts/mongodb"), "start", m.w.Path("mongodb"), m.w.port,
		m.w.Path("spread.crt"), m.w.Path("spread.key"), m.w.Path("trusted.cas"), m.account()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("starting FerretDB: %w: %s", err, out)
	}
	return nil
}

func (m mongoDB) stop() {
	_ = exec.Command(filepath.Join(m.w.Root, "scripts/mongodb"), "stop", m.w.Path("mongodb")).Run()
}

func (m mongoDB) direct() string {
	return fmt.Sprintf("mongodb://localhost:%s/?directConnection=true&tls=true&tlsCAFile=%s&tlsCertificateKeyFile=%s&authMechanism=MONGODB-X509&authSource=$external",
		m.w.port, m.w.Path("db-ca.pem"), m.w.Path("direct.pem"))
}

func (m mongoDB) local(d deployment) string {
	return "mongodb://127.0.0.1:" + d.local + "/?directConnection=true"
}

func (m mongoDB) connect(way way, connections int) (*mongo.Client, error) {
	return mongo.Connect(options.Client().ApplyURI(way.dsn).SetMaxPoolSize(uint64(connections)).SetMinPoolSize(uint64(connections)))
}

// prepare fills the database.
func (m mongoDB) prepare(ctx context.Context, _ settings) error {
	var pem []byte
	for _, name := range []string{"direct.crt", "direct.key"} {
		content, err := os.ReadFile(m.w.Path(name))
		if err != nil {
			return err
		}
		pem = append(pem, content...)
	}
	if err := os.WriteFile(m.w.Path("direct.pem"), pem, 0o600); err != nil {
		return err
	}
	client, err := m.connect(way{dsn: m.direct()}, 1)
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)
	var small []any
	for i := range mongoDocuments {
		small = append(small, bson.D{{Key: "_id", Value: mongoID(i)}, {Key: "name", Value: fmt.Sprint("item ", i)}, {Key: "total", Value: float64(i) / 4}, {Key: "tags", Value: bson.A{"a", "b"}}})
	}
	if _, err := client.Database(m.name()).Collection("items").InsertMany(ctx, small); err != nil {
		return fmt.Errorf("filling the database: %w", err)
	}
	for i := range mongoManyLarge {
		if _, err := client.Database(m.name()).Collection("large").InsertOne(ctx, bson.D{{Key: "_id", Value: i}, {Key: "v", Value: make([]byte, mongoLarge)}}); err != nil {
			return fmt.Errorf("filling the database: %w", err)
		}
	}
	return nil
}

// mongoID returns an id of a kind by which FerretDB has SQLite search; numbers it compares itself.
func mongoID(n int) string { return fmt.Sprintf("item-%06d", n) }

func (m mongoDB) tests(s settings) []test {
	return []test{
		{name: "MongoDB find by id, 1 connection", unit: "commands/s", measure: m.find(s, "items", 1)},
		{name: "MongoDB find by id, 8 connections", unit: "commands/s", measure: m.find(s, "items", 8)},
		{name: "MongoDB find answered at once, 1 connection", unit: "commands/s", measure: m.find(s, mongoAtOnce, 1)},
		{name: "MongoDB find answered at once, 8 connections", unit: "commands/s", measure: m.find(s, mongoAtOnce, 8)},
		{name: "MongoDB 100 MB of documents", unit: "MB/s", measure: m.large},
	}
}

func (m mongoDB) find(s settings, collection string, connections int) func(context.Context, way) (float64, error) {
	return func(ctx context.Context, way way) (float64, error) {
		client, err := m.connect(way, connections)
		if err != nil {
			return 0, err
		}
		defer client.Disconnect(ctx)
		items := client.Database(m.name()).Collection(collection)
		counts, failures := make([]int, connections), make([]error, connections)
		var working sync.WaitGroup
		began := time.Now()
		for i := range connections {
			working.Go(func() {
				for n := i; time.Since(began) < s.length && ctx.Err() == nil; n += connections {
					if failures[i] = items.FindOne(ctx, bson.D{{Key: "_id", Value: mongoID(n % mongoDocuments)}}).Err(); failures[i] != nil {
						return
					}
					counts[i]++
				}
			})
		}
		working.Wait()
		total := 0
		for i := range connections {
			if failures[i] != nil {
				return 0, failures[i]
			}
			total += counts[i]
		}
		return float64(total) / time.Since(began).Seconds(), nil
	}
}

func (m mongoDB) large(ctx context.Context, way way) (float64, error) {
	client, err := m.connect(way, 1)
	if err != nil {
		return 0, err
	}
	defer client.Disconnect(ctx)
	began := time.Now()
	cursor, err := client.Database(m.name()).Collection("large").Find(ctx, bson.D{}, options.Find().SetBatchSize(15))
	if err != nil {
		return 0, err
	}
	bytes := 0
	for cursor.Next(ctx) {
		bytes += len(cursor.Current)
	}
	if err := cursor.Err(); err != nil || bytes < mongoManyLarge*mongoLarge {
		return 0, fmt.Errorf("read %d bytes: %w", bytes, err)
	}
	return float64(bytes) / 1e6 / time.Since(began).Seconds(), nil
}
