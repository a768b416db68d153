// Package e2e_test runs stories: the three commands together with real databases, told as scripts in
// testdata. The commands are built once, with the race detector, and found on the PATH of each script.
package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

// binaries is the folder of the commands under test.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sallyport-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	build := exec.Command("go", "build", "-race", "-o", dir+"/", "../cmd/teleport", "../cmd/tctl", "../cmd/tsh")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the commands: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", binaries+":"+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TELEPORT_HOME", filepath.Join(env.WorkDir, "tsh"))
			env.Setenv("GORACE", "halt_on_error=1")
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ports":      ports,
			"await":      await,
			"awaitport":  awaitPort,
			"setfrom":    setFrom,
			"expand":     expand,
			"postgres":   postgres,
			"totp":       totpCode,
			"psql":       psql,
			"invite":     acceptInvite,
			"killgroup":  killGroup,
			"background": background,
		},
	})
}

const patience = 30 * time.Second

// ports sets variables to free loopback ports.
func ports(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		_, port, err := net.SplitHostPort(listener.Addr().String())
		ts.Check(err)
		ts.Check(listener.Close())
		ts.Setenv(name, port)
	}
}

// await runs a command until it succeeds: await [STDOUT-TEXT] -- COMMAND...
func await(ts *testscript.TestScript, neg bool, args []string) {
	want := ""
	if args[0] != "--" {
		want, args = args[0], args[1:]
	}
	args = args[1:]
	var last bytes.Buffer
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		last.Reset()
		cmd := command(ts, args)
		cmd.Stdout, cmd.Stderr = &last, &last
		err := cmd.Run()
		if (err == nil && strings.Contains(last.String(), want)) != neg {
			return
		}
	}
	ts.Fatalf("%s did not come to %q (negated %v); last output:\n%s", strings.Join(args, " "), want, neg, last.String())
}

// command returns a command with the script's environment and folder.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := args[0]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if candidate := filepath.Join(dir, args[0]); !strings.Contains(args[0], "/") && executable(candidate) {
			path = candidate
			break
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TELEPORT_HOME", "GORACE", "TMPDIR", "PGSERVICEFILE", "TELEPORT_PROXY", "TELEPORT_IDENTITY_FILE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0 && !info.IsDir()
}

// awaitPort waits until something listens on a port.
func awaitPort(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+args[0]); err == nil {
			ts.Check(conn.Close())
			return
		}
	}
	ts.Fatalf("nothing listens on port %s", args[0])
}

// setFrom sets a variable to the trimmed content of a file: setfrom NAME FILE [PREFIX-OF-LINE].
func setFrom(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	if len(args) == 3 {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, args[2]); ok {
				text = rest
				break
			}
		}
	}
	ts.Setenv(args[0], strings.TrimSpace(text))
}

// expand replaces $NAME by the script's variables in files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// totpCode sets a variable to the code of a secret for a number of seconds from now: totp NAME SECRET [SECONDS].
func totpCode(ts *testscript.TestScript, _ bool, args []string) {
	at := time.Now()
	if len(args) == 3 {
		offset, err := time.ParseDuration(args[2] + "s")
		ts.Check(err)
		at = at.Add(offset)
	}
	code, err := totp.GenerateCode(args[1], at)
	ts.Check(err)
	ts.Setenv(args[0], code)
}

var errNoFile = errors.New("file is missing")
