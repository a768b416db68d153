//go:build unix

// Package realserver is what packages that start real servers for tests have in common: a process that does not
// outlive the test, the account that it runs under, and certificates. It is imported by tests only.
package realserver

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Timeout is how long a server may take to start, stop or do what a test asks of it. It is long, as it only keeps
// a broken test from hanging.
const Timeout = 2 * time.Minute

const poll = 5 * time.Millisecond

// watchdog runs the server until that ends, or ends it by the signal that is its first argument when the input ends,
// which happens even when the test process is killed.
const watchdog = `signal=$1; shift; exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read _ <&3; kill -$signal $server; } 2>/dev/null & reader=$!
wait $server
kill $reader 2>/dev/null`

// Command is what a Process runs.
type Command struct {
	Name    string // of the server, for people
	Account *Account
	Dir     string
	Log     string // file that output is appended to
	Signal  string // that ends the server at once, such as INT
	Args    []string
	Ready   func() bool // asked until it is true
}

// Process is a server that runs.
type Process struct {
	name   string
	alive  io.Closer // the server ends when it is closed
	exited chan struct{}
}

// Start starts a server and returns when it is ready.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("sh", append([]string{"-c", watchdog, "sh", c.Signal}, c.Args...)...)
	cmd.Dir = c.Dir
	cmd.Env = Environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = c.Account.Attributes()
	p := &Process{name: c.Name, exited: make(chan struct{})}
	if p.alive, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", c.Name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	deadline := time.Now().Add(Timeout)
	for !c.Ready() {
		if time.Now().After(deadline) {
			content, _ := os.ReadFile(c.Log)
			t.Fatalf("%s does not start; its log:\n%s", c.Name, content)
		}
		time.Sleep(poll)
	}
	return p
}

// Stop ends the server at once and waits for its end.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	_ = p.alive.Close()
	p.wait(t)
}

func (p *Process) wait(t testing.TB) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(Timeout):
		t.Errorf("%s does not stop", p.name)
	}
}

// Kill ends the process of the number, which is the server's own, and waits for its end.
func (p *Process) Kill(t testing.TB, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	_ = p.alive.Close()
}

// Tail returns the last lines of a log, none of them long.
func Tail(log string) string {
	const lines, width = 60, 200
	all := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = line[:min(len(line), width)]
	}
	return strings.Join(all, "\n")
}

// Copy copies a directory with all that is in it, as cheaply as the file system can.
func Copy(from, to string) error {
	if out, err := exec.Command("cp", "-a", "--reflink=auto", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s: %w: %s", from, err, out)
	}
	return nil
}
