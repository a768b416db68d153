package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// mariadb is a running MariaDB.
type mariadb struct {
	process
	dir string
	// as is what accounts are made with in place of RDS's own plugin, which MariaDB lacks.
	as string
	// endpoints says how many there are whose logins the server judges itself; see spread.
	endpoints int
}

type mariadbConfig struct {
	Address          string // of a loopback port, or "" for the socket only
	Certificate, Key []byte // PEM; nil: no TLS
	Env              []string
	Settings         []string
}

// small are settings of a server that keeps little, without care for what happens when the machine stops.
var small = []string{"innodb_log_file_size=4M", "innodb_data_file_path=ibdata1:4M:autoextend", "innodb_autoextend_increment=1", "aria_log_file_size=8M",
	"innodb_flush_log_at_trx_commit=0", "innodb_flush_method=nosync", "innodb_buffer_pool_size=32M"}

// start starts the server. It is to be stopped in any case.
func (m *mariadb) start(ctx context.Context, config mariadbConfig) error {
	daemon, err := exec.LookPath("mariadbd")
	if err != nil {
		daemon = "/usr/sbin/mariadbd"
	}
	if _, err := os.Stat(daemon); err != nil {
		return errors.New("no MariaDB; install the package mariadb-server")
	}
	if m.dir, err = os.MkdirTemp("/tmp", "fakeaws-my-"); err != nil { // a short path, because those of sockets have at most 107 bytes
		return err
	}
	settings := []string{"datadir=" + m.path("data"), "socket=" + m.path("socket"), "pid-file=" + m.path("pid"), "user=root", "skip-name-resolve", "max_connections=100"}
	if config.Address != "" {
		host, number, err := net.SplitHostPort(config.Address)
		if err != nil {
			return err
		}
		settings = append(settings, "bind-address="+host, "port="+number)
	} else {
		settings = append(settings, "skip-networking")
	}
	if config.Certificate != nil {
		settings = append(settings, "ssl-cert="+m.path("server.crt"), "ssl-key="+m.path("server.key"))
	}
	always := append([]string{"tmpdir=" + m.dir}, small...) // a server that starts deletes the temporary tables of others there
	defaults := "[mysqld]\n" + strings.Join(slices.Concat(always, settings, config.Settings), "\n") + "\n"
	for name, content := range map[string]string{"my.cnf": defaults, "install.cnf": "[mysqld]\n" + strings.Join(always, "\n") + "\n",
		"server.crt": string(config.Certificate), "server.key": string(config.Key)} {
		if err := os.WriteFile(m.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	install := exec.CommandContext(ctx, "mariadb-install-db", "--defaults-file="+m.path("install.cnf"), "--user=root", "--datadir="+m.path("data"),
		"--auth-root-authentication-method=normal", "--skip-test-db")
	install.Dir, install.Env = m.dir, environment()
	install.SysProcAttr = asRoot()
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	if err := m.run(ctx, program{name: "MariaDB", args: []string{daemon, "--defaults-file=" + m.path("my.cnf")}, dir: m.dir, env: config.Env,
		attributes: asRoot(), signal: "KILL", ready: "ready for connections"}); err != nil {
		return err
	}
	_, err = m.sql(ctx, "mysql", "DELETE FROM global_priv WHERE Host <> 'localhost' OR User = ''; FLUSH PRIVILEGES")
	return err
}

// asRoot makes a program root in its own eyes, which is who the server runs as.
func asRoot() *syscall.SysProcAttr {
	if os.Getuid() == 0 {
		return nil
	}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
}

func (m *mariadb) path(name string) string { return filepath.Join(m.dir, name) }

// rdsPlugin is how accounts of RDS are made that log in with tokens.
var rdsPlugin = regexp.MustCompile(`(?i)\bIDENTIFIED\s+(WITH|VIA)\s+AWSAuthenticationPlugin\s+(AS|USING)\s+'RDS'`)

// exec runs SQL as superuser and gives what it prints. Accounts may be made as on RDS.
func (m *mariadb) exec(ctx context.Context, database, sql string) (string, error) {
	if m.as != "" {
		sql = rdsPlugin.ReplaceAllLiteralString(sql, m.as)
	}
	out, err := m.sql(ctx, database, sql)
	if err != nil {
		return "", err
	}
	return out, m.spread(ctx)
}

func (m *mariadb) sql(ctx context.Context, database, sql string) (string, error) {
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--batch", "--raw", "--skip-column-names", "--user=root", "--socket="+m.path("socket"), database)
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("running SQL: %w: %s", err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// byPAM makes an account that logs in by PAM, under a service that lets nobody in.
const byPAM = "IDENTIFIED VIA pam USING 'rds'"

// spread gives each account made with byPAM a twin at the source address of each endpoint, with the same grants, whose
// service knows that endpoint: PAM is not told where a client comes from.
func (m *mariadb) spread(ctx context.Context) error {
	if m.endpoints == 0 {
		return nil
	}
	ask := func(sql string) ([]string, error) {
		out, err := m.sql(ctx, "mysql", sql)
		return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), err
	}
	text := "START TRANSACTION;\n"
	old, err := ask("SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM user WHERE Host LIKE '127.77.%'")
	if err != nil {
		return err
	}
	for _, account := range old {
		text += "DROP USER " + account + ";\n"
	}
	users, err := ask("SELECT CONCAT('`', REPLACE(User, '`', '``'), '`') FROM user WHERE plugin = 'pam' AND authentication_string = 'rds' AND Host = '%'")
	if err != nil {
		return err
	}
	for _, user := range users {
		grants, err := ask("SHOW GRANTS FOR " + user + "@`%`")
		if err != nil {
			return err
		}
		for n := range m.endpoints {
			twin := user + "@`" + source(n) + "`"
			text += fmt.Sprintf("CREATE USER %s IDENTIFIED VIA pam USING '%s' REQUIRE SSL;\n", twin, pamService(n))
			for _, grant := range grants {
				grant, _, _ = strings.Cut(grant, " IDENTIFIED VIA ")
				text += strings.Replace(grant, " TO "+user+"@`%`", " TO "+twin, 1) + ";\n"
			}
		}
	}
	_, err = m.sql(ctx, "mysql", text)
	return err
}

// dial connects to the server's socket.
func (m *mariadb) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", m.path("socket"))
}

func (m *mariadb) stop() {
	m.end()
	if m.dir != "" {
		_ = os.RemoveAll(m.dir) // what is left in /tmp does no harm
	}
}
