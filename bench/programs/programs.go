// Package programs starts the commands of this project for benchmarks, and stops them again.
package programs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Patience is how long a program is waited for.
const Patience = 30 * time.Second

// Set is the programs of one benchmark. Not safe for concurrent use.
type Set struct {
	Dir  string // of their files
	Root string // of the project

	running []*exec.Cmd
}

// New returns a set with a new temporary folder. It is called in the project's folder.
func New() (*Set, error) {
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return nil, err
	}
	// PostgreSQL runs under its own account.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return &Set{Dir: dir, Root: root}, nil
}

// Path returns the path of a file in the set's folder.
func (s *Set) Path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Set) command(ctx context.Context, name string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Root, "bin", name), args...)
	cmd.Env = append(os.Environ(), "TELEPORT_HOME="+s.Path("tsh"), "HOME="+s.Dir)
	cmd.Dir = s.Dir
	return cmd
}

// Tool runs a command to its end and returns what it prints.
func (s *Set) Tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := s.command(ctx, name, args).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return out, nil
}

// Background starts a command whose output is appended to a file of the folder.
func (s *Set) Background(log, name string, args ...string) (*exec.Cmd, error) {
	cmd := s.command(context.Background(), name, args)
	output, err := os.OpenFile(s.Path(log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.running = append(s.running, cmd)
	return cmd, nil
}

// Stop ends what runs in the background, the last one first.
func (s *Set) Stop() {
	for i := len(s.running) - 1; i >= 0; i-- {
		_ = s.running[i].Process.Signal(os.Interrupt)
	}
	for _, p := range s.running {
		done := time.AfterFunc(5*time.Second, func() { _ = p.Process.Kill() })
		_ = p.Wait()
		done.Stop()
	}
	s.running = nil
}

// Ready waits until the daemon with a diagnostic address says that it is ready.
func Ready(ctx context.Context, diag string) error {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		res, err := http.Get("http://" + diag + "/readyz")
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	return errors.New("a daemon does not become ready; see the log")
}

// Listening waits until somebody listens on a loopback port.
func Listening(port string) error {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("nothing listens on port %s", port)
}

// Memory returns a figure of a running program in KiB, as /proc/PID/status calls it: VmRSS is what it has in memory now,
// VmHWM the most that it had. 0 if it has ended.
func Memory(cmd *exec.Cmd, figure string) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, figure+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// Number writes a figure with three digits or more.
func Number(v float64) string {
	if v >= 100 || v == float64(int(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
