//go:build linux

package e2e_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"sallyport/internal/route"
)

// process is a program that runs beside the script, in a process group of its own.
type process struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output transcript
	done   chan struct{} // closed when the program has ended and its output is complete
}

// transcript is what a program has printed, and how much of it the script has heard.
type transcript struct {
	mu    sync.Mutex
	text  []byte // guarded by mu
	heard int    // guarded by mu
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	return len(p), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// hear returns what matches in the text that was not heard yet, with its groups, and takes it as heard.
func (t *transcript) hear(pattern *regexp.Regexp) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := t.text[t.heard:]
	found := pattern.FindSubmatchIndex(rest)
	if found == nil {
		return nil
	}
	t.heard += found[1]
	var groups []string
	for i := 0; i < len(found); i += 2 {
		groups = append(groups, string(rest[max(found[i], 0):max(found[i+1], 0)]))
	}
	return groups
}

// run starts a program beside the script: run NAME COMMAND... Its output goes to the file NAME.out when it
// has ended.
func (s *story) run(ts *testscript.TestScript, neg bool, args []string) {
	cmd, p := s.prepare(ts, neg, args)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	var err error
	p.input, err = cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ends reads the code from the state
	}()
}

// tty is run on a terminal of the program's own.
func (s *story) tty(ts *testscript.TestScript, neg bool, args []string) {
	cmd, p := s.prepare(ts, neg, args)
	terminal, line, err := openTerminal()
	ts.Check(err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
	p.input = terminal
	if err := cmd.Start(); err != nil {
		ts.Check(errors.Join(err, line.Close(), terminal.Close()))
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&p.output, untilOver{terminal})
	}()
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
		_, _ = line.Write([]byte{over})
		<-read
		_ = line.Close()
		_ = terminal.Close()
	}()
}

// over is written to a terminal behind all that its program has written. Without it, the line would have to be closed for the
// end to be known, and what was written last is lost now and then with that.
const over = 0

// untilOver reads what comes from a terminal before that.
type untilOver struct{ from io.Reader }

func (u untilOver) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if end := bytes.IndexByte(p[:n], over); end >= 0 {
		return end, io.EOF
	}
	return n, err
}

// openTerminal returns the two ends of a pseudo-terminal (pts(4)).
func openTerminal() (terminal, line *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	terminal = os.NewFile(uintptr(fd), "ptmx")
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200})
	}
	if err == nil {
		line, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, terminal.Close())
	}
	return terminal, line, nil
}

func (s *story) prepare(ts *testscript.TestScript, neg bool, args []string) (*exec.Cmd, *process) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: run NAME COMMAND...")
	}
	cmd := command(ts, args[1:])
	p := &process{cmd: cmd, done: make(chan struct{})}
	if old := s.processes[args[0]]; old != nil && !old.ended() {
		ts.Fatalf("%s is still running", args[0])
	}
	s.processes[args[0]] = p
	s.names = append(slices.DeleteFunc(s.names, func(name string) bool { return name == args[0] }), args[0])
	return cmd, p
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (s *story) find(ts *testscript.TestScript, args []string, least int) *process {
	if len(args) < least || s.processes[args[0]] == nil {
		ts.Fatalf("name a program that was started with run or tty, and what to do: %q", args)
	}
	return s.processes[args[0]]
}

// say types a line: say NAME [TEXT]. Without text it ends the program's input.
func (s *story) say(ts *testscript.TestScript, _ bool, args []string) {
	p := s.find(ts, args, 1)
	if len(args) == 1 {
		ts.Check(p.input.Close())
		return
	}
	_, err := io.WriteString(p.input, strings.Join(args[1:], " ")+"\n")
	ts.Check(err)
}

// press types a key on a program's terminal: press NAME ^C.
func (s *story) press(ts *testscript.TestScript, _ bool, args []string) {
	p := s.find(ts, args, 2)
	_, err := p.input.Write([]byte{args[1][1] & 0x1f})
	ts.Check(err)
}

// hear waits until a program prints something that matches, after what was heard before: hear NAME REGEXP.
// The variable HEARD is what the first group of the pattern matched. Negated, it checks that nothing that it has printed at all matches.
func (s *story) hear(ts *testscript.TestScript, neg bool, args []string) {
	p := s.find(ts, args, 2)
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if neg {
		if pattern.MatchString(p.output.String()) {
			ts.Fatalf("%s printed %q:\n%s", args[0], args[1], p.output.String())
		}
		return
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		ended := p.ended()
		if groups := p.output.hear(pattern); groups != nil {
			if len(groups) > 1 {
				ts.Setenv("HEARD", groups[1])
			}
			return
		}
		if ended {
			ts.Fatalf("%s ended (%s) without %q:\n%s", args[0], p.cmd.ProcessState, args[1], p.output.String())
		}
	}
	ts.Fatalf("%s did not print %q:\n%s", args[0], args[1], p.output.String())
}

// signal sends a signal to a program and its children, as a terminal does: signal NAME INT.
func (s *story) signal(ts *testscript.TestScript, _ bool, args []string) {
	p := s.find(ts, args, 2)
	number := unix.SignalNum("SIG" + args[1])
	if number == 0 {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(syscall.Kill(-p.cmd.Process.Pid, number))
}

// ends waits for the end of a program and checks its exit code: ends NAME [CODE].
func (s *story) ends(ts *testscript.TestScript, _ bool, args []string) {
	p := s.find(ts, args, 1)
	want := 0
	if len(args) == 2 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s", args[0], p.output.String())
	}
	text := p.output.String()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(text), 0o600))
	if code := p.cmd.ProcessState.ExitCode(); code != want {
		ts.Fatalf("%s ended with %s, not with code %d:\n%s", args[0], p.cmd.ProcessState, want, text)
	}
}

// stopAll ends what still runs, the last one first, and tells of programs that did not end well. A race
// ends a program with code 66.
func (s *story) stopAll(t testscript.T) {
	for _, name := range slices.Backward(s.names) {
		p := s.processes[name]
		if p.ended() {
			continue
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(patience):
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.done
			t.Log(name + " did not stop:\n" + p.output.String())
			s.tb.Fail()
		}
	}
	for _, name := range s.names {
		text := s.processes[name].output.String()
		if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
			t.Log(name + " failed:\n" + text)
			s.tb.Fail()
		}
		if t.Verbose() {
			t.Log("output of " + name + ":\n" + text)
		}
	}
}

// command returns a command with the script's environment and folder.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path := args[0]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		candidate := filepath.Join(dir, args[0])
		if info, err := os.Stat(candidate); !strings.Contains(args[0], "/") && err == nil && info.Mode()&0o111 != 0 && !info.IsDir() {
			path = candidate
			break
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range environment {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// environment are the variables of the script that commands of this package pass on; a script cannot list
// its own.
var environment = []string{
	"PATH", "HOME", "TMPDIR", "TERM", "GORACE", "SSL_CERT_FILE", "PSQL_PAGER", "PSQLRC", "PGSERVICEFILE", "PGCONNECT_TIMEOUT", "DISABLE_TELEMETRY",
	"IP", "PROXY", "TELEPORT_HOME", "TELEPORT_PROXY", "TELEPORT_IDENTITY_FILE", "TELEPORT_CONFIG_FILE",
}

// await runs a command until it succeeds and its output matches: await REGEXP COMMAND... Negated, until
// it fails or its output does not match.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await REGEXP COMMAND...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out bytes.Buffer
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out.Reset()
		cmd := command(ts, args[1:])
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if (err == nil && pattern.Match(out.Bytes())) != neg {
			fmt.Fprint(ts.Stdout(), out.String())
			return
		}
	}
	ts.Fatalf("%s does not come to %q (negated: %v); last output:\n%s", strings.Join(args[1:], " "), args[0], neg, out.String())
}

// served waits until an agent serves databases of the cluster test.local through the proxy: served NAME... That they are listed
// comes before that: the agent gets its certificate for a name when it has registered it.
func served(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: served NAME...")
	}
	for _, name := range args {
		shaking := &tls.Config{ServerName: route.ServerName(name, "test.local"), InsecureSkipVerify: true} // its certificate is others' to verify
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			conn, err := tls.Dial("tcp", ts.Getenv("PROXY"), shaking)
			if err == nil {
				_ = conn.Close() // the agent may have hung up on who shows no certificate
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("%s is not served: %v", name, err)
			}
		}
	}
}
