package main

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/manual"
)

var update = flag.Bool("update", false, "write the manual instead of comparing it")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"teleport": main})
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Values[cloudKey] = new(*fakeaws.World)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await": await, "signal": sendSignal, "mode": mode, "systemd-verify": verifyUnit,
			"cloud": cloud,
		},
	})
}

func TestManualIsWhatTheCommandsSay(t *testing.T) {
	t.Parallel()
	if err := manual.Check(newRoot(), "../../docs/cli/teleport.md", *update); err != nil {
		t.Error(err)
	}
}

// await FILE TEXT waits until the file holds the text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	var data []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		data, _ = os.ReadFile(ts.MkAbs(args[0])) // it may not be there yet
		if strings.Contains(string(data), args[1]) {
			return
		}
	}
	ts.Fatalf("%s does not say %q:\n%s", args[0], args[1], data)
}

// signal NAME PIDFILE sends a signal to the process of a PID file.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signal NAME PIDFILE")
	}
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, signals[args[0]]))
}

// mode FILE OCTAL checks the permissions of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

// systemd-verify FILE lets systemd check a unit.
func verifyUnit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: systemd-verify FILE")
	}
	if out, err := exec.Command("systemd-analyze", "verify", ts.MkAbs(args[0])).CombinedOutput(); err != nil || len(out) > 0 {
		ts.Fatalf("systemd-analyze verify: %v\n%s", err, out)
	}
}
