package clustertest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
	"sallyport/internal/clustertest"
	"sallyport/internal/mongoserver"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
)

// mongoScene is a cluster with an agent that serves a FerretDB as "items", and two users of it.
type mongoScene struct {
	*clustertest.Cluster
	server     *mongoserver.Server
	alice, bob *client.Credentials
}

func newMongoScene(t *testing.T) *mongoScene {
	t.Helper()
	c := clustertest.Start(t, clustertest.Options{})
	s := &mongoScene{Cluster: c, server: mongoserver.Start(t, mongoserver.Options{Accounts: []string{"app"}, Certificates: realserver.Certificates{ClientCA: clientAuthority(t, c)}})}
	db := clustertest.Database(t, "items", s.server.Addr, map[string]string{"env": "dev"})
	db.Spec.Protocol, db.Spec.TLS.CACert = resource.ProtocolMongoDB, string(s.server.DatabaseCA.CertPEM())
	c.Apply(t, strings.NewReplacer("db_names: ['*']", "db_names: [shop]", "db_users: ['*']", "db_users: [app]").Replace(dbRole))
	c.StartAgent(t, nil, db)
	s.alice, s.bob = c.User(t, "alice", "db"), c.User(t, "bob", "db")
	return s
}

// login returns a certificate for the database, once it is served.
func (s *mongoScene) login(t *testing.T, who *client.Credentials, user, name string) (login *client.Credentials) {
	t.Helper()
	clustertest.Eventually(t, "a login to the database", func() (err error) {
		login, err = databaseLogin(t, s.Cluster, who, "items", user, name)
		return err
	})
	return login
}

// driver returns a client of MongoDB's own driver, which reaches the proxy by its own TLS.
func (s *mongoScene) driver(t *testing.T, who *client.Credentials, user, name string) *mongo.Client {
	t.Helper()
	config, err := s.login(t, who, user, name).DatabaseTLS()
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = nil // a driver offers none
	return connectMongo(t, options.Client().ApplyURI("mongodb://"+config.ServerName+":1/?directConnection=true").SetTLSConfig(config).SetDialer(toProxy(s.Proxy)))
}

func connectMongo(t *testing.T, o *options.ClientOptions) *mongo.Client {
	t.Helper()
	c, err := mongo.Connect(o.SetServerSelectionTimeout(3 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	return c
}

func TestMongoDBThroughAnAgent(t *testing.T) {
	t.Parallel()
	s := newMongoScene(t)
	native := s.driver(t, s.alice, "app", "shop")
	clustertest.Eventually(t, "alice is served", func() error { return native.Ping(t.Context(), nil) })
	if _, err := native.Database("shop").Collection("items").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "native"}}); err != nil {
		t.Fatal(err)
	}

	login := s.login(t, s.alice, "app", "shop")
	listener, err := localproxy.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	local := localproxy.New(localproxy.Config{
		Dial: clustertest.NewDialer().To(s.Proxy), Protocol: "mongodb", TLS: func(context.Context) (*tls.Config, error) { return login.DatabaseTLS() }, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- local.Serve(ctx, listener) }()
	t.Cleanup(func() { stop(); <-served })
	tunnel := connectMongo(t, options.Client().ApplyURI("mongodb://"+listener.Addr().String()+"/?directConnection=true"))
	clustertest.Eventually(t, "alice is served by way of the tunnel", func() error { return tunnel.Ping(t.Context(), nil) })
	var found bson.M
	if err := tunnel.Database("shop").Collection("items").FindOne(t.Context(), bson.D{{Key: "_id", Value: "native"}}).Decode(&found); err != nil {
		t.Fatal(err)
	}

	if _, err := tunnel.Database("other").Collection("items").InsertOne(t.Context(), bson.D{}); err == nil || !strings.Contains(err.Error(), "access to db denied") {
		t.Errorf("another database: %v", err)
	}
	for _, c := range []*mongo.Client{native, tunnel} {
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	}
	clustertest.Eventually(t, "the sessions are in the log", func() error {
		starts, ends := s.Events(t, []string{"db.session.start"}, `"db_protocol":"mongodb"`), s.Events(t, []string{"db.session.end"}, `"db_protocol":"mongodb"`)
		if len(starts) == 0 || len(starts) != len(ends) {
			return fmt.Errorf("%d starts, %d ends", len(starts), len(ends))
		}
		return nil
	})
	if inserts := s.Events(t, []string{"db.session.query"}, `"db_name":"shop"`, `{\"insert\":\"items\"`, `\"_id\":\"native\"`); len(inserts) != 1 {
		t.Errorf("inserts: %s", inserts)
	}
	if denied := s.Events(t, []string{"db.session.query.failed"}, `"db_name":"other"`, `"code":"TDB02W"`); len(denied) != 1 {
		t.Errorf("denied: %s", denied)
	}
}

func TestDeniedUserOfMongoDBReadsTheReason(t *testing.T) {
	t.Parallel()
	s := newMongoScene(t)
	clustertest.Eventually(t, "alice is served", func() error { return s.driver(t, s.alice, "app", "shop").Ping(t.Context(), nil) })
	for name, c := range map[string]*mongo.Client{
		"another account":  s.driver(t, s.bob, "root", "shop"),
		"another database": s.driver(t, s.bob, "app", "other"),
	} {
		clustertest.Eventually(t, name+": the reason is read", func() error { // by a busy machine not as long as the driver waits
			err := c.Ping(t.Context(), nil)
			if err == nil {
				t.Fatalf("%s: it is served", name)
			}
			if !strings.Contains(err.Error(), "access to db denied") {
				return err
			}
			return nil
		})
	}
	for _, account := range []string{"root", "app"} {
		clustertest.Eventually(t, "the refusal is in the log", func() error {
			if len(s.Events(t, []string{"db.session.start"}, `"code":"TDB00W"`, `"user":"bob"`, `"db_user":"`+account+`"`)) == 0 {
				return errors.New("no refusal of " + account)
			}
			return nil
		})
	}
}

// TestCheckOfMongoDB has the agent walk the way to the server.
func TestCheckOfMongoDB(t *testing.T) {
	t.Parallel()
	s := newMongoScene(t)
	for account, want := range map[string][]string{
		"app":    {"name PASSED 127.0.0.1", "issued by", `login PASSED as "app"`, `server PASSED version "7.`},
		"nobody": {"login FAILED the database refused the login: unable to authenticate using mechanism \"MONGODB-X509\": Authentication failed.", `createUser({user: "CN=nobody"`},
	} {
		clustertest.Eventually(t, "the way is walked as "+account, func() error {
			text, err := checkDatabase(t, s.Cluster, "items", account)
			for _, part := range want {
				if err == nil && !strings.Contains(text, part) {
					err = fmt.Errorf("the check lacks %q:\n%s", part, text)
				}
			}
			return err
		})
	}
}
