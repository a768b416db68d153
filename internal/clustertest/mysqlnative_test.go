package clustertest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
	"sallyport/internal/mtls"
	"sallyport/internal/mysqlwire"
)

func TestNativeTLSOfMySQLIsEndToEnd(t *testing.T) {
	t.Parallel()
	for name, agents := range map[string]int{"an agent of its own": 1, "one process": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMySQLScene(t, mysqlOptions{agents: agents})
			var seen *x509.Certificate
			secured := native(s.login, "shop")
			secured.VerifyConnection = func(state tls.ConnectionState) error {
				seen = state.PeerCertificates[0]
				return nil
			}
			db := openMySQL(t, s.port, "app", secured)
			db.SetMaxOpenConns(1)
			var account string
			clustertest.Eventually(t, "alice connects", func() error { return db.QueryRow("select current_user()").Scan(&account) })
			if account != "app@%" {
				t.Errorf("the database sees %s", account)
			}
			if len(seen.DNSNames) != 1 || seen.DNSNames[0] != secured.ServerName {
				t.Errorf("the certificate that she sees names %q, which is not the database only", seen.DNSNames)
			}
			var sum int
			if err := db.QueryRow("select ? + 1", 41).Scan(&sum); err != nil || sum != 42 {
				t.Errorf("got %d, %v", sum, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			clustertest.Eventually(t, "all is in the log", func() error {
				for _, want := range [][]string{
					{"db.session.start", `"code":"TDB00I"`, `"db_protocol":"mysql"`, `"db_user":"app"`, `"db_name":"shop"`, `"addr.remote":"127.0.0.1:`},
					{"db.session.query", "select ? + 1", `"db_query_parameters":["41"]`},
					{"db.session.end", `"user":"alice"`},
				} {
					if len(s.Events(t, want[:1], want[1:]...)) == 0 {
						return fmt.Errorf("no %q", want)
					}
				}
				return nil
			})
		})
	}
}

// TestNativeClientsOfMySQLAreRefusedInTheirProtocol by the agent, as far as they trust it, or else by the proxy.
func TestNativeClientsOfMySQLAreRefusedInTheirProtocol(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1})
	clustertest.Eventually(t, "alice connects", func() error { return s.open(t, "app").Ping() })
	orders := clustertest.Database(t, "orders", "127.0.0.1:1", map[string]string{"env": "dev"})
	s.StartAgent(t, nil, orders)
	bob := s.User(t, "bob", "db")
	var other *client.Credentials
	clustertest.Eventually(t, "bob gets a login", func() (err error) {
		other, err = databaseLogin(t, s.Cluster, bob, "orders", "app", "shop")
		return err
	})
	told := func(secured *tls.Config, account string) (number uint16, text string) {
		err := openMySQL(t, s.port, account, secured).Ping()
		if refusal, ok := errors.AsType[*mysql.MySQLError](err); ok {
			return refusal.Number, refusal.Message
		}
		return 0, fmt.Sprint(err)
	}
	clustertest.Eventually(t, "the agent of orders answers", func() error { // its registration comes before its connections
		if number, text := told(native(other, "orders"), "app"); number == 0 {
			return errors.New(text)
		}
		return nil
	})
	stranger := native(s.login, "shop")
	stranger.Certificates = nil
	nameless := &tls.Config{InsecureSkipVerify: true, Certificates: native(s.login, "shop").Certificates}
	for rule, one := range map[string]struct {
		secured *tls.Config
		account string
		number  uint16
		text    string
	}{
		"an account that the rules refuse":         {native(s.login, "shop"), "root", 1045, "access to db denied"},
		"a certificate of another database":        {native(other, "shop"), "app", 1045, `your certificate is for database "orders", not for "shop"`},
		"a database that speaks PostgreSQL":        {native(other, "orders"), "app", 1105, `database "orders" speaks postgres and the client MySQL; use tsh db connect orders`},
		"no name in TLS, only for end to end":      {nameless, "app", 1043, "no certificate for a database was shown"},
		"no TLS":                                   {nil, "app", 3159, "this port needs TLS"},
		"no certificate":                           {stranger, "app", 0, ""},
		"the name of a database that is not there": {native(s.login, "nothing"), "app", 0, ""},
	} {
		clustertest.Eventually(t, rule, func() error { // an agent may be on its way
			if number, text := told(one.secured, one.account); number != one.number || !strings.Contains(text, one.text) {
				return fmt.Errorf("%d %s", number, text)
			}
			return nil
		})
	}
	if said := s.server.Statements(t); strings.Contains(said, "Connect\troot@127.0.0.1") {
		t.Error("the database was asked for root")
	}
	clustertest.Eventually(t, "the refusals are in the log", func() error {
		for _, texts := range [][]string{{`"db_user":"root"`, `"db_service":"shop"`}, {`"user":"bob"`, `"db_service":"shop"`}, {`"user":"bob"`, `"db_service":"orders"`}} {
			if len(s.Events(t, []string{"db.session.start"}, append(texts, `"code":"TDB00W"`)...)) == 0 {
				return fmt.Errorf("no refusal with %q", texts)
			}
		}
		return nil
	})
}

// TestClientsOfMariaDBAreToldWhatToDo if they come without a certificate: that of Debian names nothing in TLS.
func TestClientsOfMariaDBAreToldWhatToDo(t *testing.T) {
	t.Parallel()
	var address string
	clustertest.Start(t, clustertest.Options{Change: withMySQL(t, &address)})
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{
		"--ssl":      "ERROR 1043 (08S01): no certificate for a database was shown; use the files that tsh db login stored, or tsh db connect NAME, or tsh proxy db --tunnel NAME for your own client",
		"--skip-ssl": "ERROR 3159 (HY000): this port needs TLS",
	} {
		out, err := exec.Command("mariadb", "--no-defaults", "--protocol=tcp", "--host="+host, "--port="+port, "--user=app", option, "-e", "select 1").CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %s, %v", option, out, err)
		}
	}
}

// TestNativeClientsOfMySQLCanKill by the number with which the proxy has greeted them.
func TestNativeClientsOfMySQLCanKill(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1})
	db, greeted := s.openGreeted(t)
	db.SetMaxOpenConns(1)
	clustertest.Eventually(t, "alice connects", func() error { return db.Ping() })
	ended := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(context.WithoutCancel(t.Context()), "select sleep(60) /* long */")
		ended <- err
	}()
	clustertest.Eventually(t, "the statement runs", func() error {
		if s.server.Exec(t, "select count(*) from information_schema.processlist where info like 'select sleep(60)%'") != "1" {
			return errors.New("it does not")
		}
		return nil
	})
	if _, err := s.open(t, "app").Exec(fmt.Sprint("KILL QUERY ", greeted.number(t))); err != nil {
		t.Fatal(err)
	}
	<-ended // within the time of the test, not of the statement
	clustertest.Eventually(t, "the statement has ended", func() error {
		if s.server.Exec(t, "select count(*) from information_schema.processlist where info like 'select sleep(60)%'") != "0" {
			return errors.New("it runs")
		}
		return nil
	})
}

// TestMySQLBehindABalancerAtLayerFour has the client's address come with a header, and believes that of nobody else.
func TestMySQLBehindABalancerAtLayerFour(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1, change: withHeaders})
	b := startForwarder(t, "127.0.0.1:0", s.port, truthful(2))
	through := openMySQL(t, b.address, "app", native(s.login, "shop"))
	clustertest.Eventually(t, "alice connects", through.Ping)
	clustertest.Eventually(t, "the start is in the log", func() error {
		if starts := s.Events(t, []string{"db.session.start"}, `"code":"TDB00I"`); len(starts) == 0 || strings.Contains(starts[0], `"addr.remote":"`+balancerSource) {
			return fmt.Errorf("the log has %s", starts)
		}
		return nil
	})
	for rule, first := range map[string]string{"a named peer without one": "", "a named peer with a bad one": "PROXY TCP4 0.0.0.0 0.0.0.0 1 1\r\n"} {
		conn := dialFrom(t, s.port, balancerSource)
		request := (&mysqlwire.HandshakeResponse{Flags: mysqlwire.Protocol41 | mysqlwire.TLS}).AppendTLSRequest([]byte(first))
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(15 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: %d bytes were answered", rule, n)
		}
	}
	stranger := dialFrom(t, s.port, "127.0.0.79")
	if _, err := io.WriteString(stranger, headerOf(1, "198.51.100.1:7")); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "a stranger's header is told", func() error {
		if !strings.Contains(s.Log(), "a PROXY header was refused") {
			return errors.New("it is not")
		}
		return nil
	})
	health := dialFrom(t, s.port, balancerSource)
	if _, err := health.Write([]byte(local[0])); err != nil {
		t.Fatal(err)
	}
	_ = health.SetReadDeadline(time.Now().Add(15 * time.Second))
	if payload, err := io.ReadAll(health); err != nil || !strings.Contains(string(payload), "8.0.0-Sallyport") {
		t.Errorf("the balancer's own check reads %q, %v", payload, err)
	}
}

// TestThePortForClientsOfMySQLIsAnnounced where programs ask what cluster this is.
func TestThePortForClientsOfMySQLIsAnnounced(t *testing.T) {
	t.Parallel()
	var address, other string
	with := clustertest.Start(t, clustertest.Options{Change: withMySQL(t, &address)})
	withPort := withMySQL(t, &other)
	named := with.StartProxy(t, func(cfg *config.Config) {
		withPort(cfg)
		cfg.Proxy.MySQL.PublicAddr = "mysql.example.com:3306"
		cfg.Proxy.EndToEndOnly = true
	})
	without := with.StartProxy(t)
	for proxy, want := range map[string]string{with.Proxy: address, named: "mysql.example.com:3306", without: ""} {
		clustertest.Eventually(t, "the proxy answers", func() error {
			transport := &http.Transport{TLSClientConfig: mtls.ToWeb("localhost", true, mtls.ProtocolHTTP), DisableKeepAlives: true}
			response, err := (&http.Client{Transport: transport}).Get("https://" + proxy + "/webapi/ping")
			if err != nil {
				return err
			}
			defer response.Body.Close()
			var about struct {
				Proxy struct {
					DB struct {
						MySQL        string `json:"mysql_public_addr"`
						EndToEndOnly bool   `json:"end_to_end_only"`
					} `json:"db"`
				} `json:"proxy"`
			}
			if err := json.NewDecoder(response.Body).Decode(&about); err != nil {
				return err
			}
			if got := about.Proxy.DB.MySQL; got != want {
				t.Errorf("%q is announced, want %q", got, want)
			}
			if got := about.Proxy.DB.EndToEndOnly; got != (proxy == named) {
				t.Errorf("%q announces that connections are end to end only: %t", want, got)
			}
			return nil
		})
	}
}
