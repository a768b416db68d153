// Package realnames gives a program a network of its own, in which the names and addresses of AWS lead to a local AWS and
// nothing leads out.
//
// Inside there are: loopback; the documentation ranges 198.51.100.0/24 and 203.0.113.0/24, all of whose addresses are this
// machine's own and look public; the addresses of instance metadata; a private /etc/hosts and no name server; ports below
// 1024 for everybody. Root is not needed: without it a user namespace is made as well.
package realnames

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Ranges are the addresses that can be listened on inside, besides loopback.
var Ranges = []string{"198.51.100.0/24", "203.0.113.0/24"}

// inside marks the environment of a program that runs in its own network already.
const inside = "FAKEAWS_REALNAMES"

// where the parts of the system are that are replaced inside.
const (
	hostsFile    = "/etc/hosts"
	resolverFile = "/etc/resolv.conf"
	trustFile    = "/etc/ssl/certs/ca-certificates.crt"
)

// Inside says whether this program runs in a network of its own.
func Inside() bool { return os.Getenv(inside) != "" }

// Enter runs this program once more, with the same arguments, in a network of its own, and gives its exit code. Inside,
// Prepare must be called first.
func Enter(ctx context.Context) (code int, err error) {
	if Inside() {
		return 0, errors.New("this program is inside already")
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(slices.DeleteFunc(os.Environ(), namesProxy), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // whose end is what the child dies of
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		return failed.ExitCode(), nil
	}
	return 0, err
}

// namesProxy says whether a variable names a proxy for HTTP, which cannot be reached from the inside either.
func namesProxy(variable string) bool {
	name, _, _ := strings.Cut(strings.ToUpper(variable), "=")
	return slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}, name)
}

// Network is the inside.
type Network struct{ dir string }

// Prepare sets the network up. It changes this process and what it starts, and is called once.
func Prepare(ctx context.Context) (*Network, error) {
	if !Inside() {
		return nil, errors.New("this would change the machine's own network")
	}
	commands := []string{"ip link set lo up", "ip address add 169.254.169.254/32 dev lo", "ip address add 169.254.170.2/32 dev lo"}
	for _, all := range Ranges {
		commands = append(commands, "ip route add local "+all+" dev lo")
	}
	for _, line := range commands {
		words := strings.Fields(line)
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("taking the mounts private: %w", err)
	}
	dir, err := os.MkdirTemp("", "realnames-")
	if err != nil {
		return nil, err
	}
	n := &Network{dir}
	if err := n.Hosts("127.0.0.1 localhost\n::1 localhost\n"); err != nil {
		return nil, err
	}
	return n, n.replace(resolverFile, []byte("nameserver 127.0.0.1\n")) // where nobody answers
}

// replace puts a file of our own in the place of one of the system's, for this program and what it starts. Replaced once
// more, its content changes.
func (n *Network) replace(path string, content []byte) error {
	own := filepath.Join(n.dir, filepath.Base(path))
	_, err := os.Stat(own)
	mounted := err == nil
	if err := os.WriteFile(own, content, 0o644); err != nil {
		return err
	}
	if mounted {
		return nil
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a system without it needs none instead
	}
	if err != nil {
		return err
	}
	if err := syscall.Mount(own, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	return nil
}

// Hosts replaces /etc/hosts. Go programs look at it again after five seconds only: write it before the first look-up.
func (n *Network) Hosts(text string) error { return n.replace(hostsFile, []byte(text)) }

// Trust makes an authority trusted by all programs that use the system's trust store, and by nobody else's certificates.
func (n *Network) Trust(bundle []byte) error { return n.replace(trustFile, bundle) }

// Close removes the files; the rest ends with the process.
func (n *Network) Close() { _ = os.RemoveAll(n.dir) } // what is left in a temporary folder does no harm

// Main runs the tests of a package in a network of its own: func TestMain(m *testing.M) { realnames.Main(m, setUp) }.
// setUp may be nil.
func Main(m *testing.M, setUp func(*Network) error) { os.Exit(run(m, setUp)) }

func run(m *testing.M, setUp func(*Network) error) int {
	ctx := context.Background()
	if !Inside() {
		code, err := Enter(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, "entering a network of its own:", err)
			return 1
		}
		return code
	}
	network, err := Prepare(ctx)
	if err == nil {
		defer network.Close()
		if setUp != nil {
			err = setUp(network)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "preparing a network of its own:", err)
		return 1
	}
	return m.Run()
}
