//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/realserver"
)

// demonstration runs a script of the project with the commands under test, and returns what it prints. Its folder is where
// the script leaves files. Whoever runs it has settings of her own.
func demonstration(t *testing.T, folder, script string, args, environment []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `umask 077; exec "$0" "$@"`, filepath.Join("..", "scripts", script)}, args...)...)
	cmd.Env = append(os.Environ(), "SALLYPORT_BIN="+binaries, "TMPDIR="+folder, "TERM=dumb", "GORACE="+races)
	cmd.Env = append(cmd.Env, environment...)
	cmd.Env = append(cmd.Env, settings(t)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", script, args, err, out)
	}
	return string(out)
}

// settings are variables, and files in the home folder, of a person whose programs go to databases, a cluster and an account
// of AWS of her own, and look different.
func settings(t *testing.T) []string {
	t.Helper()
	home := t.TempDir()
	for name, content := range map[string]string{
		".psqlrc": "\\pset format html\n", ".my.cnf": "[client]\nhost=192.0.2.1\npassword=hers\n[mysql]\nxml\n", ".mongoshrc.js": "throw new Error('hers')\n",
		".curlrc": "proxy = http://127.0.0.1:1\ninclude\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"HOME=" + home, "LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "CDPATH=/:..", "ALL_PROXY=http://127.0.0.1:1",
		"PGHOST=192.0.2.1", "PGSSLMODE=verify-full", "PGSERVICE=hers", "MYSQL_HOST=192.0.2.1", "MYSQL_PWD=hers", "REDISCLI_AUTH=hers",
		"TELEPORT_PROXY=hers.example.com:443", "TELEPORT_CLUSTER=hers", "TELEPORT_IDENTITY_FILE=" + home + "/none", "TELEPORT_AUTH_SERVER=127.0.0.1:1",
		"AWS_PROFILE=hers", "AWS_REGION=sa-east-1", "AWS_ENDPOINT_URL=http://127.0.0.1:1",
	}
}

// shows checks that a demonstration printed lines, in this order.
func shows(t *testing.T, out string, lines ...string) {
	t.Helper()
	rest := out
	for _, line := range lines {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("%q is not shown, or too early:\n%s", line, out)
		}
		rest = after
	}
}

// emptyFolder returns a folder with a short path, as sockets need, and checks at the end that nothing was left there.
func emptyFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(folder, 0o755); err != nil { // PostgreSQL has an account of its own
		t.Fatal(err)
	}
	return folder
}

func TestDemoOfAWS(t *testing.T) {
	t.Parallel()
	out := demonstration(t, emptyFolder(t), "demo-aws", nil, nil)
	shows(t, out, "198.51.100.10", "$ tctl status", "$ teleport db configure create", "$ tctl db ls", "aurora postgres", "current_user, version()",
		" alice        | PostgreSQL", "$ tctl db check aurora", "ok       login: as \"alice\"", `"db_user":"alice"`, `"db_type":"rds"`,
		"PUT /latest/api/token, unsigned", "ModifyDBCluster by arn:aws:sts::123456789012:assumed-role/teleport-db-service/i-", "connect by arn:aws:sts::", "The demo has ended")
}

// demos is what a demonstration of each database shows.
var demos = map[string]struct {
	database string   // as tsh db ls shows it
	answer   []string // of the query
	events   []string
	played   string
}{
	"postgres": {"orders a throw-away PostgreSQL [alice]", []string{"customer | total", "Grace    | 99.00", "(3 rows)"},
		[]string{"db.session.query", `result="SELECT 3"`}, "select customer"},
	"mysql": {"orders a throw-away MariaDB [alice]", []string{"customer\ttotal", "Grace\t99.00", "Edsger\t7.25"},
		[]string{"db.session.query", `query="select customer, total from orders order by total desc"`, "db.session.result"}, "select customer"},
	"mongodb": {"orders a throw-away FerretDB (it speaks Mongo", []string{"{ customer: 'Grace', total: 99 }", "access to db denied"},
		[]string{"db.session.query", `{\"find\":\"orders\"`, "db.session.query.failed", `the database name \"secret\"`}, `find: "orders"`},
	"redis": {"orders a throw-away Redis [alice]", []string{"Grace\n99\nAda\n12.5\n"},
		[]string{"db.session.query", `query="ZRANGE orders 0 -1 REV WITHSCORES"`, "db.session.result"}, "ZRANGE orders"},
}

func TestDemo(t *testing.T) {
	t.Parallel()
	for _, inTurn := range [][]string{
		{"postgres", "mysql"}, // the second is started while the first one runs, and takes its place
		{"mongodb"},
		{"redis"},
	} {
		t.Run(strings.Join(inTurn, " "), func(t *testing.T) {
			t.Parallel()
			folder := emptyFolder(t)
			environment := []string{"SALLYPORT_DEMO=" + folder + "/d"}
			for _, name := range []string{"SALLYPORT_DEMO_PORT", "SALLYPORT_DEMO_AUTH_PORT", "SALLYPORT_DEMO_DB_PORT"} {
				port, err := realserver.FreePort()
				if err != nil {
					t.Fatal(err)
				}
				environment = append(environment, fmt.Sprintf("%s=%d", name, port))
			}
			t.Cleanup(func() { // also when what follows fails
				cmd := exec.Command("../scripts/demo", "stop")
				cmd.Env = append(os.Environ(), environment...)
				if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "emo ") {
					t.Errorf("%v: %s", err, out)
				}
			})
			for _, db := range inTurn {
				demo := demos[db]
				out := demonstration(t, folder, "demo", []string{"start"}, append([]string{"DB=" + db}, environment...))
				lines := []string{"$ tctl status", "Logged in as:       alice", "$ tsh db ls", demo.database}
				lines = append(lines, demo.answer...)
				lines = append(lines, "$ tctl audit ls", "db.session.start")
				lines = append(lines, demo.events...)
				shows(t, out, append(lines, "db.session.end", "Go on by hand")...)
				byHand(t, out, demo.played)
				_, stop, _ := strings.Cut(out, "make -C ")
				if !strings.Contains(stop, "demo-stop") {
					t.Errorf("it does not say how it ends:\n%s", out)
				}
			}
			// What it says ends it does, whatever DB is then.
			if out := demonstration(t, folder, "demo", []string{"stop"}, environment); !strings.Contains(out, "The demo has ended") {
				t.Errorf("stop says %q", out)
			}
			for _, process := range processesIn(t, folder) {
				t.Errorf("still running: %s", process)
			}
		})
	}
}

// byHand does what a demonstration says can be done by hand.
func byHand(t *testing.T, out, played string) {
	t.Helper()
	_, rest, _ := strings.Cut(out, "in a shell:")
	for _, command := range []string{"tsh db connect ", "tsh play ", "tctl lock "} {
		at := strings.Index(rest, command)
		if at < 0 {
			t.Fatalf("no %s in\n%s", command, rest)
		}
		line, _, _ := strings.Cut(rest[at:], "\n")
		exports, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		cmd := exec.CommandContext(t.Context(), "bash", "-c", exports+"; "+line)
		cmd.Env = append(append(os.Environ(), settings(t)...), "GORACE="+races, "HOME="+t.TempDir())
		if said, err := cmd.CombinedOutput(); err != nil || command == "tsh play " && !strings.Contains(string(said), played) {
			t.Errorf("%s: %v: %s", line, err, said)
		}
	}
}

// processesIn returns the processes that a folder is named to, or that work in it.
func processesIn(t *testing.T, folder string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(all) == 0 {
		t.Fatalf("processes cannot be listed: %v", err)
	}
	for _, process := range all {
		command, err := os.ReadFile(filepath.Join(process, "cmdline"))
		if err != nil {
			continue // it has ended meanwhile
		}
		where, _ := os.Readlink(filepath.Join(process, "cwd"))
		if strings.Contains(string(command), folder) || strings.HasPrefix(where, folder) {
			found = append(found, strings.ReplaceAll(string(command), "\x00", " ")+" in "+where)
		}
	}
	return found
}
