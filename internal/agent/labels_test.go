package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/resource"
)

// fifo makes a pipe at which a command waits until the test writes the label's value.
func fifo(t *testing.T) (path string, say func(text string)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "value")
	makeFIFO(t, path)
	return path, func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDatabaseIsServedOnceAllItsDynamicLabelsHaveAValue(t *testing.T) {
	t.Parallel()
	path, say := fifo(t)
	a := newAuthority(t)
	a.start(t, nil,
		database(t, "denied", map[string][]string{"tier": {"cat", path}, "rack": {"echo", "7"}}),
		database(t, "plain", nil))
	eventually(t, "the database without labels is registered", func() bool { return a.server("plain") != nil })
	if a.server("denied") != nil {
		t.Fatal("it was registered while its label had no value")
	}
	say("prod\n")
	eventually(t, "the database with labels is registered", func() bool { return a.server("denied") != nil })
	if labels := a.server("denied").Spec.Database.AllLabels(); labels["tier"] != "prod" || labels["rack"] != "7" {
		t.Fatalf("registered with %v", labels)
	}
}

// TestSlowLabelCommandDoesNotHoldUpTheOthers has a command that ends when another gives it something to read, which takes both
// at a time.
func TestSlowLabelCommandDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "value")
	makeFIFO(t, path)
	a := newAuthority(t)
	a.start(t, nil,
		database(t, "slow", map[string][]string{"a": {"cat", path}}),
		database(t, "quick", map[string][]string{"a": {"sh", "-c", "echo x >" + path + "; echo 1"}, "b": {"echo", "2"}, "c": {"echo", "3"}}))
	eventually(t, "the quick database is registered", func() bool { return a.server("quick") != nil })
	eventually(t, "the slow database is registered", func() bool { return a.server("slow") != nil })
}

func TestFailingLabelCommand(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, []byte("prod"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := database(t, "kept", map[string][]string{"tier": {"cat", state}})
	tier := kept.Spec.DynamicLabels["tier"]
	tier.Period = resource.Duration(time.Second)
	kept.Spec.DynamicLabels["tier"] = tier
	a := newAuthority(t)
	r := a.start(t, nil, kept,
		database(t, "never", map[string][]string{"tier": {"false"}}),
		database(t, "silent", map[string][]string{"tier": {"true"}}),
		database(t, "absent", map[string][]string{"tier": {filepath.Join(t.TempDir(), "no-such-command")}}))
	eventually(t, "the database is registered", func() bool { return a.server("kept") != nil })
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is logged", func() bool { return strings.Contains(r.log.String(), "its last value stays") })
	if value := a.server("kept").Spec.Database.AllLabels()["tier"]; value != "prod" {
		t.Errorf("the label became %q", value)
	}
	eventually(t, "the first failures are logged", func() bool {
		return strings.Count(r.log.String(), "are not served until it succeeds") >= 3
	})
	for _, name := range []string{"never", "silent", "absent"} {
		if a.server(name) != nil {
			t.Errorf("%s is served without its label", name)
		}
	}
}

const dynamicDatabase = `
kind: db
version: v3
metadata: {name: written, labels: {team: red}}
spec:
  protocol: postgres
  uri: 127.0.0.1:1
  dynamic_labels:
    tier: {period: 1m, command: COMMAND, result: forged}
`

func TestCommandsOfDynamicDatabasesRunOnlyWhereTheHostAllowsIt(t *testing.T) {
	t.Parallel()
	for name, allowed := range map[string]bool{"by default": false, "allowed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace := filepath.Join(t.TempDir(), "trace")
			a := newAuthority(t)
			a.store(t, strings.Replace(dynamicDatabase, "COMMAND", "[sh, -c, 'echo ran | tee "+trace+"']", 1))
			r := a.start(t, func(cfg *agent.Config) {
				cfg.Selectors = []resource.ResourceSelector{{Labels: resource.Labels{"*": {"*"}}}}
				cfg.RunDynamicCommands = allowed
			})
			eventually(t, "the database is registered", func() bool { return a.server("written") != nil })
			_, err := os.Stat(trace)
			labels := a.server("written").Spec.Database.AllLabels()
			warned := strings.Count(r.log.String(), "its dynamic labels are left out")
			if allowed {
				if err != nil || labels["tier"] != "ran" || warned != 0 {
					t.Errorf("trace: %v, labels %v, %d warnings", err, labels, warned)
				}
				return
			}
			if err == nil || labels["tier"] != "" || warned != 1 {
				t.Errorf("the command ran: %t, labels %v, %d warnings", err == nil, labels, warned)
			}
		})
	}
}
