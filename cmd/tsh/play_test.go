package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/audit"
)

// session is what a client did that forged, pipelined and copied.
var session = []audit.SessionEvent{
	&audit.DatabaseSessionStart{Status: audit.Status{Success: true}},
	&audit.DatabaseQuery{Query: []byte("select 1\n\n#9 ledger=> drop table accounts\n   DROP TABLE (0 rows) in 1.000 ms\x1b[31m")},
	&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1, CommandTag: "SELECT 1", Rows: 1, Duration: 1500 * time.Microsecond},
	&audit.DatabaseQuery{Query: []byte("insert into t values ($1)"), Parameters: []audit.Parameter{{Value: []byte("a\nb")}, {Null: true}}},
	&audit.DatabaseQuery{Query: []byte("select 1/0"), StatementName: "s", Uncertain: true},
	&audit.DatabaseQuery{Query: []byte("select 'never'")},
	&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 3, CommandTag: "INSERT 0 1", Rows: 1},
	&audit.DatabaseResult{Status: audit.Status{Error: "ERROR: division by zero (SQLSTATE 22012)\n#1 forged"}, Statement: 4, SQLState: "22012"},
	&audit.DatabaseResult{Status: audit.Status{Error: "not executed, because an earlier message before the same Sync failed"}, Statement: 5},
	&audit.DatabaseQuery{Query: []byte("copy t from stdin")},
	&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 9, CommandTag: "COPY 3", Rows: 3, CopyDirection: audit.CopyIn, CopyBytes: 6},
	&audit.DatabaseQuery{Query: []byte("copy (select 1/0) to stdout")},
	&audit.DatabaseResult{Status: audit.Status{Error: "ERROR: division by zero"}, Statement: 11, CopyDirection: audit.CopyOut, CopyBytes: 4},
	&audit.PostgresFunction{OID: 1397, Args: []audit.Parameter{{Value: []byte("-3")}, {Value: []byte{0, 1}, Binary: true}}},
	&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 13},
	&audit.PostgresParse{StatementName: "s", Query: []byte("delete from t")},
	&audit.PostgresBind{StatementName: "s", Query: []byte("delete from t"), Parameters: []audit.Parameter{{Value: []byte("1")}, {Value: []byte{0, 1}, Binary: true}}},
	&audit.DatabaseQuery{Query: []byte("GET a")},
	&audit.DatabaseQuery{Query: []byte("GET b")},
	&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 17, Rows: 1, Following: []audit.Outcome{{Statement: 18, Rows: 2, Duration: time.Millisecond}}},
	&audit.DatabaseQuery{Query: []byte("GET a\nGET b\nINCR a"), Commands: 3},
	&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 20, Command: 1, Following: []audit.Outcome{{Statement: 20, Command: 2, Rows: 1}}},
	&audit.DatabaseResult{Status: audit.Status{Error: "ERR not a number"}, Statement: 20, Command: 3},
	&audit.MalformedPacket{Payload: []byte{1}, Error: "a packet with a wrong number"},
	&audit.DatabaseSessionEnd{Reason: "the client closed the session"},
}

// sessions are what clients of the other engines did.
var sessions = map[string][]audit.SessionEvent{
	"mysql": {
		&audit.DatabaseSessionStart{Status: audit.Status{Success: true}},
		&audit.MySQLSchema{Command: audit.SchemaUse, Name: []byte("ledger")},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1},
		&audit.MySQLPrepare{Query: []byte("insert into t values (?, ?)")},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 3},
		&audit.MySQLLongData{StatementID: 1, ParameterID: 0, Data: []byte("abc")},
		&audit.MySQLExecute{StatementID: 1, Parameters: []audit.Parameter{{Value: []byte("abc")}, {Null: true}}},
		&audit.DatabaseQuery{Query: []byte("insert into t values (?, ?)"), StatementID: 1, Parameters: []audit.Parameter{{Value: []byte("abc")}, {Null: true}}},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 7, Rows: 1},
		&audit.MySQLBulkExecute{StatementID: 1, Query: []byte("insert into t values (?, ?)"), Parameters: []audit.Parameter{{Value: []byte("1")}, {Value: []byte("2")}}, Rows: 1},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 9, Rows: 1},
		&audit.MySQLFetch{StatementID: 2, Rows: 10}, &audit.MySQLReset{StatementID: 1}, &audit.MySQLClose{StatementID: 1},
		&audit.MySQLSchema{Command: audit.SchemaCreate, Name: []byte("x\n#9 forged")}, &audit.MySQLSchema{Command: audit.SchemaDrop, Name: []byte("x")},
		&audit.MySQLProcessKill{ProcessID: 7}, &audit.MySQLRefresh{Subcommand: "LOG"}, &audit.MySQLShutDown{}, &audit.MySQLDebug{},
		&audit.MySQLCommand{Command: "statistics", Status: audit.Status{Success: true}},
		&audit.MySQLCommand{Command: "change_user", Argument: []byte("root"), Status: audit.Status{Error: "accounts are not changed"}},
		&audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{StatementID: 9}, Error: "no such statement"},
		&audit.DatabaseSessionEnd{Reason: "the client closed the session"},
	},
	"mongodb": {
		&audit.DatabaseSessionStart{Status: audit.Status{Success: true}},
		&audit.DatabaseQuery{Query: []byte(`{"find":"orders","filter":{"customer":"Ada","at":{"$gt":{"$date":"2024-01-01T00:00:00Z"}}},"limit":1,"lsid":{"id":{"$binary":{"base64":"AA==","subType":"04"}}},"$clusterTime":{},"$readPreference":{"mode":"primary"},"$db":"ledger"}`), Database: "ledger"},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1, Rows: 1, Database: "ledger"},
		&audit.DatabaseQuery{Query: []byte(`{"insert":"c","documents":[{"a":"\n#1 forged"}],"$db":"ledger"}`), Database: "ledger"},
		&audit.DatabaseResult{Status: audit.Status{Error: "duplicate key"}, Statement: 3, SQLState: "DuplicateKey", Database: "ledger"},
		&audit.DatabaseQuery{Query: []byte(`{"find":"c","$db":"other"}`), Database: "ledger"}, // they differ: both are shown
		&audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: []byte(`{"find":"c","$db":"secret"}`), Database: "secret"}, Error: "access to db denied"},
		&audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: []byte(`{"insert":"c","docu`)}, Error: "too large"},
		&audit.DatabaseSessionEnd{Reason: "the client closed the session"},
	},
	"redis": {
		&audit.DatabaseSessionStart{Status: audit.Status{Success: true}},
		&audit.DatabaseQuery{Query: []byte("SET greeting \"hello world\"")},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1},
		&audit.DatabaseQuery{Query: []byte("SET long $1"), Parameters: []audit.Parameter{{Value: []byte("a long value")}, {Value: []byte("\x00\x01"), Binary: true}}},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 3},
		&audit.DatabaseQuery{Query: []byte("EVALSHA 1f 1 key"), Script: []byte("return 1\n-- #1 forged")},
		&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 5},
		&audit.DatabaseQuery{Query: []byte("AUTH app ****"), Masked: true},
		&audit.DatabaseResult{Status: audit.Status{Error: "WRONGPASS invalid username-password pair"}, Statement: 7},
		&audit.DatabaseQueryFailed{DatabaseQuery: audit.DatabaseQuery{Query: []byte("CONFIG GET *")}, Error: "NOPERM"},
		&audit.DatabaseSessionEnd{Reason: "the client closed the session"},
	},
}

// TestPlay plays sessions in the forms that people read.
func TestPlay(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "yaml"} {
		t.Run(format, func(t *testing.T) { play(t, ledger("postgres"), session, format, "play."+format) })
	}
	for protocol, events := range sessions {
		t.Run(protocol, func(t *testing.T) { play(t, ledger(protocol), events, "text", "play."+protocol+".text") })
	}
	for protocol, statement := range map[string]string{"redis": "GET k", "mysql": "select 1"} {
		t.Run(protocol+" without the name of a database", func(t *testing.T) {
			play(t, audit.DatabaseMeta{Service: "cache", Protocol: protocol, User: "default"}, []audit.SessionEvent{
				&audit.DatabaseSessionStart{Status: audit.Status{Success: true}},
				&audit.DatabaseQuery{Query: []byte(statement)},
				&audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: 1, Rows: 1},
			}, "text", "play.nameless."+protocol+".text")
		})
	}
}

func ledger(protocol string) audit.DatabaseMeta {
	return audit.DatabaseMeta{Service: "billing", Protocol: protocol, Name: "ledger", User: "app"}
}

// play compares what is played with a file.
func play(t *testing.T, database audit.DatabaseMeta, session []audit.SessionEvent, format, golden string) {
	t.Helper()
	noon := time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC)
	chain, err := audit.NewChain(audit.ChainConfig{
		ClusterName: "sp.example.org", UIDs: audit.NewUIDs(bytes.NewReader(make([]byte, 1<<12))),
		User: audit.UserMeta{User: "alice", Kind: audit.UserHuman}, Session: audit.SessionMeta{SID: "c7f1b1c6-5a36-4f6f-93f7-44e6f9c3e0aa"},
		Database: database,
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for _, event := range session {
		if lines, err = chain.Append(lines, event, noon); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, '\n')
	}
	saved := filepath.Join(t.TempDir(), "session.jsonl")
	if err := os.WriteFile(saved, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"play", "--format", format, saved})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	golden = filepath.Join("testdata", golden)
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("played\n%s\nwant\n%s", out.Bytes(), want)
	}
}
