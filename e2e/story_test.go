//go:build linux

// Package e2e_test runs stories: the three commands together with real databases, told as scripts in
// testdata. The commands are built once, with the race detector, and found on the PATH of each script.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/mariaserver"
	"sallyport/internal/realserver"
	"sallyport/internal/redisserver"
)

// patience is how long a busy machine may take for what takes moments.
const patience = 2 * time.Minute

// races makes a data race fail the command in which it is found, and spares those without one a second's sleep at the end.
const races = "halt_on_error=1 atexit_sleep_ms=0"

// binaries is the folder of the commands under test.
var binaries string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sallyport-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	syscall.Umask(0o022) // some stories act as users who may not do everything
	build := exec.Command("go", "build", "-buildvcs=false", "-race", "-o", dir+"/", "../cmd/teleport", "../cmd/tctl", "../cmd/tsh", "../cmd/fakeaws")
	out, err := build.CombinedOutput()
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "building the commands: %v\n%s", err, out)
		return 1
	}
	realserver.Undisturbed()
	return m.Run()
}

func TestStories(t *testing.T) {
	t.Parallel()
	stories, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var started atomic.Int32
	for _, file := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			tell(t, file, int(started.Add(1)))
		})
	}
}

// tell runs one story. Every story has a loopback address of its own, and therefore all ports, but for those
// that somebody listens on at all addresses.
func tell(t *testing.T, file string, number int) {
	s := &story{tb: t, processes: map[string]*process{}, kept: keptSecrets{}}
	testscript.Run(t, testscript.Params{
		Files:              []string{file},
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			pid := os.Getpid()
			ip := fmt.Sprintf("127.%d.%d.%d", 64+pid>>8&63, pid&255, number)
			for _, pair := range [][2]string{
				{"PATH", filepath.Join(env.WorkDir, ".hosts") + ":" + binaries + ":" + env.Getenv("PATH")},
				{"HOME", env.WorkDir},
				{"GORACE", races},
				{"TERM", "dumb"}, {"PSQL_PAGER", "cat"}, {"PSQLRC", "/dev/null"},
				{"IP", ip}, {"AUTH", ip + ":23025"}, {"PROXY", ip + ":23080"},
			} {
				env.Setenv(pair[0], pair[1])
			}
			env.Defer(func() { s.stopAll(env.T()) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run": s.run, "tty": s.tty, "say": s.say, "hear": s.hear, "press": s.press, "signal": s.signal, "ends": s.ends,
			"host": s.host, "cloud": s.cloud, "secrets": s.secrets, "keep": s.keep, "follow": s.follow, "followed": s.followed, "postgres": s.postgres, "sql": s.sql, "logged": s.logged,
			"mongodb": s.mongodb, "ferretdb": ferretdb, "redis": s.redis, "rdo": s.rdo,
			"mariadb": s.mariadb, "mariasql": s.mariasql,
			"accept": accept, "totp": totpCode, "webcert": webCert,
			"await": await, "served": served, "setfrom": setFrom, "expand": expand, "block": pageBlock,
		},
	})
}

// story is what belongs to one script while it runs.
type story struct {
	tb        testing.TB
	processes map[string]*process
	names     []string // of the processes, in the order of their start
	servers   map[string]*server
	redises   map[string]*redisserver.Server
	mariadbs  map[string]*mariaserver.Server
	guides    map[string]*guide // that are followed, by file
	kept      keptSecrets
}

// scripted is a testing.TB for one step of a script. What is fatal in it ends the script, as only the script itself can.
type scripted struct {
	testing.TB
	script *testscript.TestScript
}

func (s *story) in(script *testscript.TestScript) testing.TB { return scripted{s.tb, script} }

func (s scripted) Fatal(args ...any)                 { s.Fatalf("%s", fmt.Sprint(args...)) }
func (s scripted) Fatalf(format string, args ...any) { s.script.Fatalf(format, args...) }
