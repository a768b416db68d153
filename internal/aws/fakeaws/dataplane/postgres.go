package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// superuser owns the servers, under RDS's own name for it.
const superuser = "rdsadmin"

// port is a part of the name of a server's socket; servers are apart by their directories.
const port = "5432"

// serverConfig says what is special about a server.
type serverConfig struct {
	Address          string // of a loopback port, or "" for the socket only
	Certificate, Key []byte // PEM; nil: no TLS
	HBA              []string
	Env              []string
}

// postgres is a running PostgreSQL.
type postgres struct {
	process
	dir   string
	bin   string
	other *other
}

// other is who servers run as where this process is root, which PostgreSQL refuses: inside a user namespace of their own,
// root goes by the number of the account postgres. Where that account can be had, it goes by root's number in turn, so that
// what belongs to it looks like root's.
type other struct {
	uid, gid int
	swapped  bool
}

// findOther gives nil where this process is not root.
func findOther() (*other, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL needs an account to run as: %w", err)
	}
	o := new(other)
	if o.uid, err = strconv.Atoi(account.Uid); err != nil {
		return nil, err
	}
	if o.gid, err = strconv.Atoi(account.Gid); err != nil {
		return nil, err
	}
	o.swapped, err = allMapped()
	return o, err
}

// allMapped says whether this process is in a namespace where numbers besides root's exist.
func allMapped() (bool, error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, err
	}
	fields := strings.Fields(string(text))
	return len(fields) == 3 && fields[0] == "0" && fields[2] != "1", nil
}

func (o *other) attributes() *syscall.SysProcAttr {
	if o == nil {
		return nil
	}
	mapping := func(id int) []syscall.SysProcIDMap {
		m := []syscall.SysProcIDMap{{ContainerID: id, HostID: 0, Size: 1}}
		if o.swapped {
			m = append(m, syscall.SysProcIDMap{ContainerID: 0, HostID: id, Size: 1})
		}
		return m
	}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: mapping(o.uid), GidMappings: mapping(o.gid)}
}

func startPostgres(ctx context.Context, config serverConfig) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return nil, errors.New("no PostgreSQL below /usr/lib/postgresql; install the package postgresql")
	}
	s := &postgres{bin: filepath.Dir(found[len(found)-1])}
	if s.other, err = findOther(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("/tmp", "fakeaws-pg-"); err != nil { // a short path, because those of sockets have at most 107 bytes
		return nil, err
	}
	err = s.prepare(ctx, config)
	if err == nil {
		err = s.start(ctx, config)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *postgres) data() string { return filepath.Join(s.dir, "data") }

func (s *postgres) prepare(ctx context.Context, config serverConfig) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", superuser, "--auth=trust", "--no-sync", "--wal-segsize=1",
		"--encoding=UTF8", "--locale=C")
	cmd.Dir, cmd.Env = s.dir, environment()
	cmd.SysProcAttr = s.other.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	settings := []string{"unix_socket_directories = '" + s.dir + "'", "port = " + port, "listen_addresses = ''", "fsync = off", "synchronous_commit = off",
		"full_page_writes = off", "shared_buffers = 16MB", "max_connections = 100", "lc_messages = 'C'", "log_timezone = 'UTC'", "log_connections = on",
		"password_encryption = 'scram-sha-256'"}
	if config.Address != "" {
		host, number, err := net.SplitHostPort(config.Address)
		if err != nil {
			return err
		}
		settings = append(settings, "listen_addresses = '"+host+"'", "port = "+number)
	}
	if config.Certificate != nil {
		settings = append(settings, "ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'")
	}
	for name, content := range map[string]string{"postgresql.conf": strings.Join(settings, "\n") + "\n", "pg_hba.conf": strings.Join(config.HBA, "\n") + "\n",
		"server.crt": string(config.Certificate), "server.key": string(config.Key)} {
		if err := os.WriteFile(filepath.Join(s.data(), name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *postgres) start(ctx context.Context, config serverConfig) error {
	return s.run(ctx, program{name: "PostgreSQL", args: []string{filepath.Join(s.bin, "postgres"), "-D", s.data()}, dir: s.dir, env: config.Env,
		attributes: s.other.attributes(), signal: "INT", ready: "ready to accept connections"})
}

// exec runs SQL as superuser and gives what it prints.
func (s *postgres) exec(ctx context.Context, database, sql string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", s.dir, "-p", s.number(), "-U", superuser, "-d", database)
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("running SQL: %w: %s", err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// number is the port in the name of the socket.
func (s *postgres) number() string {
	found, err := filepath.Glob(filepath.Join(s.dir, ".s.PGSQL.*[0-9]"))
	if err != nil || len(found) == 0 {
		return port
	}
	return found[0][strings.LastIndexByte(found[0], '.')+1:]
}

// dial connects to the server's socket.
func (s *postgres) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, ".s.PGSQL."+s.number()))
}

func (s *postgres) stop() {
	s.end()
	_ = os.RemoveAll(s.dir) // what is left in /tmp does no harm
}
