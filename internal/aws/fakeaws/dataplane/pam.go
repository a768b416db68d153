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

// pamMethod has passwords verified by a script, which PAM runs through pam_script (pam_exec cuts them off at 511 bytes).
// pam_wrapper keeps the machine's own PAM out of it.
func (p *Plane) pamMethod(_ context.Context, config Config) (func(int) string, []string, error) {
	script, err := filepath.Glob(pamScript)
	wrapper, err2 := filepath.Glob(pamWrapper)
	if err := errors.Join(err, err2); err != nil {
		return nil, nil, err
	}
	if len(script) == 0 || len(wrapper) == 0 || len(config.VerifyCommand) == 0 {
		return nil, nil, errors.New("PAM needs the packages libpam-script and libpam-wrapper, and a command that verifies")
	}
	owner, err := findOther()
	if err != nil {
		return nil, nil, err
	}
	if owner == nil || !owner.swapped {
		return nil, nil, errors.New("PAM needs root, and more numbers of users than its: pam_script runs only what belongs to root")
	}
	program, err := exec.LookPath(config.VerifyCommand[0])
	if err != nil {
		return nil, nil, err
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "fakeaws-pam-")
	if err != nil {
		return nil, nil, err
	}
	p.cleanup = append(p.cleanup, func() { removePAM(dir) })
	services := filepath.Join(dir, "services")
	for n, endpoint := range config.Endpoints {
		name := fmt.Sprintf("rds-%d", n)
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
				return nil, nil, err
			}
			if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
				return nil, nil, err
			}
			for _, one := range []string{filepath.Dir(path), path} { // the server takes this account for root
				if err := os.Chown(one, owner.uid, owner.gid); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	env := []string{"LD_PRELOAD=" + wrapper[0], "PAM_WRAPPER=1", "PAM_WRAPPER_SERVICE_DIR=" + services}
	return func(n int) string { return fmt.Sprintf("pam pamservice=rds-%d", n) }, env, nil
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
