package clustertest_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/clustertest"
	"sallyport/internal/config"
)

// get returns what the diagnostic address of a daemon says, with the status.
func get(t *testing.T, address, path string) string {
	t.Helper()
	response, err := http.Get("http://" + address + path)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

func says(t *testing.T, address, path, text string) {
	t.Helper()
	clustertest.Eventually(t, path+" says "+text, func() error {
		if said := get(t, address, path); !strings.Contains(said, text) {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
}

func TestMetricsAndReadiness(t *testing.T) {
	t.Parallel()
	front, back := clustertest.FreeAddr(t), clustertest.FreeAddr(t)
	c := clustertest.Start(t, clustertest.Options{Change: func(cfg *config.Config) { cfg.DiagAddr = front }})
	s := &scene{Cluster: c, pg: startPostgres(t, c)}
	s.Apply(t, dbRole)
	s.agent = s.StartAgent(t, func(cfg *config.Config) { cfg.DiagAddr, cfg.Debug = back, true }, s.database(t, "orders"))
	s.alice = s.User(t, "alice", "db")
	conn := s.session(t, "orders")
	works(t, conn)
	says(t, front, "/readyz", `200 {"status":"ok"}`)
	for address, metrics := range map[string][]string{
		front: {"sallyport_agents_connected 1", `sallyport_certificate_expiry_timestamp_seconds{certificate="web"} [0-9]`,
			`sallyport_certificate_expiry_timestamp_seconds{certificate="host"} [0-9]`, "sallyport_cache_age_seconds [0-9]"},
		back: {`sallyport_db_sessions{protocol="postgres"} 1`, `sallyport_db_sessions{protocol="mongodb"} 0`,
			`sallyport_db_commands_total{protocol="postgres",result="ok"} [1-9]`, `sallyport_db_commands_total{protocol="postgres",result="error"} 0$`,
			`sallyport_db_commands_total{protocol="redis",result="refused"} 0$`, `sallyport_db_malformed_messages_total{protocol="mysql"} 0$`,
			"sallyport_audit_backlog_events [0-9]", "sallyport_audit_outage_seconds 0",
			"sallyport_audit_spool_failed 0", "sallyport_refused_connections_total [0-9]"},
	} {
		text := get(t, address, "/metrics")
		for _, want := range metrics {
			if !regexp.MustCompile("(?m)^" + want).MatchString(text) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
	}
	if err := s.session(t, "orders").Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	says(t, back, "/metrics", `sallyport_db_sessions_total{protocol="postgres",result="ended"} 1`)
	documented(t, get(t, front, "/metrics")+get(t, back, "/metrics"))
	if said := get(t, front, "/debug/pprof/"); !strings.HasPrefix(said, "404") {
		t.Errorf("profiles without -d: %.40s", said)
	}
	if said := get(t, back, "/debug/pprof/"); !strings.HasPrefix(said, "200") {
		t.Errorf("profiles with -d: %.40s", said)
	}
	s.agent.Drain()
	says(t, back, "/readyz", `503 {"status":"draining"}`)
	if said := get(t, back, "/healthz"); !strings.HasPrefix(said, "200") {
		t.Errorf("healthz of a draining agent: %s", said)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.agent.Stop(t)
}

// documented checks that the metrics of ours are those in docs/metrics.md.
func documented(t *testing.T, shown string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for part, names := range map[string][][]string{
		"docs/metrics.md": regexp.MustCompile("(?m)^# TYPE (sallyport_[a-z_]+) ").FindAllStringSubmatch(shown, -1),
		"/metrics":        regexp.MustCompile("(?m)^\\| `(sallyport_[a-z_]+)`").FindAllStringSubmatch(string(text), -1),
	} {
		if len(names) == 0 {
			t.Errorf("%s is compared with nothing", part)
		}
		for _, found := range names {
			other := map[string]string{"docs/metrics.md": string(text), "/metrics": shown}[part]
			if !regexp.MustCompile(found[1] + `\b`).MatchString(other) {
				t.Errorf("%s lacks %s", part, found[1])
			}
		}
	}
}

func TestReadinessWithoutAuth(t *testing.T) {
	t.Parallel()
	diag := clustertest.FreeAddr(t)
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	var ahead atomic.Int64
	cfg := *s.agent.Config
	s.agent.Stop(t)
	cfg.DiagAddr = diag
	clustertest.StartDaemonAt(t, &cfg, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	says(t, diag, "/readyz", `200 {"status":"ok"}`)
	s.Daemon.Stop(t)
	ahead.Store(int64(10 * time.Minute))
	says(t, diag, "/readyz", `503 {"status":"degraded: the auth server does not answer"}`)
}
