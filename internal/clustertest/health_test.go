package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/mongoserver"
	"sallyport/internal/realserver"
	"sallyport/internal/redisserver"
	"sallyport/internal/resource"
)

// often has all databases checked every two seconds. A busy machine may be too slow for one check, and not for two in a row.
const often = `
kind: health_check_config
version: v1
metadata: {name: default}
spec: {match: {db_labels: {'*': '*'}}, interval: 2s, timeout: 2s, unhealthy_threshold: 2}
`

// servers returns what agents say of a database.
func servers(t *testing.T, c *clustertest.Cluster, name string) (all []*resource.DatabaseServer) {
	t.Helper()
	res, err := c.Admin.Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: resource.KindDatabaseServer})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range res.GetResources() {
		r, err := resource.Decode(resource.KindDatabaseServer, one.GetJson())
		if err != nil {
			t.Fatal(err)
		}
		if r.GetName() == name {
			all = append(all, r.(*resource.DatabaseServer))
		}
	}
	return all
}

// becomes waits until the only agent that serves a database finds it so.
func becomes(t *testing.T, c *clustertest.Cluster, name, status string) resource.TargetHealth {
	t.Helper()
	var health resource.TargetHealth
	clustertest.Eventually(t, name+" becomes "+status, func() error {
		all := servers(t, c, name)
		if len(all) != 1 || all[0].Status.TargetHealth.Status != status {
			return fmt.Errorf("agents say: %+v", all)
		}
		health = all[0].Status.TargetHealth
		return nil
	})
	return health
}

// TestADatabaseThatIsKilledAndStartedAgain follows it through the status, the log, what users see, and the metrics.
func TestADatabaseThatIsKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	s := &scene{Cluster: c, pg: startPostgres(t, c)}
	diag := clustertest.FreeAddr(t)
	s.Apply(t, dbRole+"---"+often)
	s.agent = s.StartAgent(t, func(cfg *config.Config) { cfg.DiagAddr = diag }, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	if h := becomes(t, c, "orders", resource.Healthy); h.Address != s.pg.Addr || h.Protocol != resource.HealthTLS || h.TransitionReason != resource.HealthThresholdReached {
		t.Errorf("healthy: %+v", h)
	}
	if events := s.Events(t, []string{"db.health"}); len(events) != 0 {
		t.Errorf("that a database is healthy at first is no event: %s", events)
	}
	works(t, s.session(t, "orders"))
	says(t, diag, "/metrics", `sallyport_db_health{protocol="postgres",status="healthy"} 1`)

	s.pg.Kill(t)
	h := becomes(t, c, "orders", resource.Unhealthy)
	if !strings.Contains(h.TransitionError, "cannot be reached from the agent") || h.Message != "2 checks in a row failed" || time.Since(*h.TransitionTimestamp) > time.Minute {
		t.Errorf("unhealthy: %+v", h)
	}
	says(t, diag, "/metrics", `sallyport_db_health{protocol="postgres",status="unhealthy"} 1`)
	if seen := visible(t, s, "orders"); seen != resource.Unhealthy {
		t.Errorf("alice sees %q", seen)
	}
	clustertest.Eventually(t, "further checks fail", func() error {
		if n := counted(t, diag, `sallyport_db_health_checks_total{protocol="postgres",result="failed"}`); n < 3 {
			return fmt.Errorf("%d did", n)
		}
		return nil
	})

	s.pg.Start(t)
	becomes(t, c, "orders", resource.Healthy)
	clustertest.Eventually(t, "users reach it again", func() error {
		_, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
		return err
	})
	clustertest.Eventually(t, "both changes are in the log, each once", func() error {
		down := s.Events(t, []string{"db.health"}, `"code":"SDB02W"`, `"db_service":"orders"`, `"health":"unhealthy","health_before":"healthy"`, `"check_address":"`+s.pg.Addr+`"`, "cannot be reached")
		up := s.Events(t, []string{"db.health"}, `"code":"SDB02I"`, `"health":"healthy","health_before":"unhealthy"`, `"success":true`)
		if all := s.Events(t, []string{"db.health"}); len(down) != 1 || len(up) != 1 || len(all) != 2 {
			return fmt.Errorf("%s", all)
		}
		return nil
	})
	for _, complaint := range []string{"incomplete startup packet", "could not accept SSL", "FATAL:  no "} {
		if log := s.pg.Log(t); strings.Contains(log, complaint) {
			t.Errorf("the database complains of the checks:\n%s", log)
		}
	}
	if n := counted(t, diag, `sallyport_db_health_checks_total{protocol="postgres",result="not_made"}`); n != 0 {
		t.Errorf("%d checks were not made", n)
	}
}

// visible returns the health that alice is shown.
func visible(t *testing.T, s *scene, name string) string {
	t.Helper()
	api := s.alice.API(clustertest.NewDialer(), s.Auth)
	defer api.Close()
	res, err := api.Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{Name: name})
	if err != nil || len(res.GetDatabases()) != 1 {
		t.Fatalf("alice sees %d databases, %v", len(res.GetDatabases()), err)
	}
	return res.GetDatabases()[0].GetHealth()
}

// counted returns the value of a metric.
func counted(t *testing.T, diag, metric string) int {
	t.Helper()
	found := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(metric) + " ([0-9]+)$").FindStringSubmatch(get(t, diag, "/metrics"))
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUsersAreLedToTheAgentThatReachesTheDatabase has two agents on different ways to one database, of which one is cut, then the
// other.
func TestUsersAreLedToTheAgentThatReachesTheDatabase(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	s := &scene{Cluster: c, pg: startPostgres(t, c)}
	s.Apply(t, dbRole+"---"+often)
	var ways [2]string
	var cut [2]func()
	for i := range ways {
		ways[i], cut[i] = startWay(t, clustertest.FreeAddr(t), s.pg.Addr)
		db := s.database(t, "orders")
		db.Spec.URI = ways[i]
		s.StartAgent(t, func(cfg *config.Config) { cfg.Nodename = fmt.Sprint("agent", i) }, db)
	}
	s.alice = s.User(t, "alice", "db")
	are := func(want ...string) {
		t.Helper()
		clustertest.Eventually(t, fmt.Sprint("the agents find it ", want), func() error {
			found := map[string]string{}
			for _, server := range servers(t, c, "orders") {
				found[server.Spec.Hostname] = server.Status.TargetHealth.Status
			}
			if found["agent0"] != want[0] || found["agent1"] != want[1] {
				return fmt.Errorf("%v", found)
			}
			return nil
		})
	}
	// inARow waits until the proxy has heard; by chance so many would not go well.
	inARow := func(when string) {
		t.Helper()
		clustertest.Eventually(t, when+" twenty sessions in a row", func() error {
			for range 20 {
				conn, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
				if err != nil {
					return err
				}
				if err := conn.Close(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	are(resource.Healthy, resource.Healthy)
	cut[0]()
	are(resource.Unhealthy, resource.Healthy)
	reachedByOne := func() {
		t.Helper()
		if seen := visible(t, s, "orders"); seen != resource.Healthy {
			t.Errorf("with one agent that reaches it alice sees %q", seen)
		}
	}
	reachedByOne()
	inARow("over the second way")
	_, again := startWay(t, ways[0], s.pg.Addr)
	defer again()
	are(resource.Healthy, resource.Healthy)
	cut[1]()
	are(resource.Healthy, resource.Unhealthy)
	reachedByOne()
	inARow("over the first way")
	again()
	are(resource.Unhealthy, resource.Unhealthy)
	if seen := visible(t, s, "orders"); seen != resource.Unhealthy {
		t.Errorf("with no agent that reaches it alice sees %q", seen)
	}
	// Users are led on all the same, and read why it does not work.
	if _, err := connect(t, s.Cluster, s.alice, "orders", "postgres", "postgres"); err == nil || !strings.Contains(err.Error(), "cannot be reached from the agent") {
		t.Errorf("without any way: %v", err)
	}
}

// startWay passes connections on from one address to another until it is cut.
func startWay(t *testing.T, from, to string) (address string, cut func()) {
	t.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		passOn(ctx, listener, to)
	}()
	cut = func() {
		_ = listener.Close()
		stop()
		<-done
	}
	t.Cleanup(cut)
	return listener.Addr().String(), cut
}

// TestChecksLeaveNoTrace has real servers checked many times and looks for what they have noticed.
func TestChecksLeaveNoTrace(t *testing.T) {
	t.Parallel()
	diag := clustertest.FreeAddr(t)
	c := clustertest.Start(t, clustertest.Options{})
	c.Apply(t, often)
	maria, shop := startMariaDB(t, c)
	authorities := realserver.Certificates{ClientCA: clientAuthority(t, c)}
	red := redisserver.Start(t, redisserver.Options{Certificates: authorities})
	mongo := mongoserver.Start(t, mongoserver.Options{Certificates: authorities})
	items := clustertest.Database(t, "items", mongo.Addr, nil)
	items.Spec.Protocol, items.Spec.URI = resource.ProtocolMongoDB, "mongodb://127.0.0.1:1,"+mongo.Addr
	items.Spec.TLS.CACert = string(mongo.DatabaseCA.CertPEM())
	agent := c.StartAgent(t, func(cfg *config.Config) { cfg.DiagAddr = diag }, shop, items, redisDatabase(t, "cache", "rediss://"+red.Addr, red.DatabaseCA.CertPEM()))
	for name, address := range map[string]string{"shop": maria.Addr, "cache": red.Addr, "items": "127.0.0.1:1," + mongo.Addr} {
		if h := becomes(t, c, name, resource.Healthy); h.Protocol != resource.HealthTCP || h.Address != address {
			t.Errorf("%s: %+v", name, h)
		}
	}
	status := func() (aborted int) { // counted too is the look at the greeting when the agent starts
		aborted, err := strconv.Atoi(strings.Fields(maria.Exec(t, "show global status like 'Aborted_connects'"))[1])
		if err != nil {
			t.Fatal(err)
		}
		return aborted
	}
	passed := func(protocol string) int {
		return counted(t, diag, fmt.Sprintf(`sallyport_db_health_checks_total{protocol="%s",result="passed"}`, protocol))
	}
	abortedBefore, checkedBefore := status(), passed("mysql")
	const checks = 4
	clustertest.Eventually(t, "checks of all", func() error {
		for _, protocol := range []string{"mongodb", "redis"} {
			if passed(protocol) < checks {
				return errors.New(protocol + " was checked too seldom")
			}
		}
		if passed("mysql") < checkedBefore+checks {
			return errors.New("MariaDB was checked too seldom")
		}
		return nil
	})
	// A busy machine may be too slow to hold back now and then; a server that is told of checks is told of each.
	made := passed("mysql") - checkedBefore
	if n := status() - abortedBefore; n >= made {
		t.Errorf("MariaDB counts %d aborted connections after %d checks", n, made)
	}
	made = passed("redis")
	if log := red.Log(t); strings.Count(log, "Error accepting a client connection") >= made {
		t.Errorf("Redis complains of %d checks:\n%s", made, log)
	}
	maria.Stop(t)
	becomes(t, c, "shop", resource.Unhealthy)
	mongo.Stop(t)
	if h := becomes(t, c, "items", resource.Unhealthy); !strings.Contains(h.TransitionError, "cannot be reached") {
		t.Errorf("no member of the replica set: %+v", h)
	}
	maria.Start(t)
	becomes(t, c, "shop", resource.Healthy)

	// Without a config nothing is checked any more, within seconds.
	c.Delete(t, resource.KindHealthCheckConfig, resource.NameDefaultHealthCheck)
	for _, name := range []string{"shop", "items", "cache"} {
		if h := becomes(t, c, name, resource.HealthUnknown); h.TransitionReason != resource.HealthDisabled {
			t.Errorf("%s without a config: %+v", name, h)
		}
	}
	c.Apply(t, often)
	becomes(t, c, "shop", resource.Healthy)
	agent.Stop(t)
	if all := servers(t, c, "shop"); len(all) != 0 {
		t.Errorf("after the agent's end: %+v", all)
	}
}

func passOn(ctx context.Context, listener net.Listener, to string) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		work.Go(func() {
			defer client.Close()
			server, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
			if err != nil {
				return
			}
			defer server.Close()
			defer context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })()
			var back sync.WaitGroup
			back.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
			_, _ = io.Copy(server, client)
			_ = server.Close()
			back.Wait()
		})
	}
}
