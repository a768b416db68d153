package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/realserver"
	"sallyport/internal/redisserver"
	"sallyport/internal/resource"
)

// redisDatabase returns a database resource for a server.
func redisDatabase(t *testing.T, name, uri string, authority []byte) *resource.Database {
	t.Helper()
	db := clustertest.Database(t, name, strings.TrimPrefix(uri, "rediss://"), map[string]string{"env": "dev"})
	db.Spec.Protocol, db.Spec.URI, db.Spec.TLS.CACert = resource.ProtocolRedis, uri, string(authority)
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

// redisClient returns a client with a certificate for the database and the account, straight to the proxy.
func redisClient(t *testing.T, c *clustertest.Cluster, who *client.Credentials, service, account string, change ...func(*goredis.Options)) *goredis.Client {
	t.Helper()
	var login *client.Credentials
	clustertest.Eventually(t, "the database is served", func() (err error) {
		login, err = databaseLogin(t, c, who, service, account, "")
		return err
	})
	config, err := login.DatabaseTLS()
	if err != nil {
		t.Fatal(err)
	}
	options := &goredis.Options{Addr: c.Proxy, TLSConfig: config, MaxRetries: -1, PoolSize: 1, DisableIdentity: true,
		DialTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second} // the usual ones have no patience with a busy machine
	options.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return clustertest.NewDialer().To(c.Proxy)(ctx, config)
	}
	for _, change := range change {
		change(options)
	}
	r := goredis.NewClient(options)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// eventuallyPing waits until the agent has its certificate and serves.
func eventuallyPing(t *testing.T, r *goredis.Client) {
	t.Helper()
	clustertest.Eventually(t, "the database answers", func() error { return r.Ping(t.Context()).Err() })
}

func TestRedisThroughAnAgent(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	server := redisserver.Start(t, redisserver.Options{
		Users:        []string{"app on >secret ~* +@all"},
		Certificates: realserver.Certificates{ClientCA: clientAuthority(t, c)},
	})
	c.Apply(t, strings.Replace(dbRole, "db_users: ['*']", "db_users: [default, app]", 1))
	c.StartAgent(t, nil, redisDatabase(t, "cache", "rediss://"+server.Addr, server.DatabaseCA.CertPEM()))
	alice := c.User(t, "alice", "db")

	r := redisClient(t, c, alice, "cache", "default")
	eventuallyPing(t, r)
	if err := r.Set(t.Context(), "greeting", "hello world", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Get(t.Context(), "greeting").Result(); err != nil || v != "hello world" {
		t.Fatalf("%q, %v", v, err)
	}
	if err := r.ConfigSet(t.Context(), "maxmemory", "1gb").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM CONFIG SET concerns the server") {
		t.Errorf("CONFIG SET: %v", err)
	}
	app := redisClient(t, c, alice, "cache", "app", func(o *goredis.Options) { o.Username, o.Password = "app", "secret" })
	if who, err := app.Do(t.Context(), "ACL", "WHOAMI").Text(); err != nil || who != "app" {
		t.Errorf("%q, %v", who, err)
	}
	root := redisClient(t, c, alice, "cache", "admin", func(o *goredis.Options) { o.Username, o.Password = "admin", "admin" })
	if err := root.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "access to db denied. User does not have permissions.") {
		t.Errorf("an account that is not allowed: %v", err)
	}
	for _, client := range []*goredis.Client{r, app} {
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	clustertest.Eventually(t, "the sessions are in the log", func() error {
		if n := len(c.Events(t, []string{"db.session.end"}, `"db_protocol":"redis"`)); n < 2 {
			return fmt.Errorf("%d end events", n)
		}
		if len(c.Events(t, []string{"db.session.start"}, `"code":"TDB00W"`, `"db_user":"admin"`)) == 0 {
			return errors.New("no refusal")
		}
		return nil
	})
	if got := c.Events(t, []string{"db.session.query"}, `"db_query":"set greeting \"hello world\""`); len(got) != 1 {
		t.Errorf("recorded %q", got)
	}
	if got := c.Events(t, []string{"db.session.query.failed"}, `config set maxmemory 1gb`); len(got) != 1 {
		t.Errorf("recorded %q", got)
	}
	if got := c.Events(t, nil, "secret"); len(got) != 0 {
		t.Errorf("the password is in %q", got)
	}
}
