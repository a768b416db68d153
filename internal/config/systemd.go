package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"sallyport/internal/fault"
)

// Unit is what `teleport install systemd` was asked for. All fields must be set.
type Unit struct {
	Program string // absolute path of the daemon's binary
	EnvFile string // absolute path; need not exist
	PIDFile string // absolute path
	FDLimit int    // open files
}

// SystemdUnit returns the unit that runs the daemon with DefaultPath.
func SystemdUnit(u Unit) ([]byte, error) {
	for _, one := range []struct{ flag, path string }{
		{"--teleport-path", u.Program}, {"--env-file", u.EnvFile}, {"--pid-file", u.PIDFile},
	} {
		// What is left out has a meaning of its own in units (systemd.syntax(7), systemd.unit(5)).
		if !filepath.IsAbs(one.path) || strings.ContainsFunc(one.path, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`%$"'\;`, r) }) {
			return nil, fault.New(fault.BadParameter, "%s: %q must be an absolute path without spaces, quotes, and the signs %% $ ; and \\", one.flag, one.path)
		}
	}
	if u.FDLimit < 1024 {
		return nil, fault.New(fault.BadParameter, "--fd-limit: %d open files are too few; use at least 1024", u.FDLimit)
	}
	return fmt.Appendf(nil, unitText, u.EnvFile, u.Program, DefaultPath, u.PIDFile, u.FDLimit), nil
}

const unitText = `[Unit]
Description=Sallyport database access (teleport)
After=network.target

[Service]
Type=simple
Restart=on-failure
# After a drain too, which ends with 0.
RestartForceExitStatus=0
RestartSec=5s
EnvironmentFile=-%[1]s
ExecStart=%[2]s start --config %[3]s --pid-file=%[4]s
PIDFile=%[4]s
LimitNOFILE=%[5]d

# The configuration is read at the start; after changes: systemctl restart.
# That ends sessions. To let them end by themselves, for ten minutes at most and without new ones: systemctl kill --signal=SIGQUIT,
# and the daemon starts again when they have ended.

# Memory holds keys and what users query: no core dumps.
LimitCORE=0
NoNewPrivileges=yes
# State goes to /var and /run. /tmp stays shared, because join tokens are often handed over there.
ProtectSystem=full
ProtectHome=read-only
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
CapabilityBoundingSet=~CAP_BPF CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_PTRACE CAP_SYS_TIME

[Install]
WantedBy=multi-user.target
`
