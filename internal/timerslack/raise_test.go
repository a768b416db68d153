//go:build linux

package timerslack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/timerslack"
)

// TestMain is also the program that raises its slack and says what came of it.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "raise" {
		timerslack.Raise()
		fmt.Println(strings.Join(slackOfAllThreads(), " "), os.Args[2], len(os.Environ()), processName())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// processName is what ps and pgrep know.
func processName() string {
	name, _ := os.ReadFile("/proc/self/comm")
	return strings.TrimSpace(string(name))
}

// slackOfAllThreads returns the nanoseconds of each thread of this process.
func slackOfAllThreads() []string {
	threads, _ := os.ReadDir("/proc/self/task")
	var slack []string
	for _, thread := range threads {
		value, _ := os.ReadFile("/proc/" + thread.Name() + "/timerslack_ns")
		slack = append(slack, strings.TrimSpace(string(value)))
	}
	return slack
}

func TestEveryThreadHasTheSlackAndTheProgramItsArguments(t *testing.T) {
	t.Parallel()
	for name, preset := range map[string]uintptr{"with the usual slack": 0, "with more than is asked for": uintptr(2 * timerslack.Enough)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "raise", "an argument")
			cmd.Env = []string{"A=1", "B=2"}
			want := fmt.Sprint(int64(timerslack.Enough))
			if preset != 0 {
				want = fmt.Sprint(preset)
			}
			out, err := startWithSlack(cmd, preset)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			threads, rest, _ := strings.Cut(string(out), " an argument ")
			if rest != "2 "+filepath.Base(program)[:15]+"\n" { // the kernel keeps that much
				t.Errorf("the program got %q; its argument, two variables and its own name are wanted", out)
			}
			for slack := range strings.FieldsSeq(threads) {
				if slack != want {
					t.Errorf("a thread has a slack of %s ns, want %s", slack, want)
				}
			}
			if len(strings.Fields(threads)) < 2 {
				t.Errorf("the runtime's threads are missing: %q", threads)
			}
		})
	}
}

// startWithSlack runs the command from a thread with the slack; 0 leaves the usual one.
func startWithSlack(cmd *exec.Cmd, slack uintptr) (out []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its slack
		if slack != 0 {
			if err = unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0); err != nil {
				return
			}
		}
		out, err = cmd.CombinedOutput()
	}()
	<-done
	return out, err
}
