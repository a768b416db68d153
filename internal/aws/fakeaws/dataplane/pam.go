package dataplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sallyport/internal/aws/fakeaws"
)

const (
	pamScript  = "/usr/lib/*/security/pam_script.so"
	pamWrapper = "/usr/lib/*/libpam_wrapper.so"
)

// pamMethod has PostgreSQL ask PAM.
func (p *Plane) pamMethod(_ context.Context, config Config) (func(int) string, []string, error) {
	owner, err := findOther()
	if err != nil {
		return nil, nil, err
	}
	if owner == nil || !owner.swapped {
		return nil, nil, errors.New("PAM needs root, and more numbers of users than its: pam_script runs only what belongs to root")
	}
	env, err := p.preparePAM(config, owner)
	return func(n int) string { return "pam pamservice=" + pamService(n) }, env, err
}

// pamService is the name under which PAM judges logins at the n-th endpoint.
func pamService(n int) string { return fmt.Sprintf("rds-%d", n) }

// preparePAM makes services that have passwords verified by a script, which PAM runs through pam_script (pam_exec cuts them
// off at 511 bytes), and gives the environment of the server that asks them: pam_wrapper keeps the machine's own PAM out of
// it. The server takes the owner for root; nil is this process's own account.
func (p *Plane) preparePAM(config Config, owner *other) (env []string, err error) {
	script, err := filepath.Glob(pamScript)
	wrapper, err2 := filepath.Glob(pamWrapper)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if len(script) == 0 || len(wrapper) == 0 || len(config.VerifyCommand) == 0 {
		return nil, errors.New("PAM needs the packages libpam-script and libpam-wrapper, and a command that verifies")
	}
	program, err := exec.LookPath(config.VerifyCommand[0])
	if err != nil {
		return nil, err
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "fakeaws-pam-")
	if err != nil {
		return nil, err
	}
	p.cleanup = append(p.cleanup, func() { removePAM(dir) })
	services := filepath.Join(dir, "services")
	for n, endpoint := range config.Endpoints {
		name := pamService(n)
		scripts := filepath.Join(dir, strconv.Itoa(n))
		command := []string{"exec", quote(program)}
		for _, argument := range append(config.VerifyCommand[1:], "--service", fakeaws.RDSConnect, "--host", endpoint.Host) {
			command = append(command, quote(argument))
		}
		rules := fmt.Sprintf("auth required %s dir=%s\naccount required %s dir=%s\n", script[0], scripts, script[0], scripts)
		for path, content := range map[string]string{filepath.Join(services, name): rules, filepath.Join(services, "other"): "auth required pam_deny.so\n",
			filepath.Join(scripts, "pam_script_auth"): "#!/bin/sh\nunset LD_PRELOAD\n" + strings.Join(command, " ") + "\n",
			filepath.Join(scripts, "pam_script_acct"): "#!/bin/sh\n"} {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
				return nil, err
			}
			for _, one := range []string{filepath.Dir(path), path} {
				if err := os.Chmod(one, 0o755); err != nil { // the server's account may be another, whatever the umask
					return nil, err
				}
				if owner == nil {
					continue
				}
				if err := os.Chown(one, owner.uid, owner.gid); err != nil {
					return nil, err
				}
			}
		}
	}
	return []string{"LD_PRELOAD=" + wrapper[0], "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR=" + services}, nil
}

// removePAM removes the rules and scripts, and the copies of them that pam_wrapper leaves in /tmp.
func removePAM(dir string) {
	copies, _ := filepath.Glob("/tmp/pam.?") // the pattern is good
	for _, one := range copies {
		rules, err := os.ReadFile(filepath.Join(one, "rds-0"))
		if err == nil && strings.Contains(string(rules), dir+"/") {
			_ = os.RemoveAll(one) // what is left in /tmp does no harm
		}
	}
	_ = os.RemoveAll(dir) // likewise
}

func quote(argument string) string { return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'" }
