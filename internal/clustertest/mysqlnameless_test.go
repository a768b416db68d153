package clustertest_test

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// nameless is a login for clients that cannot name the database in TLS, in the form of the programs that come with MariaDB.
func (s *mysqlScene) nameless(t *testing.T, user *client.Credentials, service string) (secured *tls.Config, options []string) {
	t.Helper()
	api := user.API(clustertest.NewDialer(), s.Proxy)
	defer api.Close()
	login, err := client.DatabaseLogin(t.Context(), api, client.Route{Service: service, User: "app", Name: "shop", ProxyTerminated: true}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.EncodeKey(login.Certificate().PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host, port, err := net.SplitHostPort(s.port)
	if err != nil {
		t.Fatal(err)
	}
	options = []string{"--no-defaults", "--protocol=tcp", "--host=" + host, "--port=" + port, "--user=app"}
	for name, content := range map[string][]byte{"cert": ca.EncodeCertificate(login.Certificate().Certificate[0]), "key": key} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		options = append(options, "--ssl-"+name+"="+path)
	}
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*login.Certificate()}}, options
}

// TestClientsThatNameNoDatabaseOfMySQL are served with the certificates that are made for that, such as Debian's client.
func TestClientsThatNameNoDatabaseOfMySQL(t *testing.T) {
	t.Parallel()
	for name, agents := range map[string]int{"an agent of its own": 1, "one process": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMySQLScene(t, mysqlOptions{agents: agents})
			secured, options := s.nameless(t, s.User(t, "carol", "db"), "shop")
			db := openMySQL(t, s.port, "app", secured)
			var sum int
			clustertest.Eventually(t, "the driver connects", func() error { return db.QueryRow("select ? + 1", 41).Scan(&sum) })
			if sum != 42 {
				t.Errorf("got %d", sum)
			}
			out, err := exec.Command("mariadb", append(options, "-Ne", "select current_user(), 40 + 2", "shop")...).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "app@%\t42" {
				t.Errorf("mariadb: %s, %v", out, err)
			}
			out, err = exec.Command("mariadb", append(options, "--user=root", "-e", "select 1", "shop")...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "ERROR 1045 (28000)") {
				t.Errorf("mariadb as root: %s, %v", out, err)
			}
			clustertest.Eventually(t, "all is in the log", func() error {
				for _, want := range [][]string{
					{"db.session.start", `"code":"TDB00I"`, `"user":"carol"`, `"addr.remote":"127.0.0.1:`},
					{"db.session.query", "select current_user(), 40 + 2", `"user":"carol"`},
					{"db.session.start", `"code":"TDB00W"`, `"db_user":"root"`},
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

const lockOfDave = `kind: lock
version: v2
metadata: {name: 22222222-2222-4222-8222-222222222222}
spec: {target: {user: dave}, message: gone}
`

// TestWhoMayNotNameNoDatabaseOfMySQL reads why.
func TestWhoMayNotNameNoDatabaseOfMySQL(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1})
	s.StartAgent(t, nil, clustertest.Database(t, "orders", "127.0.0.1:1", map[string]string{"env": "dev"}))
	dave := s.User(t, "dave", "db")
	clustertest.Eventually(t, "both databases are there", func() error {
		_, err := databaseLogin(t, s.Cluster, dave, "orders", "app", "shop")
		return err
	})
	wrong, _ := s.nameless(t, dave, "orders")
	right, _ := s.nameless(t, dave, "shop")
	s.Apply(t, lockOfDave)
	for rule, one := range map[string]struct {
		secured *tls.Config
		want    string
	}{
		"a database that speaks PostgreSQL": {wrong, `the certificate is for database "orders", which speaks postgres, and the client speaks mysql; connect with tsh db connect orders`},
		"a user who is locked":              {right, `lock targeting User:"dave" is in force: gone`},
	} {
		clustertest.Eventually(t, rule, func() error {
			if err := openMySQL(t, s.port, "app", one.secured).Ping(); !strings.Contains(fmt.Sprint(err), one.want) {
				return err
			}
			return nil
		})
	}
}

func TestEndToEndOnlyTurnsClientsOfMySQLAway(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{agents: 1, change: func(cfg *config.Config) { cfg.Proxy.EndToEndOnly = true }})
	clustertest.Eventually(t, "alice connects end to end", func() error { return s.open(t, "app").Ping() })
	secured, _ := s.nameless(t, s.User(t, "carol", "db"), "shop")
	if err := openMySQL(t, s.port, "app", secured).Ping(); !strings.Contains(fmt.Sprint(err), "this cluster takes end-to-end connections only; connect with tsh db connect, or name the database in TLS by the host that tsh db config prints") {
		t.Errorf("got %v", err)
	}
}
