package login_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
)

// TestMain makes this program a verifier when PAM runs it.
func TestMain(m *testing.M) {
	realserver.Undisturbed()
	fakeawstest.Main(m)
}

// Endpoints of MySQL and MariaDB.
const (
	myInstance = "shop.abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
	myWriter   = "books.cluster-abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
	myReader   = "books.cluster-ro-abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
	myCustom   = "night.cluster-custom-abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
	myMember   = "books-1.abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
	myProxy    = "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
	myProxyTwo = "pool-ro.endpoint.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:3306"
)

// myPlane starts a data plane with endpoints, whose certificate is for the names, and by default for those of the endpoints.
func myPlane(t *testing.T, c *cloudtest.Cloud, config dataplane.Config, hosts []string, names ...string) *dataplane.Plane {
	t.Helper()
	for _, host := range hosts {
		config.Endpoints = append(config.Endpoints, dataplane.Endpoint{Host: host, Listen: "127.0.0.1:0"})
	}
	if len(names) == 0 {
		for _, host := range hosts {
			names = append(names, strings.TrimSuffix(host, ":3306"))
		}
	}
	certificate, err := c.Authority().Issue(fakeaws.Names{DNSNames: names})
	if err != nil {
		t.Fatal(err)
	}
	config.Certificate, config.Judge, config.VerifyCommand = certificate, c.Verify, fakeawstest.VerifyCommand(t, c.World)
	plane, err := dataplane.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		plane.Stop()
		if t.Failed() {
			t.Logf("log of the server:\n%s", plane.Log())
		}
	})
	return plane
}

// myAgent starts an agent for a database whose endpoint is one of the plane's.
func myAgent(t *testing.T, source *login.Source, db *resource.Database, plane *dataplane.Plane, hosts []string) *enginetest.Agent {
	t.Helper()
	return enginetest.Start(t, enginetest.Config{
		Engine: mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), Database: db, Credentials: source,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			n := slices.Index(hosts, address)
			if n < 0 {
				return nil, fmt.Errorf("%s was dialled", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, plane.Addresses()[n])
		},
	})
}

// mySource is a source whose authorities are downloaded from the cloud.
func mySource(t *testing.T, c *cloudtest.Cloud, provider *credentials.Provider, now func() time.Time) *login.Source {
	return login.New(login.Config{Credentials: provider, Now: now, Roots: roots.New(roots.Config{
		Dir: t.TempDir(), Client: &http.Client{Transport: bundles{c.Authority().PEM()}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
}

// dialMy connects a client of MySQL that would send no password in clear.
func dialMy(t *testing.T, agent *enginetest.Agent, account string) (driver.Conn, error) {
	t.Helper()
	cfg := client.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName, cfg.Logger = "tcp", agent.Addr(), account, "shop", &client.NopLogger{}
	connector, err := client.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), enginetest.Patience)
	defer cancel()
	return connector.Connect(ctx)
}

// whoAmI asks the server for whom it takes the client.
func whoAmI(conn driver.Conn) (string, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(context.Background(), "select substring_index(user(), '@', 1)", nil)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	values := make([]driver.Value, 1)
	if err := rows.Next(values); err != nil {
		return "", err
	}
	text, _ := values[0].([]byte)
	if err := rows.Next(values); !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("one row and then %w", err)
	}
	return string(text), nil
}

const mySetup = `CREATE DATABASE shop;
CREATE USER reader IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'; GRANT SELECT ON shop.* TO reader;
CREATE USER writer IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'; GRANT ALL ON shop.* TO writer`

// TestMySQLThroughTheEngine has a client reach each kind of database that speaks MySQL through the engine, as one whom AWS
// lets in and as one whom it does not.
func TestMySQLThroughTheEngine(t *testing.T) {
	secrets := func(_, user string) (fakeaws.Secret, bool) {
		return fakeaws.Secret{User: user, Password: "of " + user}, true
	}
	const proxySetup = "CREATE DATABASE shop; CREATE USER reader IDENTIFIED BY 'of reader'; GRANT SELECT ON shop.* TO reader; CREATE USER writer IDENTIFIED BY 'of writer'"
	aurora := []string{myWriter, myReader, myCustom, myMember}
	cluster := func(a *resource.AWS) { a.RDS.ClusterID, a.RDS.ResourceID = "books", "cluster-ID" }
	member := func(a *resource.AWS) { a.RDS.InstanceID, a.RDS.ResourceID = "books-1", "cluster-ID" }
	proxies := []string{myProxy, myProxyTwo}
	for _, test := range []struct {
		rule     string
		config   dataplane.Config
		hosts    []string
		names    []string
		id       string // of the resource in policies
		aws      []func(*resource.AWS)
		partName string // of the certificate, that the agent has found out for the last host
		advice   []string
	}{
		{"RDS for MariaDB", dataplane.Config{Kind: dataplane.RDS, Engine: dataplane.MariaDB, Setup: mySetup}, []string{myInstance}, nil, "db-ID",
			[]func(*resource.AWS){func(a *resource.AWS) { a.RDS.InstanceID, a.RDS.ResourceID = "shop", "db-ID" }}, "", []string{"AWSAuthenticationPlugin", "dbuser:db-ID/writer"}},
		{"RDS for MySQL", dataplane.Config{Kind: dataplane.RDS, Engine: dataplane.MySQL, Setup: mySetup}, []string{myInstance}, nil, "db-ID",
			[]func(*resource.AWS){func(a *resource.AWS) { a.RDS.InstanceID, a.RDS.ResourceID = "shop", "db-ID" }}, "", []string{"AWSAuthenticationPlugin", "dbuser:db-ID/writer"}},
		{"Aurora MySQL", dataplane.Config{Kind: dataplane.RDS, Engine: dataplane.MySQL, Setup: mySetup}, aurora, nil, "cluster-ID",
			[]func(*resource.AWS){cluster, cluster, cluster, member}, "", []string{"AWSAuthenticationPlugin", "dbuser:cluster-ID/writer"}},
		{"RDS Proxy", dataplane.Config{Kind: dataplane.Proxy, Engine: dataplane.MySQL, Setup: proxySetup, Secret: secrets}, proxies, []string{"*.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com"}, "prx-ID",
			[]func(*resource.AWS){func(a *resource.AWS) { a.RDSProxy.Name, a.RDSProxy.ResourceID = "pool", "prx-ID" },
				func(a *resource.AWS) { a.RDSProxy.CustomEndpointName, a.RDSProxy.ResourceID = "pool-ro", "prx-ID" }},
			strings.TrimSuffix(myProxy, ":3306"), []string{"secret with username", "REQUIRED", "dbuser:prx-ID/writer"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c := cloudtest.New(t, nil, cloudtest.AllowAssume)
			role := databases(t, c, cloudtest.Allow("rds-db:connect", "arn:aws:rds-db:us-west-1:222222222222:dbuser:"+test.id+"/reader"))
			for _, host := range test.hosts {
				target(c, host, test.id)
			}
			plane := myPlane(t, c, test.config, test.hosts, test.names...)
			source := mySource(t, c, c.Provider(), time.Now)
			for i, host := range test.hosts {
				db := database(t, host, func(a *resource.AWS) {
					test.aws[i](a)
					a.AssumeRoleARN, a.ExternalID = role, "right"
				}, "mysql")
				if i == len(test.hosts)-1 {
					db.Spec.TLS.ServerName = test.partName
				}
				if test.config.Kind == dataplane.Proxy {
					db.Spec.TLS.CACert = string(c.Authority().PEM()) // it is not one of the system's
				}
				agent := myAgent(t, source, db, plane, test.hosts)
				conn, err := dialMy(t, agent, "reader")
				if err != nil {
					t.Fatalf("%s: %v", host, err)
				}
				if who, err := whoAmI(conn); err != nil || who != "reader" {
					t.Errorf("%s: logged in as %q, %v", host, who, err)
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
				_, err = dialMy(t, agent, "writer")
				refusal, _ := errors.AsType[*client.MySQLError](err)
				if refusal == nil || refusal.Number != 1045 || !strings.HasPrefix(refusal.Message, "Access denied for user 'writer'@") {
					t.Fatalf("%s: the client got %v", host, err)
				}
				if len(refusal.Message) > 511 {
					t.Errorf("%s: clients do not show all of the %d bytes of %s", host, len(refusal.Message), refusal.Message)
				}
				for _, text := range append(test.advice, `{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:222222222222:dbuser:`, "role "+role) {
					if !strings.Contains(refusal.Message, text) {
						t.Errorf("%s: the message lacks %q: %s", host, text, refusal.Message)
					}
				}
				for n := range 2 {
					visit := agent.Visit(t, n)
					text := fmt.Sprint(visit.Wait(t), refusal.Message, visit.Journal.Events())
					for _, secret := range c.Secrets() {
						if strings.Contains(text, secret) {
							t.Errorf("%s: visit %d tells a secret", host, n)
						}
					}
				}
			}
		})
	}
}

// TestMySQLTokensLast has a session live longer than its token: connections that come later, those of other sessions and
// the one that kills what a vanished client has left, have tokens of their own.
func TestMySQLTokensLast(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c := cloudtest.NewAt(t, now, nil, cloudtest.Allow("rds-db:connect", "arn:aws:rds-db:us-west-1:111111111111:dbuser:db-ID/reader"))
	c.AddTarget(fakeaws.Target{Service: fakeaws.RDSConnect, Host: myInstance, Account: c.Account("aws", cloudtest.AgentAccount), Region: "us-west-1", ResourceID: "db-ID"})
	hosts := []string{myInstance}
	plane := myPlane(t, c, dataplane.Config{Kind: dataplane.RDS, Engine: dataplane.MariaDB, Setup: mySetup}, hosts)
	db := database(t, myInstance, func(a *resource.AWS) { a.RDS.InstanceID, a.RDS.ResourceID = "shop", "db-ID" }, "mysql")
	agent := myAgent(t, mySource(t, c, c.Provider(), now), db, plane, hosts)
	first, err := dialMy(t, agent, "reader")
	if err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(16 * time.Minute))
	second, err := dialMy(t, agent, "reader")
	if err != nil {
		t.Fatal(err)
	}
	if who, err := whoAmI(second); err != nil || who != "reader" {
		t.Errorf("16 minutes later: %q, %v", who, err)
	}
	// The first client vanishes while its statement runs.
	ctx, vanish := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := first.(driver.QueryerContext).QueryContext(ctx, "select sleep(1000)", nil)
		done <- err
	}()
	running := func() string {
		t.Helper()
		out, err := plane.Exec(t.Context(), "mysql", "select count(*) from information_schema.processlist where info = 'select sleep(1000)'")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	waitFor(t, "the statement runs", func() bool { return running() == "1" })
	c.ForgetJournal()
	vanish()
	if err := <-done; err == nil {
		t.Error("the statement ended by itself")
	}
	_ = agent.Visit(t, 0).Wait(t) // whatever it says of a client that vanished
	if calls := c.Calls(fakeaws.RDSConnect, "connect"); len(calls) != 1 || calls[0].Error != "" {
		t.Errorf("to kill the statement: %+v", calls)
	}
	waitFor(t, "the statement was killed", func() bool { return running() == "0" })
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(enginetest.Patience)
	for !true() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
