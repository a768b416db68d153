package config_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func generateDatabase(t *testing.T, f config.DatabaseFile) (*config.Config, string) {
	t.Helper()
	f.Nodename = "agent-1"
	if f.Proxy == "" {
		f.Proxy = "teleport.example.com:443"
	}
	text, _, err := config.GenerateDatabase(f, config.SystemEnv())
	if err != nil {
		t.Fatalf("generating: %v", err)
	}
	c, err := config.Parse(text, "generated", config.SystemEnv())
	if err == nil {
		err = c.ApplyFlags(config.Flags{})
	}
	if err != nil {
		t.Fatalf("what was generated cannot be started with: %v\n%s", err, text)
	}
	return c, string(text)
}

func TestTheConfigurationOfTheGuide(t *testing.T) {
	t.Parallel()
	c, text := generateDatabase(t, config.DatabaseFile{
		Token: "/tmp/token",
		Database: config.DatabaseFlags{Name: "aurora", Protocol: "postgres",
			URI: "aurora.cluster-abc.us-west-1.rds.amazonaws.com:5432", AWSRegion: "us-west-1"},
	})
	if c.Auth.Enabled || c.Proxy.Enabled || !c.Databases.Enabled || c.ProxyAddr != "teleport.example.com:443" || c.Token != "/tmp/token" || c.Nodename != "agent-1" {
		t.Errorf("configuration is %+v", c)
	}
	if db := c.Databases.Static[0]; db.GetName() != "aurora" || db.Spec.AWS.Region != "us-west-1" || db.Spec.URI != "aurora.cluster-abc.us-west-1.rds.amazonaws.com:5432" {
		t.Errorf("database is %+v", db)
	}
	var order []string
	for _, match := range regexp.MustCompile(`(?m)^([a-z_]+):`).FindAllStringSubmatch(text, -1) {
		order = append(order, match[1])
	}
	if want := []string{"version", "teleport", "db_service", "auth_service", "ssh_service", "proxy_service"}; !reflect.DeepEqual(order, want) {
		t.Errorf("sections are %v, want %v", order, want)
	}
	for _, line := range []string{`  data_dir: "/var/lib/teleport"`, `    join_method: "token"`, `  enabled: "yes"`, `  enabled: "no"`, `  - name: "aurora"`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the text has no line %q:\n%s", line, text)
		}
	}
}

func TestWhatIsGeneratedForADatabaseCanBeStartedWith(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(certificate(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := generateDatabase(t, config.DatabaseFile{
		Token: `strange "token" \ :`, CAPins: []string{testPin, "/etc/pin"},
		Database: config.DatabaseFlags{
			Name: "db", Description: "with \"quotes\", #signs: and\ttabs", Protocol: "sqlserver", URI: "sql.example.com:1433", CACertFile: ca,
			Labels: `env=prod,note="a, b: c",arch=[1m0s:uname "-p"]`, AWSRegion: "us-west-1", AWSAccountID: "012345678901",
			AWSAssumeRoleARN: "arn:aws:iam::012345678901:role/r", AWSExternalID: "ext", AWSRedshiftClusterID: "rs", AWSRDSInstanceID: "ri",
			AWSRDSClusterID: "rc", AWSElastiCacheGroupID: "ec", AWSMemoryDBClusterName: "mm", AWSSessionTags: "a=b",
			GCPProjectID: "gp", GCPInstanceID: "gi", ADDomain: "EXAMPLE.COM", ADSPN: "MSSQLSvc/x:1433", ADKeytabFile: "/etc/keytab",
		},
		AWSDiscovery:   map[string][]string{"rds": {"us-west-1,us-east-1", "eu-west-1"}, "memorydb": {"us-west-1"}},
		AWSTags:        "env=prod,env=dev",
		AzureDiscovery: map[string][]string{"postgres": {"eastus"}}, AzureSubscriptions: []string{"sub"}, AzureTags: "a=b",
		DynamicLabels: []string{"*=*", "env=dev,team=red"},
	})
	spec := c.Databases.Static[0].Spec
	aws := resource.AWS{
		Region: "us-west-1", AccountID: "012345678901", AssumeRoleARN: "arn:aws:iam::012345678901:role/r", ExternalID: "ext",
		SessionTags: map[string]string{"a": "b"}, RDS: resource.RDS{InstanceID: "ri", ClusterID: "rc"}, Redshift: resource.Redshift{ClusterID: "rs"},
		ElastiCache: resource.ElastiCache{ReplicationGroupID: "ec"}, MemoryDB: resource.MemoryDB{ClusterName: "mm"},
	}
	if !reflect.DeepEqual(spec.AWS, aws) {
		t.Errorf("AWS settings are %+v, want %+v", spec.AWS, aws)
	}
	ad := resource.ActiveDirectory{KeytabFile: "/etc/keytab", Krb5File: "/etc/krb5.conf", Domain: "EXAMPLE.COM", SPN: "MSSQLSvc/x:1433"}
	if spec.AD != ad || spec.GCP != (resource.GCP{ProjectID: "gp", InstanceID: "gi"}) || spec.TLS.CACert == "" {
		t.Errorf("settings are %+v", spec)
	}
	meta := c.Databases.Static[0].Metadata
	if meta.Description != "with \"quotes\", #signs: and\ttabs" || meta.Labels["note"] != "a, b: c" || c.Token != `strange "token" \ :` {
		t.Errorf("texts are %q, %q and a token", meta.Description, meta.Labels["note"])
	}
	if got := spec.DynamicLabels["arch"].Command; !reflect.DeepEqual(got, resource.Strings{"uname", `"-p"`}) {
		t.Errorf("command is %q, want its quotes kept", got)
	}
	matchers := []config.AWSMatcher{
		{Types: []string{"rds"}, Regions: []string{"us-west-1", "us-east-1", "eu-west-1"}, Tags: resource.Labels{"env": {"prod", "dev"}}},
		{Types: []string{"memorydb"}, Regions: []string{"us-west-1"}, Tags: resource.Labels{"env": {"prod", "dev"}}},
	}
	if !reflect.DeepEqual(c.Databases.AWS, matchers) {
		t.Errorf("matchers are %+v, want %+v", c.Databases.AWS, matchers)
	}
	if len(c.Databases.Azure) != 1 || c.Databases.Azure[0].Subscriptions[0] != "sub" || c.Databases.Azure[0].ResourceGroups[0] != "*" {
		t.Errorf("Azure matchers are %+v", c.Databases.Azure)
	}
	if len(c.Databases.Selectors) != 2 || !c.Databases.Selectors[0].Labels.IsAll() || c.Databases.Selectors[1].Labels["team"][0] != "red" || len(c.CAPins) != 2 {
		t.Errorf("selectors are %+v, pins %v", c.Databases.Selectors, c.CAPins)
	}
}

func TestExamplesInCommentsCanBeStartedWith(t *testing.T) {
	t.Parallel()
	_, text := generateDatabase(t, config.DatabaseFile{Token: "t"})
	// A person takes away "# " in front of keys and entries; sentences stay comments.
	shown := regexp.MustCompile(`(?m)^  # ((?:resources|aws|azure|databases):|- .*| .*)$`).ReplaceAllString(text, "  $1")
	c, err := config.Parse([]byte(shown), "t", env(map[string]string{"/etc/ssl/orders-ca.pem": certificate(t)}))
	if err != nil {
		t.Fatalf("the examples are wrong: %v\n%s", err, shown)
	}
	if len(c.Databases.Static) != 6 || len(c.Databases.AWS) != 1 || len(c.Databases.Azure) != 1 || len(c.Databases.Selectors) != 1 {
		t.Errorf("examples gave %d databases, %d and %d matchers, %d selectors\n%s", len(c.Databases.Static), len(c.Databases.AWS), len(c.Databases.Azure), len(c.Databases.Selectors), shown)
	}
}

func TestADatabaseWithoutANameIsNamedAfterItsHost(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"proxy.proxy-abc.us-west-1.rds.amazonaws.com:5432": "proxy", "LOCALHOST:5432": "localhost", "postgres://db.example.com:1/x": "db",
	} {
		text, note, err := config.GenerateDatabase(config.DatabaseFile{Proxy: "p:1", Database: config.DatabaseFlags{Protocol: "postgres", URI: uri}}, env(nil))
		if err != nil || !strings.Contains(string(text), `- name: "`+want+`"`) || !strings.Contains(note, " "+want+" ") {
			t.Errorf("%s: note %q, error %v", uri, note, err)
		}
	}
	_, _, err := config.GenerateDatabase(config.DatabaseFile{Proxy: "p:1", Database: config.DatabaseFlags{Protocol: "postgres", URI: "10.0.0.1:5432"}}, env(nil))
	if err == nil || !strings.HasPrefix(fault.Message(err), `--name: "10" must consist of`) {
		t.Errorf("an address as name: %v, want a refusal that names --name", err)
	}
}

func TestDatabaseFlagsThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule string
		file config.DatabaseFile
		want string
	}{
		{"only a name", config.DatabaseFile{Database: config.DatabaseFlags{Name: "a"}}, "--protocol and --uri are missing"},
		{"no address", config.DatabaseFile{Database: config.DatabaseFlags{Name: "a", Protocol: "postgres"}}, "--uri is missing"},
		{"an unknown protocol", config.DatabaseFile{Database: config.DatabaseFlags{Name: "a", Protocol: "db2", URI: "h:1"}}, `--protocol: "db2" is not known; use "postgres"`},
		{"a missing certificate", config.DatabaseFile{Database: config.DatabaseFlags{Name: "a", Protocol: "postgres", URI: "h:1", CACertFile: "/no"}}, "--ca-cert-file: the file /no cannot be read"},
		{"a label without a period", config.DatabaseFile{Database: config.DatabaseFlags{Name: "a", Protocol: "postgres", URI: "h:1", Labels: "x=[date]"}}, "--labels: x must be written as key=[period:command]"},
		{"a label that runs too often", config.DatabaseFile{Database: config.DatabaseFlags{Name: "a", Protocol: "postgres", URI: "h:1", Labels: "x=[1ms:date]"}}, `--labels: the period "1ms" of x must be`},
		{"a region", config.DatabaseFile{AWSDiscovery: map[string][]string{"rds": {"California"}}}, `--rds-discovery: "California" is not a region`},
		{"tags", config.DatabaseFile{AWSTags: "a"}, `--aws-tags: "a" must be written as key=value`},
		{"a pin", config.DatabaseFile{CAPins: []string{"abc"}}, "--ca-pin: must be sha256:"},
		{"a proxy", config.DatabaseFile{Proxy: "a b:1"}, `--proxy: "a b" is not a host name`},
	} {
		if test.file.Proxy == "" {
			test.file.Proxy = "p:1"
		}
		_, _, err := config.GenerateDatabase(test.file, env(nil))
		if !fault.Is(err, fault.BadParameter) || !strings.HasPrefix(fault.Message(err), test.want) {
			t.Errorf("%s: told %v, want %s", test.rule, err, test.want)
		}
	}
}

func TestWhatConfigureGeneratesCanBeStartedWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	for _, path := range []string{cert, key} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		rule string
		file config.File
		want func(c *config.Config) bool
	}{
		{"nothing asked", config.File{}, func(c *config.Config) bool {
			return len(c.Auth.Settings) == 0 && c.Auth.Enabled && c.Proxy.Enabled && !c.Databases.Enabled && c.DataDir == "/var/lib/teleport" && len(c.Warnings) == 0
		}},
		{"a named cluster", config.File{ClusterName: "c.example.com", PublicAddr: "c.example.com:443", CertFile: cert, KeyFile: key, DataDir: "/data"}, func(c *config.Config) bool {
			return c.Auth.ClusterName == "c.example.com" && c.Proxy.PublicAddrs[0] == "c.example.com:443" && c.Proxy.KeyPairs[0].CertFile == cert && c.DataDir == "/data"
		}},
		{"acme", config.File{ClusterName: "c.example.com", ACME: true, ACMEEmail: "a@example.com"}, func(c *config.Config) bool {
			return c.Proxy.ListenAddr == "0.0.0.0:443" && c.Proxy.PublicAddrs[0] == "c.example.com:443"
		}},
		{"an agent", config.File{Roles: []string{"db"}, Proxy: "p.example.com:443", Token: "/tmp/token"}, func(c *config.Config) bool {
			return !c.Auth.Enabled && !c.Proxy.Enabled && c.Databases.Enabled && c.ProxyAddr == "p.example.com:443" && c.Token == "/tmp/token"
		}},
		{"a proxy of its own", config.File{Roles: []string{"proxy"}, AuthServer: "a.example.com"}, func(c *config.Config) bool {
			return !c.Auth.Enabled && c.Proxy.Enabled && c.AuthAddr == "a.example.com:3025"
		}},
		{"an older format", config.File{Version: "v1", Roles: []string{"db"}, Proxy: "p.example.com:443"}, func(c *config.Config) bool {
			return c.AuthAddr == "p.example.com:443" && c.AuthAddrMayBeProxy
		}},
	} {
		test.file.Nodename = "host"
		text, err := config.Generate(test.file)
		if err != nil {
			t.Errorf("%s: %v", test.rule, err)
			continue
		}
		c, err := config.Parse(text, "generated", config.SystemEnv())
		if err == nil {
			err = c.ApplyFlags(config.Flags{})
		}
		if err != nil || !test.want(c) {
			t.Errorf("%s: error %v, configuration %+v\n%s", test.rule, err, c, text)
		}
	}
}

func TestTheProxyListensWhereItsAddressSays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule string
		file config.File
		want string
	}{
		{"without an address the usual port", config.File{}, "0.0.0.0:3080"},
		{"the port of the address", config.File{PublicAddr: "teleport.example.com:443"}, "0.0.0.0:443"},
		{"another port", config.File{PublicAddr: "teleport.example.com:8443"}, "0.0.0.0:8443"},
		{"an address without a port", config.File{PublicAddr: "teleport.example.com"}, "0.0.0.0:3080"},
		{"acme", config.File{ACME: true, ClusterName: "teleport.example.com"}, "0.0.0.0:443"},
		{"acme at another port", config.File{ACME: true, PublicAddr: "teleport.example.com:8443"}, "0.0.0.0:8443"},
	} {
		c, err := parseGenerated(test.file)
		if err != nil || c.Proxy.ListenAddr != test.want {
			t.Errorf("%s: listens at %q, %v, want %q", test.rule, c.Proxy.ListenAddr, err, test.want)
		}
	}
}

func parseGenerated(f config.File) (*config.Config, error) {
	text, err := config.Generate(f)
	if err != nil {
		return &config.Config{}, err
	}
	c, err := config.Parse(text, "generated", config.SystemEnv())
	if err != nil {
		return &config.Config{}, err
	}
	return c, c.ApplyFlags(config.Flags{})
}

func TestCommentedKeysOfAStartingFileCanBeUncommented(t *testing.T) {
	t.Parallel()
	text, err := config.Generate(config.File{ClusterName: "teleport.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"  ca_pin: []\n", "  proxy_listener_mode: multiplex\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	uncommented := strings.Replace(string(text), `  # diag_addr: "`, `  diag_addr: "`, 1)
	c, err := config.Parse([]byte(uncommented), "uncommented", config.SystemEnv())
	if err != nil || c.DiagAddr != "127.0.0.1:3000" {
		t.Errorf("diagnostics are at %q, %v, of\n%s", c.DiagAddr, err, uncommented)
	}
}

func TestConfigureFlagsThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule string
		file config.File
		want string
	}{
		{"a version", config.File{Version: "v7"}, `--version: "v7" is not known`},
		{"a cluster's name", config.File{ClusterName: "My Cluster"}, `--cluster-name: "My Cluster" must consist of`},
		{"a role", config.File{Roles: []string{"node"}}, `--roles: "node" is not a role of this program`},
		{"half a certificate", config.File{CertFile: "/etc/hostname"}, "--cert-file: and --key-file belong together"},
		{"an agent of nothing", config.File{Roles: []string{"db"}}, "--proxy: is missing"},
		{"an agent of auth", config.File{Roles: []string{"db"}, AuthServer: "a:1"}, "--auth-server: a Database Service is reached through a proxy"},
		{"two addresses", config.File{AuthServer: "a:1", Proxy: "p:1"}, "--auth-server: cannot be combined with --proxy"},
		{"auth that joins", config.File{Roles: []string{"auth"}, Proxy: "p:1"}, "--roles: a process that is the auth service"},
		{"acme for nobody", config.File{ACME: true}, "--acme: needs --cluster-name or --public-addr"},
	} {
		_, err := config.Generate(test.file)
		if !fault.Is(err, fault.BadParameter) || !strings.HasPrefix(fault.Message(err), test.want) {
			t.Errorf("%s: told %v, want %s", test.rule, err, test.want)
		}
	}
}

func TestWriteOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout bytes.Buffer
	if path, err := config.WriteOutput(&stdout, "stdout", "/none", []byte("text")); err != nil || path != "" || stdout.String() != "text" {
		t.Errorf("stdout: path %q, text %q, %v", path, stdout.String(), err)
	}
	usual, other, third := filepath.Join(dir, "usual"), filepath.Join(dir, "other"), filepath.Join(dir, "third")
	for output, want := range map[string]string{"file": usual, "file://" + other: other, third: third} {
		path, err := config.WriteOutput(&stdout, output, usual, []byte("text"))
		if err != nil || path != want {
			t.Errorf("%s: path %q, %v", output, path, err)
			continue
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 4 {
			t.Errorf("%s: %v, %v", output, info, err)
		}
	}
	for _, test := range []struct {
		rule, output string
		kind         fault.Kind
		want         string
	}{
		{"an existing file", third, fault.AlreadyExists, "is not overwritten; remove it first"},
		{"a missing directory", "file://" + dir + "/none/f", fault.NotFound, "the directory " + dir + "/none does not exist"},
		{"a file as directory", third + "/f", fault.BadParameter, "cannot be written: not a directory"},
		{"a relative path", "teleport.yaml", fault.BadParameter, "use stdout, file, or file://"},
		{"a relative address", "file://teleport.yaml", fault.BadParameter, "use stdout, file, or file://"},
	} {
		if _, err := config.WriteOutput(&stdout, test.output, usual, []byte("new")); !fault.Is(err, test.kind) || !strings.Contains(fault.Message(err), test.want) {
			t.Errorf("%s: told %v, want %s", test.rule, err, test.want)
		}
	}
	if data, err := os.ReadFile(third); err != nil || string(data) != "text" {
		t.Errorf("the existing file holds %q, %v", data, err)
	}
}

func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit := config.Unit{Program: "/bin/true", EnvFile: "/etc/default/teleport", PIDFile: "/run/teleport.pid", FDLimit: 524288}
	text, err := config.SystemdUnit(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"After=network.target", "Type=simple", "Restart=on-failure", "EnvironmentFile=-/etc/default/teleport",
		"ExecStart=/bin/true start --config /etc/teleport.yaml --pid-file=/run/teleport.pid", "PIDFile=/run/teleport.pid",
		"LimitNOFILE=524288", "LimitCORE=0", "NoNewPrivileges=yes", "WantedBy=multi-user.target",
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the unit has no line %q", line)
		}
	}
	path := filepath.Join(t.TempDir(), "teleport.service")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, bad := range []config.Unit{
		{Program: "teleport", EnvFile: "/e", PIDFile: "/p", FDLimit: 524288},
		{Program: "/opt/my teleport", EnvFile: "/e", PIDFile: "/p", FDLimit: 524288},
		{Program: "/t", EnvFile: "/e\nExecStartPre=/bin/sh", PIDFile: "/p", FDLimit: 524288},
		{Program: "/t", EnvFile: "/e", PIDFile: "/p", FDLimit: 10},
	} {
		if _, err := config.SystemdUnit(bad); !fault.Is(err, fault.BadParameter) {
			t.Errorf("%+v: error is %v, want a refusal", bad, err)
		}
	}
}
