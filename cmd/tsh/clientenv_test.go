package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
)

func TestMain(m *testing.M) { realserver.Main(m) }

func TestClientsGetNoVariablesThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	for protocol, variables := range map[string]struct{ without, with string }{
		resource.ProtocolPostgres: {
			"PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGSSLMODE PGSSLCERT PGSSLKEY " +
				"PGSSLROOTCERT PGREQUIRESSL PGREQUIREAUTH PGREQUIREPEER PGCHANNELBINDING PGGSSENCMODE PGKRBSRVNAME PGTARGETSESSIONATTRS " +
				"PGLOADBALANCEHOSTS PGSSLNEGOTIATION",
			"PGCLIENTENCODING PGTZ PGDATESTYLE PGAPPNAME PGOPTIONS PGCONNECT_TIMEOUT PSQLRC PSQL_PAGER PSQL_HISTORY PG_COLOR",
		},
		resource.ProtocolMySQL: {
			"MYSQL_HOST MYSQL_TCP_PORT MYSQL_UNIX_PORT MARIADB_UNIX_PORT MYSQL_PWD MYSQL_GROUP_SUFFIX MARIADB_GROUP_SUFFIX MYSQL_TEST_LOGIN_FILE",
			"MYSQL_HISTFILE MYSQL_PS1 MYSQL_HOME",
		},
		resource.ProtocolRedis:   {"REDISCLI_AUTH VALKEYCLI_AUTH", "REDISCLI_RCFILE REDISCLI_HISTFILE"},
		resource.ProtocolMongoDB: {"ALL_PROXY all_proxy MONGODB_PROXY mongodb_proxy", "MONGODB_HISTORY"},
	} {
		program, ok := programOf(protocol)
		if !ok {
			t.Fatalf("%s has no client", protocol)
		}
		common := []string{"HOME=/home/alice", "PATH=/usr/bin", "TERM=xterm", "PAGER=less", "LANG=C", "LD_LIBRARY_PATH=/opt", "EMPTY="}
		all, want := slices.Clone(common), slices.Clone(common)
		for name := range strings.FieldsSeq(variables.without) {
			all = append(all, name+"=a=b")
		}
		for name := range strings.FieldsSeq(variables.with) {
			all, want = append(all, name+"=a=b"), append(want, name+"=a=b")
		}
		if got := program.withheld.from(all); !slices.Equal(got, want) {
			t.Errorf("%s gets %q, want %q", protocol, got, want)
		}
	}
}

// TestClientsGoToTheLocalProxy has the real ones look at variables such as tsh db env sets, for a server that is not there.
func TestClientsGoToTheLocalProxy(t *testing.T) {
	mongosh, err := exec.Command("../../scripts/mongosh").Output() // which keeps it at home
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.WriteFile(filepath.Join(home, ".my.cnf"), []byte("[client_elsewhere]\ntls-sni-servername=elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", strings.TrimSpace(string(mongosh))+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		protocol, variables string
		printed             bool // whoever enters the command has the variables too
	}{
		{resource.ProtocolPostgres, "PGHOST=127.0.0.9 PGHOSTADDR=127.0.0.9 PGPORT=1 PGSSLMODE=verify-full PGUSER=eve PGDATABASE=other", true},
		{resource.ProtocolPostgres, "PGSERVICE=elsewhere", false},
		{resource.ProtocolMySQL, "MYSQL_GROUP_SUFFIX=_elsewhere", true},
		{resource.ProtocolMySQL, "MARIADB_GROUP_SUFFIX=_elsewhere MYSQL_HOST=127.0.0.9 MYSQL_TCP_PORT=1 MYSQL_UNIX_PORT=/none", true},
		{resource.ProtocolMongoDB, "ALL_PROXY=socks5://127.0.0.9:1 MONGODB_PROXY=socks5://127.0.0.9:1", false},
	} {
		t.Run(c.protocol+" "+c.variables, func(t *testing.T) {
			for variable := range strings.FieldsSeq(c.variables) {
				name, value, _ := strings.Cut(variable, "=")
				t.Setenv(name, value)
			}
			program, _ := programOf(c.protocol)
			path, err := program.find()
			if err != nil {
				t.Fatal(err)
			}
			r := client.Route{User: "alice", Name: "0"}
			reached(t, func(ctx context.Context, address net.Addr) *exec.Cmd { return program.process(ctx, path, address, r) })
			if c.printed {
				reached(t, func(ctx context.Context, address net.Addr) *exec.Cmd {
					return exec.CommandContext(ctx, "sh", "-c", "exec "+program.line(address, r))
				})
			}
		})
	}
}

// reached runs a client until it has connected to a listener.
func reached(t *testing.T, run func(context.Context, net.Addr) *exec.Cmd) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	accepted := make(chan bool, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err == nil
		stop()
	}()
	cmd := run(ctx, listener.Addr())
	out, _ := cmd.CombinedOutput() // it fails in any case
	listener.Close()
	if !<-accepted {
		t.Errorf("%q has not come: %s", cmd.Args, out)
	}
	stop()
}

func TestPasswordsInTheEnvironmentOfRedisAreShownAsTheAccounts(t *testing.T) {
	t.Parallel()
	program, _ := programOf(resource.ProtocolRedis)
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	for account, want := range map[string]string{
		"alice":   "redis-cli -h 127.0.0.1 -p 4711 --user alice -n 3",
		"default": "redis-cli -h 127.0.0.1 -p 4711 -n 3",
		"":        "redis-cli -h 127.0.0.1 -p 4711 -n 3",
	} {
		if got := program.line(address, client.Route{User: account, Name: "3"}); got != want {
			t.Errorf("%q: %s", account, got)
		}
	}
}
