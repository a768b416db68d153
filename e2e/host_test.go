//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// host makes a machine of its own out of this one: the programs are the same; /etc is a copy, and /root,
// /run, /tmp and /var are empty. Afterwards NAME is a command that runs others there: host NAME [LINE-OF-ETC-HOSTS...].
// After the command cloud, hosts are in the network of the local AWS. The folder in the variable TOOLS is there too.
func (s *story) host(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: host NAME [LINE-OF-ETC-HOSTS...]")
	}
	name := args[0]
	root := ts.MkAbs(name)
	scripts := ts.MkAbs(".hosts")
	ts.Check(os.MkdirAll(scripts, 0o755))
	ts.Check(os.WriteFile(filepath.Join(scripts, "make-host"), []byte(makeHost), 0o755))
	holder := "host-" + name
	start := []string{holder}
	if pid := ts.Getenv("CLOUD"); pid != "" {
		start = append(start, "nsenter", "--net", "--mount", "--target", pid, "env", "--chdir="+ts.MkAbs("."))
	}
	s.run(ts, false, append(append(start, "unshare", "--mount", "--propagation=private", "sh", filepath.Join(scripts, "make-host"),
		root, ts.MkAbs("."), binaries, ts.Getenv("TOOLS")), args[1:]...))
	s.hear(ts, false, []string{holder, "ready"})
	pid := s.processes[holder].cmd.Process.Pid
	enter := fmt.Sprintf(enterHost, pid, pid, root)
	ts.Check(os.WriteFile(filepath.Join(scripts, name), []byte(enter), 0o755))
}

// makeHost fills a folder and keeps its mount namespace until the end.
const makeHost = `
set -eu
root=$1 work=$2 binaries=$3 tools=$4
shift 4
if [ -n "$tools" ]; then
	mkdir -p "$root$tools"
	mount --bind "$tools" "$root$tools"
fi
mkdir -p "$root/root" "$root/run" "$root/tmp" "$root/var/lib" "$root/var/tmp" "$root$work" "$root$binaries"
cp -a /etc "$root/etc"
rm -rf "$root/etc/teleport.yaml" "$root/etc/systemd/system/teleport.service" "$root/etc/default/teleport"
for line in "$@"; do echo "$line" >>"$root/etc/hosts"; done
for dir in bin dev lib lib64 opt proc sbin sys usr; do
	if [ -L "/$dir" ]; then
		cp -P "/$dir" "$root/$dir"
	elif [ -d "/$dir" ]; then
		mkdir -p "$root/$dir" # it is there already where the work is below it
		mount --rbind "/$dir" "$root/$dir"
	fi
done
mount --bind "$work" "$root$work"
mount --bind "$binaries" "$root$binaries"
echo ready
read -r _
`

// enterHost is the command that carries a host's name.
const enterHost = `#!/bin/sh
export HOME=/root TMPDIR=/tmp
exec nsenter --net=/proc/%d/ns/net --mount=/proc/%d/ns/mnt chroot %s "$@"
`
