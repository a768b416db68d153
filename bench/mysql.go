package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sallyport/bench/programs"
	"sallyport/internal/ca"
)

// mySQL is a MariaDB, sysbench and MariaDB's client.
type mySQL struct {
	w    *world
	bare string // port of the relays that only copy
}

const (
	mysqlRows  = 100_000
	mysqlLarge = 100_000_000 // bytes of a large result
)

func (m mySQL) protocol() string { return "mysql" }
func (m mySQL) account() string  { return "bench" }
func (m mySQL) name() string     { return "bench" }

func (m mySQL) version() string {
	out, err := exec.Command("mariadb", "--no-defaults", "--socket="+m.w.Path("mariadb/socket"), "--user=root", "-Ne", "select version()").Output()
	if err != nil {
		return "MariaDB"
	}
	return regexp.MustCompile(`[0-9.]+-MariaDB`).FindString(string(out))
}

func (m mySQL) start(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(m.w.Root, "scripts/mariadb"), "start", m.w.Path("mariadb"), m.w.port,
		m.w.Path("spread.crt"), m.w.Path("spread.key"), m.w.Path("trusted.cas"), m.account(), "innodb_buffer_pool_size=512M", "max_connections=1200", "open_files_limit=8192").CombinedOutput()
	if err != nil {
		return fmt.Errorf("starting MariaDB: %w: %s", err, out)
	}
	return nil
}

func (m mySQL) stop() {
	_ = exec.Command(filepath.Join(m.w.Root, "scripts/mariadb"), "stop", m.w.Path("mariadb")).Run()
}

// direct and local return a port and, for clients that do TLS themselves, the directory with their certificates.
func (m mySQL) direct() string             { return m.w.port + " " + m.w.Path("direct") }
func (m mySQL) local(d deployment) string  { return d.mysql + " " + m.w.Path(d.name+"-client") }
func (m mySQL) tunnel(d deployment) string { return d.local }

// certificates puts a client's certificate where sysbench looks for it: under fixed names in its working directory.
func (m mySQL) certificates(way, cert, key, authority string) error {
	_, dir, _ := strings.Cut(way, " ")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for from, to := range map[string]string{cert: "client-cert.pem", key: "client-key.pem", authority: "cacert.pem"} {
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, to), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// login stores a certificate for a cluster's database.
func (m mySQL) login(ctx context.Context, d deployment) error {
	as := []string{"--insecure", "-i", m.w.Path(d.name + ".pem"), "--proxy", "localhost:" + d.proxy}
	if _, err := m.w.Tool(ctx, "tsh", append(as, "db", "login", "--db-user="+m.account(), "--db-name="+m.name(), "bench")...); err != nil {
		return err
	}
	out, err := m.w.Tool(ctx, "tsh", append(as, "db", "config", "--format=json", "bench")...)
	if err != nil {
		return err
	}
	var files struct{ Cert, Key string }
	if err := json.Unmarshal(out, &files); err != nil {
		return err
	}
	// sysbench cannot name the database in TLS, which ends at the proxy then, with its web certificate.
	web := m.w.Path(d.name + "-web.pem")
	conn, err := tls.Dial("tcp", "localhost:"+d.proxy, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := os.WriteFile(web, ca.EncodeCertificate(conn.ConnectionState().PeerCertificates[0].Raw), 0o600); err != nil {
		return err
	}
	return m.certificates(m.local(d), files.Cert, files.Key, web)
}

// prepare stores the clients' certificates, and fills the database.
func (m mySQL) prepare(ctx context.Context, _ settings) error {
	if err := m.certificates(m.direct(), m.w.Path("direct.crt"), m.w.Path("direct.key"), m.w.Path("db-ca.pem")); err != nil {
		return err
	}
	for _, d := range []deployment{m.w.spread, m.w.single} {
		if err := m.login(ctx, d); err != nil {
			return err
		}
	}
	sql := fmt.Sprintf("create database bench; grant all on bench.* to bench; use bench; create table large as select seq, repeat('x', 992) as v from seq_1_to_%d", mysqlLarge/1000)
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--socket="+m.w.Path("mariadb/socket"), "--user=root", "-e", sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("filling the database: %w: %s", err, out)
	}
	if _, err := m.sysbench(ctx, way{dsn: m.direct()}, "--table-size="+strconv.Itoa(mysqlRows), "oltp_point_select", "prepare"); err != nil {
		return err
	}
	return m.startBare(ctx)
}

// startBare starts what stands for the local proxy and the agent where they are compared with relays that only copy.
func (m mySQL) startBare(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", "bin/", "./bench/bare").CombinedOutput(); err != nil {
		return fmt.Errorf("building the bare relay: %w: %s", err, out)
	}
	middle := freePort()
	for _, relay := range [][]string{{"-port", middle, "-to", m.w.port, "-mysql"}, {"-port", m.bare, "-to", middle}} {
		if _, err := m.w.Background("log", "bare", append(relay, "-cert", m.w.Path("direct.crt"), "-key", m.w.Path("direct.key"))...); err != nil {
			return err
		}
	}
	return programs.Listening(m.bare)
}

func (m mySQL) sysbench(ctx context.Context, way way, args ...string) ([]byte, error) {
	port, dir, secure := strings.Cut(way.dsn, " ")
	all := []string{"--mysql-host=127.0.0.1", "--mysql-port=" + port, "--mysql-user=bench", "--mysql-db=bench"}
	if secure {
		all = append(all, "--mysql-ssl=on")
	}
	cmd := exec.CommandContext(ctx, "sysbench", append(all, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("sysbench: %w: %s", err, out)
	}
	return out, nil
}

func (m mySQL) tests(s settings) []test {
	return []test{
		{name: "sysbench oltp_point_select, 1 thread", unit: "statements/s", measure: m.points(s, 1)},
		{name: "sysbench oltp_point_select, 8 threads", unit: "statements/s", measure: m.points(s, 8)},
		{name: "the same, as texts", unit: "statements/s", measure: m.points(s, 8, "--db-ps-mode=disable")},
		{name: "8 threads, through tsh's local proxy", unit: "statements/s", measure: m.points(s, 8), instead: []way{
			{"one process", m.tunnel(m.w.single)}, {"proxy and agent apart", m.tunnel(m.w.spread)}}},
		{name: "8 threads, through two relays that only copy", unit: "statements/s", measure: m.points(s, 8), instead: []way{{"two relays that only copy", m.bare}}},
		{name: "MySQL 100 MB result", unit: "MB/s", measure: m.large},
	}
}

var perSecond = regexp.MustCompile(`queries: +[0-9]+ +\(([0-9.]+) per sec`)

func (m mySQL) points(s settings, threads int, extra ...string) func(context.Context, way) (float64, error) {
	return func(ctx context.Context, way way) (float64, error) {
		args := append([]string{"--table-size=" + strconv.Itoa(mysqlRows), "--threads=" + strconv.Itoa(threads), "--time=" + strconv.Itoa(int(s.length.Seconds()))}, extra...)
		out, err := m.sysbench(ctx, way, append(args, "oltp_point_select", "run")...)
		if err != nil {
			return 0, err
		}
		found := perSecond.FindSubmatch(out)
		if found == nil {
			return 0, fmt.Errorf("sysbench told no rate: %s", out)
		}
		return strconv.ParseFloat(string(found[1]), 64)
	}
}

// large returns the rate of one large result, in 10^6 bytes per second.
func (m mySQL) large(ctx context.Context, way way) (float64, error) {
	port, dir, _ := strings.Cut(way.dsn, " ")
	cmd := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--ssl-cert=client-cert.pem", "--ssl-key=client-key.pem", "--ssl-ca=cacert.pem",
		"--protocol=tcp", "--host=127.0.0.1", "--port="+port, "--user=bench", "--quick", "--batch", "--raw", "-Ne", "select * from large", "bench")
	cmd.Dir = dir
	began := time.Now()
	if err := cmd.Run(); err != nil { // its output goes nowhere
		return 0, fmt.Errorf("reading a large result: %w", err)
	}
	return float64(mysqlLarge) / 1e6 / time.Since(began).Seconds(), nil
}
