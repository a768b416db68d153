package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const testPin = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestFlagsCountMoreThanTheFile(t *testing.T) {
	t.Parallel()
	c := mustParse(t, `version: v3
teleport:
  nodename: from-file
  proxy_server: file.example.com:443
  join_params: {token_name: file-token}
  pid_file: /file.pid
  log: {severity: WARN}
auth_service: {enabled: no}
proxy_service: {enabled: no}
db_service: {enabled: yes}
`)
	err := c.ApplyFlags(config.Flags{
		Debug: true, AuthServers: []string{"flag.example.com:443"}, Token: "flag-token", CAPins: []string{testPin}, Nodename: "from-flag",
		AdvertiseIP: "10.0.0.1", DiagAddr: "127.0.0.1:3000", PIDFile: "/flag.pid", Insecure: true, SkipVersionCheck: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Nodename != "from-flag" || c.Token != "flag-token" || c.PIDFile != "/flag.pid" || c.DiagAddr != "127.0.0.1:3000" || c.AdvertiseIP != "10.0.0.1" ||
		!c.Insecure || c.Log.Severity != "DEBUG" || !reflect.DeepEqual(c.CAPins, []string{testPin}) {
		t.Errorf("configuration is %+v", c)
	}
	for _, flag := range []string{"--skip-version-check: has no effect", "--advertise-ip: has an effect in a process with a proxy only"} {
		if !strings.Contains(strings.Join(c.Warnings, "\n"), flag) {
			t.Errorf("no warning %q in %q", flag, c.Warnings)
		}
	}
	if c.ProxyAddr != "" || c.AuthAddr != "flag.example.com:443" || !c.AuthAddrMayBeProxy {
		t.Errorf("addresses are proxy %q, auth %q", c.ProxyAddr, c.AuthAddr)
	}
}

func TestRolesDecideWhatRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule            string
		flags           config.Flags
		auth, proxy, db bool
	}{
		{"no flags", config.Flags{}, true, true, false},
		{"a list in one value", config.Flags{Roles: []string{"auth, db"}}, true, false, true},
		{"several values", config.Flags{Roles: []string{"proxy", "db"}}, false, true, true},
		{"another auth server turns off the own one", config.Flags{AuthServers: []string{"a:3025"}}, false, true, false},
		{"an agent", config.Flags{Roles: []string{"db"}, AuthServers: []string{"p:443"}}, false, false, true},
	} {
		c := config.Default()
		if err := c.ApplyFlags(test.flags); err != nil {
			t.Errorf("%s: %v", test.rule, err)
		}
		if c.Auth.Enabled != test.auth || c.Proxy.Enabled != test.proxy || c.Databases.Enabled != test.db {
			t.Errorf("%s: auth %t, proxy %t, db %t", test.rule, c.Auth.Enabled, c.Proxy.Enabled, c.Databases.Enabled)
		}
	}
}

func TestAServiceOfItsOwnIsEnough(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"auth_service", "proxy_service", "db_service", "discovery_service"} {
		text := "version: v3\nteleport: {proxy_server: 'p:443'}\n"
		for _, other := range []string{"auth_service", "proxy_service", "db_service", "discovery_service"} {
			text += fmt.Sprintf("%s: {enabled: %t}\n", other, other == service)
		}
		if err := mustParse(t, text).ApplyFlags(config.Flags{}); err != nil {
			t.Errorf("%s alone: %v", service, err)
		}
	}
}

func TestFlagsThatCannotWork(t *testing.T) {
	t.Parallel()
	off := "auth_service: {enabled: no}\nproxy_service: {enabled: no}\n"
	for _, test := range []struct {
		rule, text string
		flags      config.Flags
		want       string
	}{
		{"a role for servers", "", config.Flags{Roles: []string{"node"}}, "--roles: this program serves databases only and has no role node; use auth, proxy and db"},
		{"an unknown role", "", config.Flags{Roles: []string{"auth,dbb"}}, `--roles: "dbb" is not known; use auth, proxy and db`},
		{"auth here and elsewhere", "", config.Flags{Roles: []string{"auth"}, AuthServers: []string{"a:1"}}, "--auth-server: cannot be combined with the role auth; a process either is the auth service or uses another one"},
		{"nothing to run", off, config.Flags{}, "there is nothing to run: enable auth_service, proxy_service, db_service or discovery_service in the configuration file, or give --roles"},
		{"no cluster", off + "db_service: {enabled: yes}", config.Flags{}, "the address of the cluster is missing: set teleport.proxy_server in the configuration file, or give --auth-server=host:port"},
		{"an agent behind auth only", "version: v3\nteleport: {auth_server: 'a:3025'}\n" + off + "db_service: {enabled: yes}", config.Flags{}, "a Database Service is reached through a proxy: set teleport.proxy_server to the proxy's address instead of auth_server"},
		{"a pin of another form", "", config.Flags{CAPins: []string{"x"}}, "--ca-pin: must be sha256: and 64 hexadecimal digits, as `tctl status` prints it, or the absolute path of a file with that"},
		{"validated endpoints of AWS, and a proxy that is not verified", "", config.Flags{FIPS: true, Insecure: true}, "--fips: cannot be combined with --insecure, which does not verify whom it talks to; give the proxy a certificate that this host trusts, or set ca_pin"},
		{"a name to listen on", "", config.Flags{ListenIP: "localhost"}, `--listen-ip: "localhost" is not an IP address`},
		{"a missing bootstrap file", "", config.Flags{Bootstrap: "/no/file"}, "--bootstrap: the file /no/file cannot be read: no such file or directory"},
		{"bootstrap without auth", "", config.Flags{Bootstrap: "/no/file", Roles: []string{"proxy"}}, "--bootstrap: is for the process that runs the auth service"},
		{"a database without a protocol", "", config.Flags{Database: &config.DatabaseFlags{URI: "h:1"}}, `--protocol is missing; use "postgres", "mysql", "mongodb" or "redis"`},
		{"a database without an address", "", config.Flags{Database: &config.DatabaseFlags{Protocol: "postgres"}}, "--uri is missing; write the database's host and port, as in --uri=db.example.com:5432"},
		{"a database of MySQL without an address", "", config.Flags{Database: &config.DatabaseFlags{Protocol: "mysql"}}, "--uri is missing; write the database's host and port, as in --uri=db.example.com:3306"},
		{"a database without a port", "", config.Flags{Database: &config.DatabaseFlags{Name: "a", Protocol: "postgres", URI: "h"}}, `--uri: "h" needs a host and a port, as in db.example.com:5432`},
		{"a bad account", "", config.Flags{Database: &config.DatabaseFlags{Name: "a", Protocol: "postgres", URI: "h:1", AWSAccountID: "1"}}, "--aws-account-id: must be the 12 digits of an account, in quotes"},
		{"a label without a value", "", config.Flags{Database: &config.DatabaseFlags{Name: "a", Protocol: "postgres", URI: "h:1", Labels: "env"}}, `--labels: "env" must be written as key=value`},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			err := mustParse(t, test.text).ApplyFlags(test.flags)
			if !fault.Is(err, fault.BadParameter) || fault.Message(err) != test.want {
				t.Errorf("told\n  %v\nwant\n  %s", err, test.want)
			}
		})
	}
}

func TestListenIPMovesEveryListener(t *testing.T) {
	t.Parallel()
	c := mustParse(t, "auth_service: {listen_addr: '0.0.0.0:13025'}")
	if err := c.ApplyFlags(config.Flags{ListenIP: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	if c.Auth.ListenAddr != "127.0.0.1:13025" || c.Proxy.ListenAddr != "127.0.0.1:3080" {
		t.Errorf("auth listens on %s, proxy on %s", c.Auth.ListenAddr, c.Proxy.ListenAddr)
	}
}

func TestAnAddressBesideTheOwnAuthServiceIsWarnedAbout(t *testing.T) {
	t.Parallel()
	for text, warned := range map[string]bool{
		"version: v3\nteleport: {proxy_server: 'p.example.com:443'}": true,
		"teleport: {auth_servers: ['127.0.0.1:3025']}":               false,
	} {
		c := mustParse(t, text)
		if err := c.ApplyFlags(config.Flags{}); err != nil {
			t.Fatal(err)
		}
		if (len(c.Warnings) > 0) != warned || c.ProxyAddr+c.AuthAddr != "" {
			t.Errorf("%q: warnings %v, address %q", text, c.Warnings, c.ProxyAddr+c.AuthAddr)
		}
	}
}

func TestResourcesOfTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	role := write("role.yaml", "kind: role\nversion: v7\nmetadata: {name: dba}\nspec: {allow: {db_users: ['*']}}\n")
	db := write("db.yaml", "kind: db\nversion: v3\nmetadata: {name: d}\nspec: {protocol: postgres, uri: 'h:1'}\n")
	bad := write("bad.yaml", "kind: role\nversion: v7\nmetadata: {name: dba}\nspec: {alow: {}}\n")

	c := config.Default()
	if err := c.ApplyFlags(config.Flags{Bootstrap: db, ApplyOnStartup: role}); err != nil {
		t.Fatal(err)
	}
	if len(c.Auth.Bootstrap) != 1 || len(c.Auth.Startup) != 1 || c.Auth.Startup[0].GetName() != "dba" {
		t.Errorf("bootstrap is %v, start-up is %v", c.Auth.Bootstrap, c.Auth.Startup)
	}
	err := config.Default().ApplyFlags(config.Flags{ApplyOnStartup: db})
	if err == nil || !strings.HasPrefix(fault.Message(err), "--apply-on-startup: a db cannot be written at every start; use ") {
		t.Errorf("a database at every start: %v", err)
	}
	err = config.Default().ApplyFlags(config.Flags{Bootstrap: bad})
	if err == nil || !strings.Contains(fault.Message(err), bad+": document 1: line 4: spec.alow") {
		t.Errorf("a bad resource: %v", err)
	}
}

func TestADatabaseOnTheCommandLine(t *testing.T) {
	t.Parallel()
	c := mustParse(t, "version: v3\nteleport: {proxy_server: 'p:1'}\ndb_service:\n  databases:\n  - {name: orders, protocol: mysql, uri: 'old:1'}\n  - {name: kept, protocol: mysql, uri: 'h:1'}")
	err := c.ApplyFlags(config.Flags{Roles: []string{"db"}, Database: &config.DatabaseFlags{
		Protocol: "postgres", URI: "Orders.internal.example.com:5432", Labels: `env=prod,team="a,b",host=[1h:hostname -f]`,
		AWSRegion: "us-west-1", AWSSessionTags: "team=red", GCPProjectID: "p",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Databases.Static) != 2 || c.Databases.Static[0].GetName() != "kept" {
		t.Fatalf("databases are %v", c.Databases.Static)
	}
	db := c.Databases.Static[1]
	if db.GetName() != "orders" || db.Spec.Protocol != "postgres" || db.Spec.AWS.Region != "us-west-1" || db.Spec.AWS.SessionTags["team"] != "red" || db.Spec.GCP.ProjectID != "p" {
		t.Errorf("database is %+v", db)
	}
	if db.Metadata.Labels["env"] != "prod" || db.Metadata.Labels["team"] != "a,b" || db.Origin() != resource.OriginConfigFile {
		t.Errorf("labels are %v", db.Metadata.Labels)
	}
	if got := db.Spec.DynamicLabels["host"].Command; !reflect.DeepEqual(got, resource.Strings{"hostname", "-f"}) {
		t.Errorf("command is %q", got)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "named orders after its host") {
		t.Errorf("warnings are %v, want one about the name", c.Warnings)
	}
}

func TestAllAddressesOfTheClusterAreKept(t *testing.T) {
	t.Parallel()
	const listed = "teleport: {auth_servers: ['a.example.com:1', 'b.example.com:2', c.example.com]}\nauth_service: {enabled: no}"
	for rule, test := range map[string]struct {
		flags []string
		want  []string
	}{
		"of the file":  {nil, []string{"a.example.com:1", "b.example.com:2", "c.example.com:3025"}},
		"of the flags": {[]string{"d.example.com:4", "e.example.com:5"}, []string{"d.example.com:4", "e.example.com:5"}},
	} {
		c := mustParse(t, listed)
		if err := c.ApplyFlags(config.Flags{AuthServers: test.flags}); err != nil {
			t.Fatal(err)
		}
		if got := append([]string{c.AuthAddr}, c.OtherAddrs...); !reflect.DeepEqual(got, test.want) || len(c.Warnings) != 0 {
			t.Errorf("%s: %v, warnings %v", rule, got, c.Warnings)
		}
	}
}

// TestRenamedHostKeepsItsCluster reads a file without a cluster's name: nothing is configured then that could
// differ from the name that the cluster got when the host was called otherwise.
func TestRenamedHostKeepsItsCluster(t *testing.T) {
	t.Parallel()
	c := mustParse(t, "auth_service: {enabled: yes}")
	if err := c.ApplyFlags(config.Flags{Nodename: "Other_Name.example.com"}); err != nil {
		t.Fatal(err)
	}
	if c.Auth.ClusterName != "" || c.NewClusterName() != "other-name.example.com" {
		t.Errorf("configured is %q, a new cluster is called %q", c.Auth.ClusterName, c.NewClusterName())
	}
}
