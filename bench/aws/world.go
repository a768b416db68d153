package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport/bench/programs"
)

// world is a cluster in the network of a local AWS.
type world struct {
	*programs.Set
	aws control
	pin string // of the cluster's authority
}

// regions in which databases are looked for.
var regions = []string{
	"af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
	"ca-central-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2", "eu-west-3", "me-south-1",
	"sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
}

const (
	databaseRole = "arn:aws:iam::222222222222:role/databases"
	externalID   = "example"
	orders       = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	warehouse    = "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439"
	proxy        = "proxy.example.com:443"
	token        = "0123456789abcdef0123456789abcdef"
)

// worldFile describes two accounts: of the instance that all this runs on, and of the databases.
func worldFile(s settings) string {
	var clusters strings.Builder
	for i := range s.tagged {
		fmt.Fprintf(&clusters, "      - {account: \"222222222222\", region: %s, name: cache-%05d, tags: {env: bench}}\n", regions[i%len(regions)], i)
	}
	return fmt.Sprintf(`
listen: {https: ["198.51.100.1:443"], verifier: verifier, control: control}
write:
  bundle: bundle.pem
  address: 198.51.100.1
  regions: [%[1]s]
  names: {truststore.pki.rds.amazonaws.com: 198.51.100.1, proxy.example.com: 198.51.100.5}
instances:
  - {listen: "169.254.169.254:80", id: i-0123456789abcdef0, account: "111111111111", role: agent, region: us-west-1, mode: v2-only}
accounts:
  - id: "111111111111"
    roles:
      - name: agent
        trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}]}
        inline: {assume: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "sts:AssumeRole", Resource: "%[2]s"}]}}
  - id: "222222222222"
    roles:
      - name: databases
        trust:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::111111111111:role/agent"}, Action: "sts:AssumeRole", Condition: {StringEquals: {"sts:ExternalId": %[3]s}}}]
        inline:
          all:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: ["rds-db:connect", "redshift:GetClusterCredentials"], Resource: "*"}
              - {Effect: Allow, Action: ["rds:Describe*", "redshift:Describe*", "memorydb:Describe*", "memorydb:ListTags"], Resource: "*"}
services:
  rds:
    instances:
      - {account: "222222222222", region: us-west-1, id: orders, host: orders.abcdefghijkl.us-west-1.rds.amazonaws.com, iam_auth: true, tags: {env: other}}
    many:
      - {account: "222222222222", regions: [%[1]s], count: %[4]d, tags: {env: bench, team: payments, cost-center: "4711", owner: somebody@example.com}}
  redshift:
    clusters:
      - {account: "222222222222", region: us-west-1, id: warehouse, host: warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com}
  memorydb:
    clusters:
%[5]s
databases:
  - kind: rds
    endpoints: [{host: "%[6]s", listen: "198.51.100.10:5432"}]
    setup: CREATE ROLE app LOGIN IN ROLE rds_iam
  - kind: redshift
    endpoints: [{host: "%[7]s", listen: "198.51.100.11:5439"}]
    setup: CREATE ROLE app LOGIN
`, strings.Join(regions, ", "), databaseRole, externalID, s.databases, clusters.String(), orders, warehouse)
}

const clusterConfig = `version: v3
teleport:
  nodename: proxy.example.com
  data_dir: %[1]s/cluster
  diag_addr: 127.0.0.1:3000
auth_service:
  enabled: yes
  cluster_name: bench
  listen_addr: 198.51.100.5:3025
  tokens: ["db,discovery:%[2]s"]
proxy_service: {enabled: yes, web_listen_addr: "198.51.100.5:443", public_addr: "%[3]s"}
`

const memberConfig = `version: v3
teleport:
  nodename: %[1]s
  data_dir: %[2]s/%[1]s
  diag_addr: 127.0.0.1:%[3]d
  proxy_server: %[4]s
  ca_pin: %[5]s
  join_params: {method: token, token_name: %[6]s}
auth_service: {enabled: no}
proxy_service: {enabled: no}
`

const databaseConfig = `db_service:
  enabled: yes
  databases:
  - {name: orders, protocol: postgres, uri: "%[1]s", aws: {assume_role_arn: "%[3]s", external_id: %[4]s}}
  - {name: warehouse, protocol: postgres, uri: "%[2]s", aws: {assume_role_arn: "%[3]s", external_id: %[4]s}, tls: {ca_cert_file: %[5]s/bundle.pem}}
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

// startCluster starts auth and proxy, and makes a user.
func (w *world) startCluster(ctx context.Context) error {
	if err := errors.Join(
		os.RemoveAll(w.Path("cluster")),
		os.WriteFile(w.Path("cluster.yaml"), fmt.Appendf(nil, clusterConfig, w.Dir, token, proxy), 0o600),
		os.WriteFile(w.Path("role.yaml"), []byte(role), 0o600),
		os.WriteFile(w.Path("select.sql"), []byte("select 1;\n"), 0o644),
	); err != nil {
		return err
	}
	if _, err := w.Background("cluster.log", "teleport", "start", "-c", w.Path("cluster.yaml")); err != nil {
		return err
	}
	if err := programs.Ready(ctx, "127.0.0.1:3000"); err != nil {
		return err
	}
	status, err := w.tctl(ctx, "status")
	if err != nil {
		return err
	}
	fields := strings.Fields(string(status))
	w.pin = fields[len(fields)-1]
	if _, err := w.tctl(ctx, "create", w.Path("role.yaml")); err != nil {
		return err
	}
	_, err = w.tctl(ctx, "auth", "sign", "--user=bench", "--out="+w.Path("bench.pem"), "--overwrite")
	return err
}

func (w *world) tctl(ctx context.Context, args ...string) ([]byte, error) {
	return w.Tool(ctx, "tctl", append([]string{"-c", w.Path("cluster.yaml")}, args...)...)
}

// member writes the configuration of another daemon and returns its path.
func (w *world) member(name string, diag int, services string) (string, error) {
	path := w.Path(name + ".yaml")
	return path, os.WriteFile(path, []byte(fmt.Sprintf(memberConfig, name, w.Dir, diag, proxy, w.pin, token)+services), 0o600)
}

// tail returns the ends of the logs, as an error.
func (w *world) tail() error {
	var all []error
	logs, _ := filepath.Glob(w.Path("*.log")) // the pattern is good
	for _, path := range logs {
		text, _ := os.ReadFile(path) // it was there a moment ago
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		all = append(all, fmt.Errorf("%s ends with:\n%s", filepath.Base(path), strings.Join(lines[max(0, len(lines)-10):], "\n")))
	}
	return errors.Join(all...)
}
