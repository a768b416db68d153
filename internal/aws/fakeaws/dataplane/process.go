package dataplane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keeper runs a server and ends it, by the signal that is its first argument, when its own input ends, which happens even
// when this process is killed.
const keeper = `signal=$1; shift; exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{ read -r _ <&3; kill "-$signal" "$server"; } 2>/dev/null &
reader=$!
wait "$server"
kill "$reader" 2>/dev/null`

// program is what a process runs.
type program struct {
	name       string   // for people
	args       []string // the first is the program's path
	dir        string
	env        []string
	attributes *syscall.SysProcAttr
	signal     string      // that ends it at once, such as INT
	ready      string      // what it logs when it can be used
	answers    func() bool // whether it can be used, for those that do not log it
}

// process is a server that runs.
type process struct {
	alive  io.Closer // the server ends when it is closed
	exited chan struct{}

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// foreign are beginnings of the names of variables by which databases' programs would go elsewhere, come as somebody else, or
// speak another language.
var foreign = []string{"PG", "PSQL", "MYSQL", "MARIADB", "LC_", "LANG"}

// environment returns this process's variables without those.
func environment() []string {
	own := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(foreign, func(beginning string) bool { return strings.HasPrefix(variable, beginning) })
	})
	return append(own, "LC_ALL=C.UTF-8")
}

// run starts a server and returns when it is ready. It is to be stopped in any case.
func (p *process) run(ctx context.Context, program program) error {
	cmd := exec.Command("sh", append([]string{"-c", keeper, "sh", program.signal}, program.args...)...)
	cmd.Dir = program.dir
	cmd.Env = append(environment(), program.env...)
	cmd.SysProcAttr = program.attributes
	output, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", program.name, err)
	}
	p.alive, p.exited = alive, make(chan struct{})
	ready := make(chan struct{})
	go func() { // ends with the server; stop waits for it
		defer close(p.exited)
		p.read(output, []byte(program.ready), ready)
		_ = cmd.Wait() // how it ended is in the log
	}()
	if p.awaits(ctx, program, ready) {
		return nil
	}
	return errors.Join(ctx.Err(), fmt.Errorf("%s does not start; its log:\n%s", program.name, p.Log()))
}

func (p *process) awaits(ctx context.Context, program program, ready chan struct{}) bool {
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ready:
			return true
		case <-look.C:
			if program.answers != nil && program.answers() {
				return true
			}
		case <-p.exited:
			return false
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (p *process) read(output io.Reader, announcement []byte, ready chan struct{}) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	announced := false
	for lines.Scan() {
		p.mu.Lock()
		p.log.Write(append(lines.Bytes(), '\n'))
		p.mu.Unlock()
		if !announced && len(announcement) > 0 && bytes.Contains(lines.Bytes(), announcement) {
			announced = true
			close(ready)
		}
	}
	_, _ = io.Copy(io.Discard, output) // a line beyond all bounds must not stop the server
}

// Log is what the server has logged so far.
func (p *process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// end makes the server end and waits for it.
func (p *process) end() {
	if p.alive != nil {
		_ = p.alive.Close()
		<-p.exited
	}
}
