package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/audit"
	"sallyport/internal/audit/audittest"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/pgserver"
	"sallyport/internal/realserver"
)

const killRole = `
kind: role
version: v7
metadata: {name: db}
spec: {allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}}
`

const killConfig = `version: v3
teleport:
  nodename: agent
  data_dir: %[1]s/data
  proxy_server: %[2]s
  ca_pin: %[3]s
  join_params: {method: token, token_name: %[4]s}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service:
  enabled: yes
  databases:
  - name: orders
    protocol: postgres
    uri: %[5]s
    tls: {ca_cert_file: %[1]s/db.pem}
`

// TestKilledAgentLosesNoEvent kills the agent in the middle of a session that runs statements as fast as it
// can. What the database executed must be in the log, in an unbroken chain with an end.
func TestKilledAgentLosesNoEvent(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	clientCA, err := ca.ParseCertificate(c.Authorities(t)["db_client"])
	if err != nil {
		t.Fatal(err)
	}
	pg := pgserver.Start(t, pgserver.Options{Certificates: realserver.Certificates{ClientCA: &ca.Authority{Type: ca.ClientCA, Cert: clientCA}}})
	c.Apply(t, killRole)
	alice := c.User(t, "alice", "db")
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yaml")
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "db.pem"), pg.DatabaseCA.CertPEM(), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, killConfig, dir, c.Proxy, c.Pins(t)[0], clustertest.StaticToken, pg.Addr), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	const lives = 3
	for life := range lives {
		agent := startAgent(t, config)
		runUntilKilled(t, c, alice, agent, life)
	}
	startAgent(t, config) // the survivor delivers what the dead left
	clustertest.Eventually(t, "every session has its end", func() error {
		if n := len(c.Events(t, []string{"db.session.end"}, `"reason":"lost"`)); n != lives {
			return fmt.Errorf("%d ends", n)
		}
		return nil
	})
	wantAllStatements(t, c, pg)
	wantWholeChains(t, c, lives)
}

func startAgent(t *testing.T, config string) *exec.Cmd {
	t.Helper()
	agent := exec.Command(filepath.Join(binaries, "teleport"), "start", "-c", config)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	agent.Stdout, agent.Stderr = log, log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
		text, _ := os.ReadFile(log.Name())
		_ = log.Close()
		if t.Failed() || strings.Contains(string(text), "DATA RACE") {
			t.Errorf("log of the agent:\n%s", text)
		}
	})
	return agent
}

func TestDaemonLeavesNoCoreFile(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yaml")
	text := fmt.Sprintf(killConfig, dir, c.Proxy, c.Pins(t)[0], clustertest.StaticToken, "localhost:1")
	text = strings.Replace(text, "    tls: {ca_cert_file: "+dir+"/db.pem}\n", "", 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := startAgent(t, config)
	clustertest.Eventually(t, "core files are off", func() error {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", agent.Process.Pid))
		if err != nil {
			return err
		}
		if !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
			return errors.New(string(limits))
		}
		return nil
	})
}

// runUntilKilled runs numbered statements until the agent, killed after some of them, is gone.
func runUntilKilled(t *testing.T, c *clustertest.Cluster, alice *client.Credentials, agent *exec.Cmd, life int) {
	t.Helper()
	var conn *pgx.Conn
	clustertest.Eventually(t, "a session", func() (err error) {
		conn, err = open(t, c, alice)
		return err
	})
	const before = 200
	for n := 0; ; n++ {
		if n == before+life {
			time.AfterFunc(time.Duration(life)*3*time.Millisecond, func() { _ = agent.Process.Kill() })
		}
		if _, err := conn.Exec(context.Background(), fmt.Sprintf("select 'life %d statement %d'", life, n), pgx.QueryExecModeSimpleProtocol); err != nil {
			if n < before+life {
				t.Fatalf("statement %d: %v", n, err)
			}
			_ = conn.Close(context.Background())
			_ = agent.Wait() // the next one wants its folder
			return
		}
	}
}

func open(t *testing.T, c *clustertest.Cluster, who *client.Credentials) (*pgx.Conn, error) {
	t.Helper()
	api := who.API(clustertest.NewDialer(), c.Proxy)
	defer api.Close()
	login, err := client.DatabaseLogin(t.Context(), api, client.Route{Service: "orders", User: "postgres", Name: "postgres"}, time.Hour)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("postgres://postgres@127.0.0.1:1/postgres?sslmode=disable")
	if err != nil {
		return nil, err
	}
	if config.TLSConfig, err = login.DatabaseTLS(); err != nil {
		return nil, err
	}
	config.Fallbacks = nil
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", c.Proxy)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return pgx.ConnectConfig(ctx, config)
}

var numbered = regexp.MustCompile(`life \d+ statement \d+`)

// wantAllStatements compares the database's own log with ours.
func wantAllStatements(t *testing.T, c *clustertest.Cluster, pg *pgserver.Server) {
	t.Helper()
	recorded := map[string]int{}
	for _, event := range c.Events(t, []string{"db.session.query"}, "statement") {
		recorded[numbered.FindString(event)]++
	}
	executed := 0
	for line := range strings.Lines(pg.Log(t)) {
		if statement := numbered.FindString(line); statement != "" && strings.Contains(line, "LOG:") {
			executed++
			if recorded[statement] != 1 {
				t.Errorf("%q was executed and is in the log %d times", statement, recorded[statement])
			}
		}
	}
	if executed < 600 {
		t.Fatalf("the database executed only %d statements", executed)
	}
}

// wantWholeChains verifies the chain of each session, from its start to its end.
func wantWholeChains(t *testing.T, c *clustertest.Cluster, want int) {
	t.Helper()
	sessions := map[string][][]byte{}
	for _, line := range c.Events(t, nil, `"event":"db.session.`) {
		event, _, err := eventlog.SplitLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		fields, err := audit.Parse(event)
		if err != nil {
			t.Fatal(err)
		}
		sessions[fields.SID.String()] = append(sessions[fields.SID.String()], event)
	}
	if len(sessions) < want {
		t.Fatalf("%d sessions", len(sessions))
	}
	for sid, lines := range sessions {
		if err := audittest.Verify(lines); err != nil {
			t.Errorf("session %s: %v", sid, err)
		}
	}
}
