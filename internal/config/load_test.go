package config_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func env(files map[string]string) config.Env {
	return config.Env{Hostname: "db-host.example.com", ReadFile: func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}}
}

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text), "teleport.yaml", env(nil))
	if err != nil {
		t.Fatalf("reading the file: %v", err)
	}
	return c
}

func TestEachProblemIsToldWithLineAndPath(t *testing.T) {
	t.Parallel()
	const pin = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct{ rule, text, want string }{
		{"an unknown key is offered its neighbour", "db_service:\n  databases:\n  - name: a\n    protocl: postgres\n    uri: h:1", `t:4: db_service.databases[0].protocl: unknown key; did you mean "protocol"?`},
		{"an unknown section", "databases: []", `t:1: databases: unknown key`},
		{"a key twice", "teleport:\n  nodename: a\n  nodename: b", `t:3: teleport.nodename: the key "nodename" is already on line 2`},
		{"a list for a map", "teleport: [1]", `t:1: teleport: must be a map, not a list`},
		{"a map for a string", "teleport:\n  nodename: {a: b}", `t:2: teleport.nodename: must be a string, not a map`},
		{"a map for a list", "db_service:\n  databases: {}", `t:2: db_service.databases: must be a list, not a map`},
		{"a word for a number", "teleport:\n  connection_limits:\n    max_connections: many", `t:3: teleport.connection_limits.max_connections: must be a whole number, not "many"`},
		{"no connections at all", "teleport:\n  connection_limits:\n    max_connections: 0", `t:3: teleport.connection_limits.max_connections: must be at least 1`},
		{"no calls of strangers", "teleport:\n  connection_limits:\n    calls_per_minute: 0", `t:3: teleport.connection_limits.calls_per_minute: must be at least 1`},
		{"fewer than no calls at once", "teleport:\n  connection_limits:\n    calls_burst: -1", `t:3: teleport.connection_limits.calls_burst: must be at least 1`},
		{"a word for a boolean", "auth_service:\n  enabled: perhaps", `t:2: auth_service.enabled: must be true or false`},
		{"a bad duration", "auth_service:\n  client_idle_timeout: 5 parsecs", `t:2: auth_service.client_idle_timeout: must be a duration such as 30m or 1h30m, not "5 parsecs"`},
		{"a negative duration", "teleport:\n  shutdown_delay: -1s", `t:2: teleport.shutdown_delay: must not be negative`},
		{"a balancer by name", "proxy_service:\n  trust_x_forwarded_for: [192.0.2.7, lb.example.com]", `t:2: proxy_service.trust_x_forwarded_for[1]: "lb.example.com" is not an address or a network, as in 192.0.2.7 or 192.0.2.0/24; yes and no are possible too`},
		{"one balancer and all", "proxy_service:\n  trust_x_forwarded_for: [192.0.2.7, yes]", `t:2: proxy_service.trust_x_forwarded_for[1]: "yes" is not an address or a network, as in 192.0.2.7 or 192.0.2.0/24; yes and no are possible too`},
		{"the PROXY protocol from nobody", "proxy_service:\n  proxy_protocol: on", `t:2: proxy_service.proxy_protocol: needs trust_proxy_protocol beside it, with the addresses or networks of the balancers that say where clients are`},
		{"the PROXY protocol from a name", "proxy_service:\n  proxy_protocol: on\n  trust_proxy_protocol: lb.example.com", `t:3: proxy_service.trust_proxy_protocol: "lb.example.com" is not an address or a network, as in 192.0.2.7 or 192.0.2.0/24`},
		{"the PROXY protocol from everybody", "proxy_service:\n  proxy_protocol: on\n  trust_proxy_protocol: yes", `t:3: proxy_service.trust_proxy_protocol: "yes" is not an address or a network, as in 192.0.2.7 or 192.0.2.0/24`},
		{"the PROXY protocol perhaps", "proxy_service:\n  proxy_protocol: perhaps", `t:2: proxy_service.proxy_protocol: "perhaps" is not known; use on or off`},
		{"an unknown version", "version: v9", `t:1: version: "v9" is not known; use "v1", "v2" or "v3"`},
		{"auth_servers in v3", "version: v3\nteleport:\n  auth_servers: [a:1]", `t:3: teleport.auth_servers: is not part of version v3; write proxy_server with the address of a proxy, or auth_server with that of the auth service`},
		{"proxy_server before v3", "version: v2\nteleport:\n  proxy_server: a:1", `t:3: teleport.proxy_server: is for version v3; write auth_servers, or version: v3 at the top`},
		{"both addresses", "version: v3\nteleport:\n  auth_server: a:1\n  proxy_server: b:1", `t:3: teleport.auth_server: cannot be combined with proxy_server; keep proxy_server, unless this process reaches the auth service directly`},
		{"two spellings that differ", "teleport:\n  join_params:\n    method: token\n    join_method: iam", `t:4: teleport.join_params.join_method: says "iam" while method says "token"; keep one of the two`},
		{"a join method that is not there", "teleport:\n  join_params: {join_method: gcp}", `t:2: teleport.join_params.join_method: "gcp" is not available here; use "token", "iam" or "ec2"`},
		{"iam without a token's name", "teleport:\n  join_params: {join_method: iam}", `t:2: teleport.join_params.join_method: needs join_params.token_name, the name of a token with this join method`},
		{"ec2 with a secret", "teleport:\n  auth_token: 0123456789abcdef\n  join_params: {method: ec2}", `t:2: teleport.auth_token: is a secret for the join method token; write the token's name as join_params.token_name`},
		{"relative certificates of EC2", "auth_service:\n  ec2_identity_certificates: certs", `t:2: auth_service.ec2_identity_certificates: must be the absolute path of a directory`},
		{"two tokens", "teleport:\n  auth_token: a\n  join_params: {token_name: b}", `t:2: teleport.auth_token: is the older form of join_params.token_name; keep one of the two`},
		{"a pin of another form", "teleport:\n  ca_pin: [" + pin + ", md5:1]", `t:2: teleport.ca_pin[1]: must be sha256: and 64 hexadecimal digits, as ` + "`tctl status`" + ` prints it, or the absolute path of a file with that`},
		{"a port out of range", "teleport:\n  diag_addr: 127.0.0.1:70000", `t:2: teleport.diag_addr: "70000" is not a port between 1 and 65535`},
		{"one address for two", "proxy_service:\n  web_listen_addr: 127.0.0.1:4080\n  mysql_listen_addr: 127.0.0.1:4080", `t:3: proxy_service.mysql_listen_addr: 127.0.0.1:4080 is where proxy_service.web_listen_addr listens too (127.0.0.1:4080); give one of them another port`},
		{"an address within all of the machine", "auth_service:\n  listen_addr: ':4080'\nproxy_service:\n  web_listen_addr: 127.0.0.1:4080", `t:4: proxy_service.web_listen_addr: 127.0.0.1:4080 is where auth_service.listen_addr listens too (:4080); give one of them another port`},
		{"a diagnostic address that is taken", "teleport:\n  diag_addr: '[::]:3080'", `t:2: teleport.diag_addr: [::]:3080 is where proxy_service.web_listen_addr listens too (0.0.0.0:3080); give one of them another port`},
		{"an address without a port", "teleport:\n  diag_addr: localhost", `t:2: teleport.diag_addr: "localhost" needs a host and a port, as in teleport.example.com:443`},
		{"a service that is not there", "ssh_service:\n  enabled: yes", `t:2: ssh_service.enabled: this program serves databases only and has no ssh_service; write enabled: no`},
		{"a store that is not there", "teleport:\n  storage:\n    type: etcd", `t:3: teleport.storage.type: "etcd" is not available here; use sqlite`},
		{"a cluster's name too long to stand before", "auth_service:\n  cluster_name: " + strings.Repeat("a.", 95) + "a", `t:2: auth_service.cluster_name: "` + strings.Repeat("a.", 95) + `a" must consist of lower-case letters, digits and hyphens between dots, as in teleport.example.com, and have at most 190 bytes`},
		{"a static token without a type", "auth_service:\n  tokens: [\"mysecret\"]", `t:2: auth_service.tokens[0]: must be written as "types:secret", as in "db:<secret>"`},
		{"a setting of the cluster", "auth_service:\n  authentication:\n    locking_mode: lax", `t:3: auth_service.authentication.locking_mode: "lax" is not known; use "strict" or "best_effort"`},
		{"a recording mode", "auth_service:\n  session_recording: maybe", `t:2: auth_service.session_recording: "maybe" is not known; use "node", "node-sync", "proxy", "proxy-sync" or "off"`},
		{"half a key pair", "proxy_service:\n  https_keypairs:\n  - key_file: /k", `t:3: proxy_service.https_keypairs[0].cert_file: is missing`},
		{"a database's name", "db_service:\n  databases:\n  - name: Orders\n    protocol: postgres\n    uri: h:1", `t:3: db_service.databases[0].name: "Orders" must consist of lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen`},
		{"a protocol that is none", "db_service:\n  databases:\n  - name: a\n    protocol: mysqll\n    uri: h:1", `t:4: db_service.databases[0].protocol: "mysqll" is not known; use "postgres", "mysql", "mongodb" or "redis"`},
		{"a URI of Redis without a port", "db_service:\n  databases:\n  - name: a\n    protocol: redis\n    uri: h", `t:5: db_service.databases[0].uri: "h" needs a host and a port, as in db.example.com:6379`},
		{"a URI of another protocol", "db_service:\n  databases:\n  - name: a\n    protocol: redis\n    uri: http://h:1", `t:5: db_service.databases[0].uri: a redis database cannot have a URI that begins with http://; write host:port, or a URI that begins with "redis://" or "rediss://"`},
		{"a URI where the protocol has none", "db_service:\n  databases:\n  - name: a\n    protocol: mysql\n    uri: mysql://h:1", `t:5: db_service.databases[0].uri: a mysql database cannot have a URI that begins with mysql://; write host:port`},
		{"a URI without a port", "db_service:\n  databases:\n  - name: a\n    protocol: postgres\n    uri: h", `t:5: db_service.databases[0].uri: "h" needs a host and a port, as in db.example.com:5432`},
		{"two databases of one name", "db_service:\n  databases:\n  - {name: a, protocol: postgres, uri: 'h:1'}\n  - {name: a, protocol: mysql, uri: 'h:2'}", `t:4: db_service.databases[1].name: "a" is the name of db_service.databases[0] already`},
		{"a certificate file that is not there", "db_service:\n  databases:\n  - name: a\n    protocol: postgres\n    uri: h:1\n    tls:\n      ca_cert_file: /no/ca.pem", `t:7: db_service.databases[0].tls.ca_cert_file: the file /no/ca.pem cannot be read: file does not exist`},
		{"a label without a command", "db_service:\n  databases:\n  - name: a\n    protocol: postgres\n    uri: h:1\n    dynamic_labels:\n    - {name: x, period: 1m}", `t:7: db_service.databases[0].dynamic_labels[0].command: is missing`},
		{"a label that runs too often", "db_service:\n  databases:\n  - name: a\n    protocol: postgres\n    uri: h:1\n    dynamic_labels:\n    - {name: x, period: 1ms, command: [date]}", `t:7: db_service.databases[0].dynamic_labels[0].period: must be at least 1s`},
		{"a bad label selector", "db_service:\n  resources:\n  - labels: {env: '^(a$'}", `t:3: db_service.resources[0].labels.env: "^(a$" is not a regular expression`},
		{"a selector without labels", "db_service:\n  resources:\n  - aws: {}", `t:3: db_service.resources[0].labels: is missing; write "*": "*" for every database`},
		{"an external id that nothing sends", "discovery_service:\n  aws:\n  - types: [docdb, rds]\n    regions: us-east-1\n    external_id: x", "t:5: discovery_service.aws[0].external_id: is used with assume_role_arn only"},
		{"a name that is no label of DNS", "db_service:\n  databases:\n  - name: " + strings.Repeat("a", 64) + "\n    protocol: postgres\n    uri: h:1", "t:3: db_service.databases[0].name: is longer than 63 characters"},
		{"a role that is no ARN", "db_service:\n  resources:\n  - labels: {a: b}\n    aws: {assume_role_arn: admin}", `t:4: db_service.resources[0].aws.assume_role_arn: "admin" is not the ARN of a role, as in arn:aws:iam::123456789012:role/databases`},
		{"a matcher's type", "discovery_service:\n  azure:\n  - types: [oracle]", `t:3: discovery_service.azure[0].types[0]: "oracle" is not known; use "mysql", "postgres", "redis", "sqlserver", "aks" or "vm"`},
		{"a matcher without regions", "db_service:\n  aws:\n  - types: rds", `t:3: db_service.aws[0].regions: is missing; write regions such as us-west-1`},
		{"a database matcher with servers", "db_service:\n  aws:\n  - types: ec2\n    regions: us-west-1", `t:3: db_service.aws[0].types: "ec2" is not known; use "rds", "rdsproxy", "redshift", "redshift-serverless", "elasticache", "elasticache-serverless", "memorydb", "opensearch" or "docdb"`},
		{"an alias of nothing", "teleport:\n  nodename: *name", `t:2: teleport.nodename: the alias *name refers to nothing above; put the text in quotes if it is not an alias`},
		{"a second document", "version: v3\n---\nversion: v3", `t:3: there is a second document; a configuration is one document`},
		{"no map at all", "hello", `t:1: the file must be a map with sections such as teleport and db_service, not a string`},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse([]byte(test.text), "t", env(nil))
			if !fault.Is(err, fault.BadParameter) {
				t.Fatalf("error is %v, want a bad parameter", err)
			}
			if got := fault.Message(err); got != test.want {
				t.Errorf("told\n  %s\nwant\n  %s", got, test.want)
			}
		})
	}
}

func TestAllProblemsAreToldAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte(`version: v3
teleport:
  nodname: a
auth_service:
  enabled: maybe
db_service:
  databases:
  - name: UPPER
    protocol: postgres
    uri: nowhere
    tls: {mode: none}
`), "f.yaml", env(nil))
	var lines []string
	for line := range strings.SplitSeq(fault.Message(err), "\n") {
		where, _, _ := strings.Cut(line, ": ")
		lines = append(lines, where)
	}
	want := []string{"f.yaml:3", "f.yaml:5", "f.yaml:8", "f.yaml:10", "f.yaml:11"}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("problems at %v, want %v:\n%v", lines, want, err)
	}
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte("version: v3\nteleport:\n  nodename: [a\n"), "t", env(nil))
	if err == nil || !strings.HasPrefix(fault.Message(err), "t:3: this is not valid YAML: ") {
		t.Errorf("error is %v, want one that names line 3", err)
	}
}

func TestSecretsAreNotRepeatedInProblems(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte("auth_service:\n  tokens: ['opensesame', 'open:sesame', 'db:open/sesame']\nteleport:\n  auth_token: opensesame\n  join_params: {token_name: opensesame}"), "t", env(nil))
	if err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("error is %v, want one without the secret", err)
	}
}

func TestWithoutAFileAClusterRunsOnOneHost(t *testing.T) {
	t.Parallel()
	c := config.Default()
	if !c.Auth.Enabled || !c.Proxy.Enabled || c.Databases.Enabled || c.Discovery.Enabled {
		t.Errorf("services are auth %t, proxy %t, databases %t, discovery %t", c.Auth.Enabled, c.Proxy.Enabled, c.Databases.Enabled, c.Discovery.Enabled)
	}
	if c.DataDir != "/var/lib/teleport" || c.Storage.Path != "/var/lib/teleport/backend" || c.Auth.ListenAddr != "0.0.0.0:3025" || c.Proxy.ListenAddr != "0.0.0.0:3080" {
		t.Errorf("defaults are %+v", c)
	}
	if err := c.ApplyFlags(config.Flags{}); err != nil {
		t.Errorf("starting without a file: %v", err)
	}
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "version: v3\nteleport:\nauth_service:\n", "---\n"} {
		c := mustParse(t, text)
		if !c.Auth.Enabled || !c.Proxy.Enabled || c.Nodename != "db-host.example.com" || c.NewClusterName() != "db-host.example.com" {
			t.Errorf("%q gives %+v", text, c)
		}
	}
}

func TestEverySpellingOfABoolean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"yes": true, `"yes"`: true, "true": true, `"true"`: true, "on": true, "no": false, `"no"`: false, "false": false, "off": false} {
		if c := mustParse(t, "db_service:\n  enabled: "+text); c.Databases.Enabled != want {
			t.Errorf("enabled: %s is %t", text, c.Databases.Enabled)
		}
	}
}

func TestAddressesOfTheClusterByVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, text, proxy, auth string
		mayBeProxy              bool
	}{
		{"v3 proxy", "version: v3\nteleport: {proxy_server: 'p.example.com:443'}", "p.example.com:443", "", false},
		{"v3 proxy without a port", "version: v3\nteleport: {proxy_server: p.example.com}", "p.example.com:3080", "", false},
		{"v3 proxy as a web address", "version: v3\nteleport: {proxy_server: 'https://p.example.com'}", "p.example.com:443", "", false},
		{"v3 auth", "version: v3\nteleport: {auth_server: 'a.example.com:3025'}", "", "a.example.com:3025", false},
		{"v2 list", "version: v2\nteleport: {auth_servers: ['p.example.com:443', 'q:1']}", "", "p.example.com:443", true},
		{"no version, one value", "teleport: {auth_servers: a.example.com}", "", "a.example.com:3025", true},
	} {
		c := mustParse(t, test.text)
		if c.ProxyAddr != test.proxy || c.AuthAddr != test.auth || c.AuthAddrMayBeProxy != test.mayBeProxy {
			t.Errorf("%s: proxy %q, auth %q, may be proxy %t", test.rule, c.ProxyAddr, c.AuthAddr, c.AuthAddrMayBeProxy)
		}
	}
}

func TestKeysOfOtherInstallationsLoadWithAWarning(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `teleport:
  ciphers: [aes128-ctr]
  kex_algos: []
  cache: {enabled: yes}
ssh_service:
  enabled: no
  commands: [{name: a, command: [b], period: 1m}]
proxy_service:
  mongo_listen_addr: 0.0.0.0:27017
  acme: {enabled: yes}
app_service:
metrics_service: {enabled: false, listen_addr: "127.0.0.1:3081"}
db_service:
  databases:
  - name: orders
    protocol: postgres
    uri: orders.abcdef.us-west-1.rds.amazonaws.com:5432
    aws:
      secret_store: {key_prefix: mine}
`)
	want := []string{
		"teleport.yaml:2: teleport.ciphers: this key has no effect in this program",
		"teleport.yaml:4: teleport.cache: this key has no effect in this program",
		"teleport.yaml:9: proxy_service.mongo_listen_addr: this key has no effect in this program",
		"teleport.yaml:10: proxy_service.acme.enabled: certificates are not fetched from an ACME authority; name the files of one in https_keypairs, or the proxy makes a self-signed one",
		"teleport.yaml:19: db_service.databases[0].aws.secret_store: has no effect on a database of RDS; it is for ElastiCache, ElastiCache Serverless, MemoryDB",
	}
	if !reflect.DeepEqual(c.Warnings, want) {
		t.Errorf("warnings are\n%s\nwant\n%s", strings.Join(c.Warnings, "\n"), strings.Join(want, "\n"))
	}
}

func TestBalancersAreBelievedWhenTheFileNamesThem(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]struct {
		networks string
		warnings int
	}{
		"no":                            {"[]", 0},
		"[]":                            {"[]", 0},
		"192.0.2.7":                     {"[192.0.2.7/32]", 0},
		"[192.0.2.0/24, '2001:db8::1']": {"[192.0.2.0/24 2001:db8::1/128]", 0},
		"yes":                           {"[0.0.0.0/0 ::/0]", 1},
	} {
		c := mustParse(t, "proxy_service: {trust_x_forwarded_for: "+value+"}")
		if got := fmt.Sprint(c.Proxy.Balancers); got != want.networks || len(c.Warnings) != want.warnings {
			t.Errorf("%s: %s, warnings %q", value, got, c.Warnings)
		}
	}
}

func TestThePortForClientsOfMySQL(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]struct {
		port     string
		warnings int
	}{
		"":                             {"  ", 0},
		"mysql_listen_addr: 0.0.0.0":   {"0.0.0.0:3036  ", 0},
		"mysql_listen_addr: ':13306'":  {":13306  ", 0},
		"mysql_public_addr: a.example": {"  ", 1},
		"mysql_server_version: 8.0.36": {"  ", 1},
		"mysql_listen_addr: '127.0.0.1:0', mysql_public_addr: a.example":                                         {"127.0.0.1:0 a.example:3036 ", 0},
		"mysql_listen_addr: ':13306', mysql_public_addr: a.example, mysql_server_version: 10.11.6-MariaDB":       {":13306 a.example:13306 10.11.6-MariaDB", 0},
		"mysql_listen_addr: ':13306', mysql_public_addr: 'a.example:3306', mysql_server_version: 5.5.5-10.11+x~": {":13306 a.example:3306 5.5.5-10.11+x~", 0},
	} {
		c := mustParse(t, "proxy_service: {"+keys+"}")
		got := c.Proxy.MySQL.ListenAddr + " " + c.Proxy.MySQL.PublicAddr + " " + c.Proxy.MySQL.Version
		if got != want.port || len(c.Warnings) != want.warnings {
			t.Errorf("%s: %q, warnings %q", keys, got, c.Warnings)
		}
	}
	for keys, want := range map[string]string{
		"mysql_listen_addr: 'a b'":                                    "is not a host name",
		"mysql_listen_addr: ':70000'":                                 "is not a port",
		"mysql_listen_addr: 3036":                                     `"3036" is not a host name or an IP address`,
		"mysql_listen_addr: ':1', mysql_public_addr: ':1'":            "needs a host",
		`mysql_listen_addr: ':1', mysql_server_version: "8.0\0x"`:     "is not a version",
		"mysql_listen_addr: ':1', mysql_server_version: newest":       "is not a version",
		"mysql_listen_addr: ':1', mysql_server_version: '8.0 (mine)'": "is not a version",
	} {
		if _, err := config.Parse([]byte("version: v3\nproxy_service: {"+keys+"}"), "t", config.SystemEnv()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

func TestPROXYHeadersComeFromWhomTheFileNames(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]struct {
		networks string
		warnings int
	}{
		"":                            {"[]", 0},
		"proxy_protocol: off":         {"[]", 0},
		"proxy_protocol: unspecified": {"[]", 0},
		"proxy_protocol: off, trust_proxy_protocol: 192.0.2.7":                     {"[]", 1},
		"proxy_protocol: on, trust_proxy_protocol: 192.0.2.7":                      {"[192.0.2.7/32]", 0},
		"proxy_protocol: on, trust_proxy_protocol: '::ffff:192.0.2.7'":             {"[192.0.2.7/32]", 0},
		"proxy_protocol: yes, trust_proxy_protocol: [192.0.2.0/24, '2001:db8::1']": {"[192.0.2.0/24 2001:db8::1/128]", 0},
		"proxy_protocol: on, trust_proxy_protocol: 0.0.0.0/0":                      {"[0.0.0.0/0]", 1},
	} {
		c := mustParse(t, "proxy_service: {"+keys+"}")
		if got := fmt.Sprint(c.Proxy.HeadersFrom); got != want.networks || len(c.Warnings) != want.warnings {
			t.Errorf("%s: %s, warnings %q", keys, got, c.Warnings)
		}
	}
}

func TestDatabasesOfTheFile(t *testing.T) {
	t.Parallel()
	ca := certificate(t)
	c, err := config.Parse([]byte(`version: v3
db_service:
  enabled: yes
  resources:
  - labels: {env: [dev, test]}
    aws: {assume_role_arn: "arn:aws:iam::123456789012:role/r", external_id: x}
  databases:
  - name: aurora
    description: the shop
    protocol: postgres
    uri: aurora.example.com:5432
    static_labels: &common {env: prod, rack: 12}
    dynamic_labels:
    - {name: host, command: hostname, period: 1m30s}
    tls: {ca_cert_file: /ca.pem, server_name: db.example.com}
    admin_user: {name: admin}
    aws: {region: us-west-1, assume_role_arn: "arn:aws:iam::210987654321:role/r"}
  - name: other
    protocol: mysql
    uri: other.example.com:3306
    static_labels: {<<: *common, rack: "13"}
    aws: {account_id: 012345678901, rds: {instance_id: i}}
`), "t", env(map[string]string{"/ca.pem": ca}))
	if err != nil {
		t.Fatal(err)
	}
	aurora, other := c.Databases.Static[0], c.Databases.Static[1]
	wantLabels := map[string]string{"env": "prod", "rack": "12", resource.LabelOrigin: resource.OriginConfigFile}
	if !reflect.DeepEqual(aurora.Metadata.Labels, wantLabels) {
		t.Errorf("labels are %v, want %v", aurora.Metadata.Labels, wantLabels)
	}
	if label := aurora.Spec.DynamicLabels["host"]; label.Period.Std() != 90*time.Second || !reflect.DeepEqual(label.Command, resource.Strings{"hostname"}) {
		t.Errorf("dynamic label is %+v", label)
	}
	if tls := aurora.Spec.TLS; tls.CACert != ca || tls.Mode != resource.TLSVerifyFull || tls.ServerName != "db.example.com" {
		t.Errorf("TLS settings are %+v", tls)
	}
	if aurora.Spec.AWS.AccountID != "210987654321" {
		t.Errorf("account is %q, want that of the role", aurora.Spec.AWS.AccountID)
	}
	if other.Spec.AWS.AccountID != "012345678901" || other.Metadata.Labels["rack"] != "13" || other.Metadata.Labels["env"] != "prod" {
		t.Errorf("second database is %+v", other)
	}
	if len(c.Databases.Selectors) != 1 || c.Databases.Selectors[0].AWS.ExternalID != "x" || len(c.Databases.Selectors[0].Labels["env"]) != 2 {
		t.Errorf("selectors are %+v", c.Databases.Selectors)
	}
	if err := aurora.Validate(); err != nil {
		t.Errorf("the database is no valid resource: %v", err)
	}
}

func TestDatabasesInAWS(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `db_service:
  enabled: yes
  databases:
  - {name: own, protocol: postgres, uri: "db.example.com:5432", aws: {rds: {instance_id: x}}}
  - {name: cache, protocol: redis, uri: "cache.example.com:6379", aws: {elasticache_serverless: {cache_name: c}}}
  - {name: docs, protocol: mongodb, uri: "d.cluster-abc.us-east-1.docdb.amazonaws.com:27017", aws: {external_id: x}}
  - {name: table, protocol: dynamodb, aws: {region: us-east-1, assume_role_arn: "arn:aws:iam::210987654321:role/r"}}
  aws:
  - {types: [opensearch, docdb], regions: us-east-1, external_id: x}
`)
	var warned []string
	for _, warning := range c.Warnings {
		if strings.Contains(warning, ".uri: ") {
			warned = append(warned, strings.SplitN(warning, " ", 3)[1])
		}
	}
	if want := []string{"db_service.databases[0].uri:", "db_service.databases[1].uri:"}; !reflect.DeepEqual(warned, want) {
		t.Errorf("warned of %v, want %v", c.Warnings, want)
	}
	for i, want := range []string{"rds", "elasticache-serverless", "docdb", "dynamodb"} {
		if got := c.Databases.Static[i].Type(); got != want {
			t.Errorf("database %d is of type %s, want %s", i, got, want)
		}
	}
	if table := c.Databases.Static[3].Spec; table.AWS.AccountID != "210987654321" || table.URI != "aws://dynamodb.us-east-1.amazonaws.com" {
		t.Errorf("the table is %+v", table)
	}
}

func TestCertificateFilesHoldCertificatesOnly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rule, content, want string }{
		{"no PEM", "hello", "holds no certificate in PEM"},
		{"a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds a private key"},
		{"garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"},
	} {
		_, err := config.Parse([]byte("db_service:\n  databases:\n  - {name: a, protocol: postgres, uri: 'h:1', ca_cert_file: /f}"), "t", env(map[string]string{"/f": test.content}))
		if err == nil || !strings.Contains(err.Error(), "the file /f ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error is %v", test.rule, err)
		}
	}
}

func TestSettingsOfTheClusterOnlyWhenTheFileMakesThem(t *testing.T) {
	t.Parallel()
	if c := mustParse(t, "auth_service: {enabled: yes, cluster_name: c.example.com}"); len(c.Auth.Settings) != 0 {
		t.Errorf("settings are %v, want none", c.Auth.Settings)
	}
	c, err := config.Parse([]byte(`auth_service:
  client_idle_timeout: never
  session_recording: "off"
  message_of_the_day: hello
  authentication: {second_factor: on, require_session_mfa: no, default_session_ttl: 8h}
  tokens: ["db,node:secret-number-one", "proxy:/etc/token"]
`), "t", env(map[string]string{"/etc/token": "secret-number-two\n"}))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]resource.Resource{}
	for _, r := range c.Auth.Settings {
		found[r.GetKind()] = r
		if r.Meta().Labels[resource.LabelOrigin] != resource.OriginConfigFile {
			t.Errorf("%s has labels %v", r.GetKind(), r.Meta().Labels)
		}
	}
	login, _ := found[resource.KindAuthPreference].(*resource.AuthPreference)
	network, _ := found[resource.KindNetworkingConfig].(*resource.NetworkingConfig)
	recording, _ := found[resource.KindRecordingConfig].(*resource.RecordingConfig)
	if login == nil || network == nil || recording == nil {
		t.Fatalf("settings are %v, want all three", found)
	}
	if login.Spec.SecondFactor != "on" || login.Spec.DefaultSessionTTL.Std() != 8*time.Hour || login.Spec.MessageOfTheDay != "hello" {
		t.Errorf("login settings are %+v", login.Spec)
	}
	if network.Spec.ClientIdleTimeout != 0 || recording.Spec.Mode != "off" {
		t.Errorf("idle timeout is %v, recording is %q", network.Spec.ClientIdleTimeout, recording.Spec.Mode)
	}
	if len(c.Auth.StaticTokens) != 2 || c.Auth.StaticTokens[0].GetName() != "secret-number-one" || len(c.Auth.StaticTokens[0].Spec.Roles) != 2 || c.Auth.StaticTokens[1].GetName() != "secret-number-two" {
		t.Errorf("static tokens are not those of the file")
	}
}

func TestMatchersHaveDefaults(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `discovery_service:
  enabled: yes
  discovery_group: g
  aws: [{types: [rds, ec2], regions: us-west-1}, {types: ec2, regions: "*"}]
  azure: [{types: postgres, tags: {env: prod}}]
`)
	all := resource.Labels{"*": {"*"}}
	d := c.Discovery
	if d.Group != "g" || d.PollInterval != 5*time.Minute || !reflect.DeepEqual(d.AWS[0].Tags, all) || d.Azure[0].Regions[0] != "*" || d.Azure[0].Subscriptions[0] != "*" {
		t.Errorf("discovery is %+v", d)
	}
	if len(d.AWS) != 1 || !slices.Equal(d.AWS[0].Types, []string{"rds"}) {
		t.Errorf("matchers of databases are %+v", d.AWS)
	}
	for i, text := range []string{"aws[0].types: only databases", "aws[1].types: only databases", "azure: databases in Azure are not looked for"} {
		if len(c.Warnings) != 3 || !strings.Contains(c.Warnings[i], text) {
			t.Errorf("warnings are %q, want one with %q", c.Warnings, text)
		}
	}
}

func TestLoadSaysWhyAFileCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := config.Load(filepath.Join(dir, "none.yaml")); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Message(err), "none.yaml") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := config.Load(dir); !fault.Is(err, fault.BadParameter) || !strings.Contains(fault.Message(err), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	file := filepath.Join(dir, "t.yaml")
	if err := os.WriteFile(file, []byte("version: v3\nnonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(file); err == nil || !strings.HasPrefix(fault.Message(err), file+":2: nonsense: ") {
		t.Errorf("bad file: %v", err)
	}
}

func TestFromBase64(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString([]byte("version: v3\nteleport: {nodename: n}\n"))
	c, err := config.FromBase64(text+"\n", "TELEPORT_CONFIG", env(nil))
	if err != nil || c.Nodename != "n" {
		t.Errorf("config %+v, error %v", c, err)
	}
	if _, err := config.FromBase64("version: v3", "TELEPORT_CONFIG", env(nil)); err == nil || !strings.Contains(fault.Message(err), "TELEPORT_CONFIG") {
		t.Errorf("plain text: %v, want an error that names the variable", err)
	}
}

func TestAliasesCannotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("plugins:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		line := strings.Repeat("*a"+string(rune('0'+i-1))+", ", 10)
		b.WriteString("  a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.TrimSuffix(line, ", ") + "]\n")
	}
	_, err := config.Parse([]byte(b.String()), "t", env(nil))
	if err == nil || !strings.Contains(fault.Message(err), "more than") {
		t.Errorf("error is %v, want a refusal", err)
	}
}

func TestCommandsOfDynamicDatabasesAreOffUnlessSwitchedOn(t *testing.T) {
	for text, want := range map[string]bool{
		"db_service: {enabled: yes}":                                    false,
		"db_service: {enabled: yes, allow_dynamic_label_commands: no}":  false,
		"db_service: {enabled: yes, allow_dynamic_label_commands: yes}": true,
	} {
		if got := mustParse(t, text).Databases.RunDynamicCommands; got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestPoliciesAreLeftAloneUnlessSwitchedOn(t *testing.T) {
	for text, want := range map[string]bool{
		"db_service: {enabled: yes}":                         false,
		"db_service: {enabled: yes, manage_iam_policy: no}":  false,
		"db_service: {enabled: yes, manage_iam_policy: yes}": true,
	} {
		if got := mustParse(t, text).Databases.ManageIAMPolicy; got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestFileSetsAllRulesOfRecording(t *testing.T) {
	for text, want := range map[string]resource.RecordingConfigSpec{
		"session_recording: node": {StartGate: resource.StartGateLocal, OutageBudget: resource.Duration(resource.DefaultOutageBudget)},
		"session_recording_start_gate: auth, session_recording_outage_budget: 2m": {StartGate: resource.StartGateAuth, OutageBudget: resource.Duration(2 * time.Minute)},
		"session_recording_outage_budget: never":                                  {StartGate: resource.StartGateLocal, OutageBudget: -1},
	} {
		c := mustParse(t, "auth_service: {"+text+"}")
		if len(c.Auth.Settings) != 1 {
			t.Fatalf("%s: settings are %v", text, c.Auth.Settings)
		}
		spec := c.Auth.Settings[0].(*resource.RecordingConfig).Spec
		if spec.StartGate != want.StartGate || spec.OutageBudget != want.OutageBudget || spec.Mode == "" {
			t.Errorf("%s: %+v", text, spec)
		}
	}
	_, err := config.Parse([]byte("auth_service:\n  session_recording_start_gate: nowhere"), "t", config.SystemEnv())
	if err == nil || !strings.Contains(err.Error(), "t:2: auth_service.session_recording_start_gate: ") {
		t.Errorf("a wrong place: %v", err)
	}
}

func TestWebCertificatesAreLookedAtUnlessNever(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": time.Minute, "  https_keypairs_reload_interval: 0s\n": 0, "  https_keypairs_reload_interval: 5m\n": 5 * time.Minute} {
		cfg, err := config.Parse([]byte("proxy_service:\n  enabled: true\n"+text), "t", config.SystemEnv())
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Proxy.KeyPairsReload != want {
			t.Errorf("%q: every %s", text, cfg.Proxy.KeyPairsReload)
		}
	}
}
