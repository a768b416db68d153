package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sallyport/bench/programs"
	"sallyport/internal/ca"
)

// world is a database, and before it two clusters: one of three processes and a local proxy, and one of
// a single process.
type world struct {
	*programs.Set
	db             database
	port           string // of the database
	pgBin          string // directory of PostgreSQL's programs
	spread, single deployment
}

// deployment is a cluster and the local proxy through which it is measured.
type deployment struct {
	name   string
	auth   string // port
	proxy  string // port
	diag   string // port
	local  string // port of the local proxy
	mysql  string // port of the proxy for clients of MySQL that do TLS themselves
	config string
	agent  *exec.Cmd // the process that serves the database
	front  *exec.Cmd // the process of the proxy
}

func newWorld(db string) (*world, error) {
	set, err := programs.New()
	if err != nil {
		return nil, err
	}
	bin, err := exec.Command(filepath.Join(set.Root, "scripts/pgbin")).Output()
	if err != nil {
		return nil, fmt.Errorf("looking for PostgreSQL: %w", err)
	}
	w := &world{Set: set, port: freePort(), pgBin: strings.TrimSpace(string(bin)), spread: newDeployment("spread"), single: newDeployment("single")}
	switch db {
	case "postgres":
		w.db = postgreSQL{w}
	case "mongodb":
		w.db = mongoDB{w}
	case "mysql":
		w.db = mySQL{w, freePort()}
	case "redis":
		w.db = redis{w}
	default:
		return nil, fmt.Errorf("there is nothing to measure %q with", db)
	}
	return w, nil
}

// database is a kind of database, and how it is measured.
type database interface {
	protocol() string
	account() string
	name() string    // logical database
	version() string // for the heading
	start(ctx context.Context) error
	stop()
	direct() string            // what its client is told to connect past the cluster
	local(d deployment) string // through the cluster
	prepare(ctx context.Context, s settings) error
	tests(s settings) []test
}

func newDeployment(name string) deployment {
	return deployment{name: name, auth: freePort(), proxy: freePort(), diag: freePort(), local: freePort(), mysql: freePort()}
}

// close stops everything and removes the files.
func (w *world) close() {
	w.Stop()
	w.db.stop()
	_ = os.RemoveAll(w.Dir)
}

// start starts everything and returns how long the empty cluster of one process took to its first query.
func (w *world) start(ctx context.Context) (time.Duration, error) {
	if err := w.startCluster(ctx, &w.spread, false); err != nil {
		return 0, err
	}
	// One server certificate serves both clusters: the other one's authority goes into the database resource.
	authority, err := w.Tool(ctx, "tctl", "-c", w.spread.config, "auth", "export", "--type=db")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(w.Path("db-ca.pem"), authority, 0o644); err != nil {
		return 0, err
	}
	if err := w.startCluster(ctx, &w.single, true); err != nil {
		return 0, err
	}
	if err := w.startDatabase(ctx); err != nil {
		return 0, err
	}
	for _, d := range []*deployment{&w.spread, &w.single} {
		if err := w.serve(ctx, d); err != nil {
			return 0, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return w.startup(ctx)
}

const clusterConfig = `version: v3
teleport:
  nodename: localhost
  data_dir: %[1]s/%[2]s
  diag_addr: 127.0.0.1:%[5]s
auth_service:
  enabled: yes
  cluster_name: %[2]s.bench
  listen_addr: 127.0.0.1:%[3]s
  tokens: ["db:0123456789abcdef0123456789abcdef"]
proxy_service:
  enabled: yes
  web_listen_addr: 127.0.0.1:%[4]s
  public_addr: localhost:%[4]s
  mysql_listen_addr: 127.0.0.1:%[6]s
`

const databaseConfig = `db_service:
  enabled: yes
  databases:
  - name: bench
    protocol: %s
    uri: localhost:%s
    tls: {ca_cert_file: %s}
`

const role = `kind: role
version: v7
metadata: {name: bench}
spec:
  options: {max_connections: 0}
  allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}
---
kind: user
version: v2
metadata: {name: bench}
spec: {roles: [bench]}
`

func (w *world) startCluster(ctx context.Context, d *deployment, withDatabase bool) error {
	d.config = w.Path(d.name + ".yaml")
	text := fmt.Sprintf(clusterConfig, w.Dir, d.name, d.auth, d.proxy, d.diag, d.mysql)
	if withDatabase {
		text += fmt.Sprintf(databaseConfig, w.db.protocol(), w.port, w.Path("db-ca.pem"))
	}
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	if d.front, err = w.Background("log", "teleport", "start", "-c", d.config); err != nil {
		return err
	}
	d.agent = d.front
	return programs.Ready(ctx, "127.0.0.1:"+d.diag)
}

// startDatabase starts a database that trusts both clusters and, for direct connections, an authority of
// the benchmark.
func (w *world) startDatabase(ctx context.Context) error {
	var trusted []byte
	for _, d := range []*deployment{&w.spread, &w.single} {
		if _, err := w.Tool(ctx, "tctl", "-c", d.config, "auth", "sign", "--format=db", "--host=localhost", "--out="+w.Path(d.name), "--overwrite"); err != nil {
			return err
		}
		cas, err := os.ReadFile(w.Path(d.name + ".cas"))
		if err != nil {
			return err
		}
		trusted = append(trusted, cas...)
	}
	own, err := w.directCertificate()
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.Path("trusted.cas"), append(trusted, own...), 0o644); err != nil {
		return err
	}
	return w.db.start(ctx)
}

// directCertificate makes the client certificate of direct connections and returns its authority.
func (w *world) directCertificate() ([]byte, error) {
	authority, err := ca.New(ca.ClientCA, "bench", time.Now())
	if err != nil {
		return nil, err
	}
	key, err := ca.GenerateKey()
	if err != nil {
		return nil, err
	}
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: pkix.Name{CommonName: w.db.account()},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(24 * time.Hour),
	}, time.Now())
	if err != nil {
		return nil, err
	}
	keyPEM, err := ca.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	return authority.CertPEM(), errors.Join(
		os.WriteFile(w.Path("direct.crt"), ca.EncodeCertificate(der), 0o600),
		os.WriteFile(w.Path("direct.key"), keyPEM, 0o600),
	)
}

// serve makes a user, an agent where the cluster has none, and a local proxy.
func (w *world) serve(ctx context.Context, d *deployment) error {
	if err := os.WriteFile(w.Path("role.yaml"), []byte(role), 0o600); err != nil {
		return err
	}
	if _, err := w.Tool(ctx, "tctl", "-c", d.config, "create", w.Path("role.yaml")); err != nil {
		return err
	}
	identity := w.Path(d.name + ".pem")
	if _, err := w.Tool(ctx, "tctl", "-c", d.config, "auth", "sign", "--user=bench", "--out="+identity); err != nil {
		return err
	}
	if d.name == "spread" {
		if err := w.startAgent(ctx, d); err != nil {
			return err
		}
	}
	login := []string{"-i", identity, "--proxy", "localhost:" + d.proxy}
	for deadline := time.Now().Add(programs.Patience); ; time.Sleep(100 * time.Millisecond) {
		out, err := w.Tool(ctx, "tsh", append(login, "db", "ls")...)
		if err == nil && strings.Contains(string(out), "bench") {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the database is not served: %w", err)
		}
	}
	if _, err := w.Background("log", "tsh", append(login, "proxy", "db", "--tunnel", "--port", d.local, "--db-user="+w.db.account(), "--db-name="+w.db.name(), "bench")...); err != nil {
		return err
	}
	return programs.Listening(d.local)
}

func (w *world) startAgent(ctx context.Context, d *deployment) error {
	pin, err := w.Tool(ctx, "tctl", "-c", d.config, "status")
	if err != nil {
		return err
	}
	fields := strings.Fields(string(pin))
	text := fmt.Sprintf("version: v3\nteleport:\n  nodename: agent\n  data_dir: %s/agent\n  proxy_server: localhost:%s\n  ca_pin: %s\n"+
		"  join_params: {method: token, token_name: 0123456789abcdef0123456789abcdef}\nauth_service: {enabled: no}\nproxy_service: {enabled: no}\n",
		w.Dir, d.proxy, fields[len(fields)-1])
	path := w.Path("agent.yaml")
	if err := os.WriteFile(path, []byte(text+fmt.Sprintf(databaseConfig, w.db.protocol(), w.port, w.Path("db-ca.pem"))), 0o600); err != nil {
		return err
	}
	d.agent, err = w.Background("log", "teleport", "start", "-c", path)
	return err
}

// startup measures an empty cluster of one process from its start until it answers its first API call.
func (w *world) startup(ctx context.Context) (time.Duration, error) {
	d := newDeployment("fresh")
	began := time.Now()
	if err := w.startCluster(ctx, &d, true); err != nil {
		return 0, err
	}
	_, err := w.Tool(ctx, "tctl", "-c", d.config, "status")
	return time.Since(began), err
}

func freePort() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "0"
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
