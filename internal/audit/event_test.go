package audit_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// counting is a source of bytes 0, 1, 2 … instead of randomness, so that ids in golden files stay.
type counting struct{ next byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.next
		c.next++
	}
	return len(p), nil
}

const sid = "c7f1b1c6-5a36-4f6f-93f7-44e6f9c3e0aa"

var noon = time.Date(2024, 3, 5, 12, 0, 0, 987654321, time.UTC)

func newChain(t testing.TB) *audit.Chain {
	t.Helper()
	chain, err := audit.NewChain(audit.ChainConfig{
		ClusterName: "sp.example.org",
		UIDs:        audit.NewUIDs(&counting{}),
		User:        audit.UserMeta{User: "bea", Kind: audit.UserHuman, Roles: []string{"dev", "access"}, AccessRequests: []string{"r1"}},
		Session:     audit.SessionMeta{SID: sid, WithMFA: "0f6f0d0a-2f2a-4f2b-8a49-e0a8f7a4d9d3"},
		Database: audit.DatabaseMeta{Service: "billing", Protocol: "postgres", URI: "db.example.org:5432", Name: "ledger",
			User: "reader", Type: "rds", Origin: "cloud", Roles: []string{"ro"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func sessionEvents() []audit.SessionEvent {
	server := audit.ServerMeta{ID: "9d9c2a8e-53f0-4b0a-8cf4-2b3f1d0c5a77", Hostname: "agent-1", Version: "0.1.0"}
	from := audit.ConnectionMeta{RemoteAddr: "203.0.113.9:50211"}
	return []audit.SessionEvent{
		&audit.DatabaseSessionStart{ServerMeta: server, ConnectionMeta: from, Status: audit.Status{Success: true},
			StartGate: audit.StartGateLocal, UserAgent: "psql"},
		&audit.DatabaseQuery{Query: []byte("select $1, $2, $3, $4"), StatementName: "s1", PortalName: "p1",
			Parameters: []audit.Parameter{{Value: []byte("42")}, {Null: true}, {Value: []byte{0, 0, 0, 1}, Binary: true}, {Value: []byte("a\xff")}}},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1, Rows: 1, Bytes: 120, Duration: 1500 * time.Microsecond,
			CommandTag: "SELECT 1", PostgresPID: 28114},
		&audit.DatabaseQuery{Query: []byte("copy t from stdin")},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 3, Rows: 9, CommandTag: "COPY 9",
			CopyDirection: audit.CopyIn, CopyBytes: 4096},
		&audit.DatabaseQuery{Query: []byte("select '\u00fc\x01\xfe'\n")},
		&audit.DatabaseResult{Status: audit.Status{Error: `relation "x" does not exist`}, Statement: 5, SQLState: "42P01"},
		&audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: []byte("drop table t")},
			Error: "no", Message: "not allowed; ask an administrator"},
		&audit.MalformedPacket{Payload: []byte{3, 0, 0, 0, 1}, Error: "a packet with a wrong number"},
		&audit.PostgresParse{StatementName: "s1", Query: []byte("select $1")},
		&audit.PostgresBind{StatementName: "s1", Parameters: []audit.Parameter{{Value: []byte("42")}}},
		&audit.PostgresBind{StatementName: "s1", PortalName: "p1", Query: []byte("select 1"), Uncertain: true},
		&audit.DatabaseQuery{StatementName: "s1", Query: []byte("select 1"), Uncertain: true},
		&audit.PostgresExecute{},
		&audit.PostgresClose{Name: "s1"},
		&audit.PostgresClose{Portal: true, Name: "p1"},
		&audit.PostgresFunction{OID: 1598, Args: []audit.Parameter{{Value: []byte("3")}}},
		&audit.PostgresCancel{ConnectionMeta: from, Status: audit.Status{Success: true}, PID: 28114},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 17, Rows: 1, ConnectionID: 12},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 17, Rows: 1, Bytes: 5, Duration: time.Millisecond,
			Following: []audit.Outcome{{Statement: 18, Bytes: 7, Duration: 20 * time.Microsecond}, {Statement: 19, Command: 1, Rows: 3}}},
		&audit.DatabaseQuery{Query: []byte("GET a\nGET b"), Commands: 2},
		&audit.DatabaseResult{Status: audit.Status{Error: "no"}, Statement: 19, Command: 2},
		&audit.DatabaseQuery{Query: []byte("select ?, ?"), StatementID: 1, Parameters: []audit.Parameter{{Value: []byte("42")}, {Long: true}}},
		&audit.MySQLPrepare{Query: []byte("select ?, ?")},
		&audit.MySQLExecute{StatementID: 1, Parameters: []audit.Parameter{{Value: []byte("42")}, {Long: true}}},
		&audit.MySQLLongData{StatementID: 1, ParameterID: 1, Data: []byte("a piece")},
		&audit.MySQLClose{StatementID: 1},
		&audit.MySQLReset{StatementID: 1},
		&audit.MySQLFetch{StatementID: 1, Rows: 100},
		&audit.MySQLBulkExecute{StatementID: 2, Query: []byte("insert into t values (?)"), Parameters: []audit.Parameter{{Value: []byte("1")}, {Null: true}}, Rows: 2},
		&audit.MySQLSchema{Command: audit.SchemaUse, Name: []byte("shop")},
		&audit.MySQLSchema{Command: audit.SchemaCreate, Name: []byte("shop")},
		&audit.MySQLSchema{Command: audit.SchemaDrop, Name: []byte("shop")},
		&audit.MySQLShutDown{},
		&audit.MySQLProcessKill{ProcessID: 77},
		&audit.MySQLProcessKill{ConnectionMeta: from, ProcessID: 77},
		&audit.MySQLDebug{},
		&audit.MySQLRefresh{Subcommand: "REFRESH_THREADS"},
		&audit.MySQLCommand{Command: "field_list", Argument: []byte("t"), Status: audit.Status{Success: true}},
		&audit.MySQLCommand{Command: "change_user", Argument: []byte("root"), Status: audit.Status{Error: "no"}},
		&audit.PostgresCancel{ConnectionMeta: from, Status: audit.Status{Error: "no"}, PID: 28114},
		&audit.DatabaseSessionEnd{ServerMeta: server, Start: noon, Stop: noon.Add(time.Minute), Reason: "client closed the connection",
			BytesSent: 1000, BytesReceived: 200, Statements: 4, PostgresPID: 28114},
	}
}

func otherEvents() []audit.Event {
	alice := audit.UserMeta{User: "alice", Kind: audit.UserHuman}
	from := audit.ConnectionMeta{RemoteAddr: "203.0.113.9:50211"}
	server := audit.ServerMeta{ID: "9d9c2a8e-53f0-4b0a-8cf4-2b3f1d0c5a77"}
	billing := audit.ResourceMeta{Name: "billing", Expires: noon}
	device := audit.MFADevice{Name: "key1", UUID: "0f6f0d0a-2f2a-4f2b-8a49-e0a8f7a4d9d3", Type: "WebAuthn"}
	session := audit.SessionMeta{SID: sid}
	database := audit.DatabaseMeta{Protocol: "postgres", URI: "localhost:5432"}
	failed := audit.Status{Error: "wrong password", Message: "invalid username, password or second factor"}
	return []audit.Event{
		&audit.DatabaseChange{UserMeta: alice, ResourceMeta: billing, DatabaseMeta: database, Labels: map[string]string{"env": "dev", "a": "1"}, AWSRegion: "eu-west-1"},
		&audit.DatabaseChange{Action: audit.Updated, UserMeta: alice, ResourceMeta: billing, DatabaseMeta: database},
		&audit.DatabaseChange{Action: audit.Deleted, UserMeta: alice, ResourceMeta: billing, DatabaseMeta: database},
		&audit.UserLogin{UserMeta: alice, ConnectionMeta: from, Status: audit.Status{Success: true}, Method: "local", UserAgent: "Mozilla/5.0", Device: device},
		&audit.UserLogin{UserMeta: alice, ConnectionMeta: from, Status: failed, Method: "local"},
		&audit.UserLogin{UserMeta: alice, Status: audit.Status{Success: true}, Method: "github"},
		&audit.UserChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "bea"}, Granted: []string{"dev"}, Connector: "local"},
		&audit.UserChange{Action: audit.Updated, UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "bea"}},
		&audit.UserChange{Action: audit.Deleted, UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "bea"}},
		&audit.UserPasswordChange{UserMeta: alice, ConnectionMeta: from},
		&audit.MFAChange{UserMeta: alice, Device: device},
		&audit.MFAChange{Action: audit.Deleted, UserMeta: alice, Device: device},
		&audit.ResetPasswordTokenCreate{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "bea"}, TTL: time.Hour},
		&audit.CertificateCreate{UserMeta: alice, CertType: "user", Identity: audit.CertificateIdentity{
			User: "alice", Roles: []string{"dev"}, Traits: map[string][]string{"db_users": {"reader", "app"}, "db_names": {"*"}, "db_roles": nil}, Expires: noon,
			Cluster: "sp.example.org", ClientIP: "203.0.113.9", MFADeviceUUID: device.UUID,
			Route: audit.DatabaseRoute{ServiceName: "billing", Protocol: "postgres", Username: "reader", Database: "ledger"}, DatabaseUsers: []string{"reader"}, DatabaseNames: []string{"*"}}},
		&audit.RoleChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "dev"}},
		&audit.RoleChange{Action: audit.Updated, UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "dev"}},
		&audit.RoleChange{Action: audit.Deleted, UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "dev"}},
		&audit.JoinTokenChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "********3f2a", Expires: noon}, SystemRoles: []string{"Db"}, JoinMethod: "token"},
		&audit.InstanceJoin{ConnectionMeta: from, Status: audit.Status{Success: true}, HostID: server.ID, NodeName: "db-agent-1", Role: "Db", Method: "iam",
			TokenName: "********3f2a", Attributes: map[string]string{"account": "123456789012", "odd": "\xff"}},
		&audit.InstanceJoin{Status: audit.Status{Error: "the token has expired"}, Role: "Db", Method: "token", TokenName: "********3f2a", TokenExpires: noon},
		&audit.LockChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "b3a6", Expires: noon}, Target: audit.LockTarget{User: "mallory", JoinToken: "5f1c"}, Message: "see the security team"},
		&audit.LockChange{Action: audit.Deleted, UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "b3a6"}},
		&audit.SettingsUpdate{UserMeta: alice, Status: audit.Status{Success: true}, Settings: audit.AuthPreference},
		&audit.SettingsUpdate{UserMeta: alice, Status: audit.Status{Success: true}, Settings: audit.ClusterNetworking},
		&audit.SettingsUpdate{UserMeta: alice, Status: audit.Status{Success: true}, Settings: audit.SessionRecording},
		&audit.ClientDisconnect{UserMeta: alice, SessionMeta: session, ServerMeta: server, ConnectionMeta: from, Reason: "locked: see the security team"},
		&audit.AuthFailure{UserMeta: alice, ServerMeta: server, ConnectionMeta: from, Error: "certificate has expired"},
		&audit.SessionRejected{UserMeta: alice, ServerMeta: server, ConnectionMeta: from, Reason: "max_connections limit reached", Maximum: 5},
		&audit.SessionRecordingAccess{UserMeta: alice, SessionMeta: session, SessionType: "db", Format: "json"},
		&audit.SpoolTorn{ServerMeta: server, Stream: "5d2c9a0e-0b57-4c0b-9a3f-0b5a3c1f7d11", File: "00000003.seg", Offset: 4096, Lost: 2, Reason: "checksum"},
		&audit.LateEnd{UserMeta: alice, SessionMeta: session, ServerMeta: server, Original: []byte(`{"v":1,"ei":7}`)},
		&audit.Search{UserMeta: alice, From: noon, To: noon.Add(time.Hour), Types: []string{"user.login"}, OfUser: "bea", OfSession: sid},
		&audit.DatabaseCheck{UserMeta: alice, DatabaseMeta: database, ServerMeta: server, CheckID: sid},
		&audit.DatabaseCheckEnd{UserMeta: alice, DatabaseMeta: database, ServerMeta: server, CheckID: sid, Status: audit.Status{Success: true}},
		&audit.DatabaseCheckEnd{UserMeta: alice, DatabaseMeta: database, ServerMeta: server, CheckID: sid, Step: "login", Status: audit.Status{Error: "refused"}},
		&audit.JoinAlert{Failures: 101, LastAddr: "203.0.113.9:50211"},
		&audit.SecretsRead{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "user"}, Kind: "cert_authority"},
		&audit.SecretsRead{UserMeta: alice, Kind: "token"},
		&audit.IAMPolicyChange{ServerMeta: server, Identity: "arn:aws:iam::123456789012:role/agent", Policy: "example-teleport-database-access",
			Added:   []string{"rds-db:connect arn:aws:rds-db:us-west-1:123456789012:dbuser:db-A/*"},
			Removed: []string{"rds-db:connect arn:aws:rds-db:us-west-1:123456789012:dbuser:db-B/*"}},
		&audit.DatabaseHealth{DatabaseMeta: database, ServerMeta: server, Status: audit.Status{Error: "connection refused"}, Address: "db.example.org:5432", Protocol: "TLS",
			Health: "unhealthy", Was: "healthy", Reason: "threshold_reached"},
		&audit.HealthCheckConfigChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "default", UpdatedBy: "alice"}, Action: audit.Deleted},
		&audit.HealthCheckConfigChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "orders"}},
		&audit.HealthCheckConfigChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "orders"}, Action: audit.Updated},
		&audit.JoinTokenChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "********3f2a"}, SystemRoles: []string{"Db"}, JoinMethod: "iam", Action: audit.Updated},
		&audit.JoinTokenChange{UserMeta: alice, ResourceMeta: audit.ResourceMeta{Name: "********3f2a"}, Action: audit.Deleted},
		&audit.DatabaseHealth{DatabaseMeta: database, ServerMeta: server, Status: audit.Status{Success: true}, Address: "db.example.org:5432", Protocol: "TLS",
			Health: "healthy", Was: "unhealthy", Reason: "threshold_reached"},
		&audit.UserLogin{UserMeta: alice, ConnectionMeta: from, Status: failed, Method: "github"},
	}
}

func TestEveryEventEncodesAsItsGoldenLine(t *testing.T) {
	t.Parallel()
	var lines []byte
	chain := newChain(t)
	for _, event := range sessionEvents() {
		lines = mustLine(t)(chain.Append(lines, event, noon))
		lines = append(lines, '\n')
	}
	denied := newChain(t)
	lines = mustLine(t)(denied.Append(lines, &audit.DatabaseSessionStart{Status: audit.Status{Error: "no role", Message: "ask"}}, noon))
	lines = append(lines, '\n')
	encoder := audit.NewEncoder("sp.example.org", audit.NewUIDs(&counting{}))
	for _, event := range otherEvents() {
		lines = mustLine(t)(encoder.Append(lines, event, noon))
		lines = append(lines, '\n')
	}
	path := filepath.Join("testdata", "events.jsonl")
	if *update {
		if err := os.WriteFile(path, lines, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, want := strings.Split(string(lines), "\n"), strings.Split(string(golden), "\n")
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, got[i], want[i])
		}
	}
}

func mustLine(t *testing.T) func([]byte, error) []byte {
	return func(line []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
}

func TestEveryGoldenLineIsOneEventWithoutRepeatedKeys(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join("testdata", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(golden) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		fields, err := audit.Parse(line)
		if err != nil {
			t.Errorf("%v: %s", err, line)
			continue
		}
		var values map[string]any
		if err := json.Unmarshal(line, &values); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if values["event"] != fields.Type || values["code"] != fields.Code || values["uid"] != fields.UID.String() {
			t.Errorf("parsed as %+v: %s", fields, line)
		}
		if n := countKeys(t, line); n != len(values) {
			t.Errorf("%d keys, %d of them different: %s", n, len(values), line)
		}
	}
}

// countKeys counts the keys of the outermost object.
func countKeys(t *testing.T, line []byte) int {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(line))
	depth, tokens, keys := 0, 0, 0
	for decoder.More() || depth > 0 {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			if depth == 2 {
				tokens++
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		default:
			if depth == 1 {
				if tokens%2 == 0 {
					keys++
				}
				tokens++
			}
		}
	}
	return keys
}
