package postgres_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
)

// small starts an agent before a small server that does as it is told.
func small(t testing.TB, options pgtest.Options, change ...func(*enginetest.Config)) (*enginetest.Agent, *pgtest.Server) {
	t.Helper()
	server := pgtest.Start(t, options)
	cfg := enginetest.Config{
		Engine:      newEngine(),
		Database:    enginetest.NewDatabase(t, "postgres", server.Addr, server.Authority.CertPEM()),
		Credentials: enginetest.AccountsOnly,
	}
	for _, change := range change {
		change(&cfg)
	}
	return enginetest.Start(t, cfg), server
}

// startupBytes encodes a startup message with its parameters in this order.
func startupBytes(version uint32, pairs ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, version)
	for _, text := range pairs {
		body = append(append(body, text...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

func TestSettingsAtLogin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pairs []string
		want  map[string]string // what the database gets besides the account and the name
		state string            // of the refusal
		text  string
	}{
		"what drivers set":                     {pairs: []string{"client_encoding", "UTF8", "DateStyle", "ISO, MDY", "extra_float_digits", "2", "application_name", "app"}, want: map[string]string{"client_encoding": "UTF8", "datestyle": "ISO, MDY", "extra_float_digits": "2", "application_name": "app"}},
		"the last value counts":                {pairs: []string{"TimeZone", "UTC", "timezone", "Asia/Tokyo"}, want: map[string]string{"timezone": "Asia/Tokyo"}},
		"options":                              {pairs: []string{"options", `-c statement_timeout=5s  -cwork_mem=1MB --lock-timeout=1s -c DateStyle=ISO,\ MDY`}, want: map[string]string{"statement_timeout": "5s", "work_mem": "1MB", "lock_timeout": "1s", "datestyle": "ISO, MDY"}},
		"a setting of its own beats an option": {pairs: []string{"work_mem", "2MB", "options", "-c work_mem=1MB"}, want: map[string]string{"work_mem": "2MB"}},
		"empty options":                        {pairs: []string{"options", "  "}, want: map[string]string{}},
		"no replication, said explicitly":      {pairs: []string{"replication", "false"}, want: map[string]string{}},
		"replication":                          {pairs: []string{"replication", "true"}, state: "0A000", text: "replication connections are not supported through this system"},
		"logical replication":                  {pairs: []string{"replication", "database"}, state: "0A000", text: "replication connections"},
		"replication in other words":           {pairs: []string{"replication", "YeS"}, state: "0A000", text: "replication connections"},
		"replication that cannot be read":      {pairs: []string{"replication", "?"}, state: "0A000", text: "replication connections"},
		"another role":                         {pairs: []string{"role", "postgres"}, state: "22023", text: `"role"`},
		"another account":                      {pairs: []string{"session_authorization", "postgres"}, state: "22023", text: `"session_authorization"`},
		"capital letters hide nothing":         {pairs: []string{"Session_Authorization", "postgres"}, state: "22023", text: "SET statement"},
		"the search path":                      {pairs: []string{"search_path", "evil"}, state: "22023", text: `"search_path"`},
		"the server's log":                     {pairs: []string{"log_statement", "none"}, state: "22023", text: `"log_statement"`},
		"libraries":                            {pairs: []string{"local_preload_libraries", "evil"}, state: "22023", text: `"local_preload_libraries"`},
		"a setting of an extension":            {pairs: []string{"myapp.user", "root"}, state: "22023", text: `"myapp.user"`},
		"another role by option":               {pairs: []string{"options", "-c role=postgres"}, state: "22023", text: `"role"`},
		"another account by long option":       {pairs: []string{"options", "--session-authorization=postgres"}, state: "22023", text: `"session_authorization"`},
		"an escaped name in an option":         {pairs: []string{"options", `-c ro\le=postgres`}, state: "22023", text: `"role"`},
		"other switches":                       {pairs: []string{"options", "-c work_mem=1MB -d 5"}, state: "22023", text: `"-d"`},
		"switches run together":                {pairs: []string{"options", "-ecrole=postgres"}, state: "22023", text: `"-ecrole=postgres"`},
		"an option without its value":          {pairs: []string{"options", "-c"}, state: "22023", text: `"-c"`},
		"an option that sets nothing":          {pairs: []string{"options", "-c role"}, state: "22023", text: "-c name=value"},
		"a name that would be cut off":         {pairs: []string{"user", strings.Repeat("a", 64)}, state: "42622", text: "63"},
		"a database that would be cut off":     {pairs: []string{"database", strings.Repeat("a", 64)}, state: "42622", text: "63"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, server := small(t, pgtest.Options{})
			w := dial(t, agent)
			w.write(startupBytes(pgproto3.ProtocolVersion30, append([]string{"user", "app", "database", "orders"}, c.pairs...)...)...)
			if c.state == "" {
				if got := w.untilReady(); !strings.HasSuffix(got, "ReadyForQuery") {
					t.Fatal(got)
				}
				c.want["user"], c.want["database"] = "app", "orders"
				if got := server.Startup(); !maps.Equal(got, c.want) {
					t.Errorf("the database got %q", got)
				}
				return
			}
			message, err := w.Receive()
			if err != nil {
				t.Fatal(err)
			}
			refusal, ok := message.(*pgproto3.ErrorResponse)
			if !ok || refusal.Severity != "FATAL" || refusal.Code != c.state || !strings.Contains(refusal.Message, c.text) {
				t.Errorf("the client got %+v", message)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if events := v.Journal.Events(); len(events) != 1 || events[0].Code != "TDB00W" || events[0].Text("error") == "" {
				t.Errorf("recorded %v", events)
			}
			if server.Startup() != nil {
				t.Error("the database was contacted")
			}
		})
	}
}

// TestNamesArriveAsTheyAre checks that no name can be taken for anything else.
func TestNamesArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a'b", "a?sslmode=disable", "a&b", "a=b", "a%00b", "a#b", "a\nb", "a b", `a\b`, `"`, "host=evil user=root", "ünïcode", "\xff\xfe"} {
		agent, server := small(t, pgtest.Options{})
		w := dial(t, agent)
		w.write(startupBytes(pgproto3.ProtocolVersion30, "user", name, "database", name+"2")...)
		if got := w.untilReady(); !strings.HasSuffix(got, "ReadyForQuery") {
			t.Fatal(got)
		}
		if got := server.Startup(); got["user"] != name || got["database"] != name+"2" || len(got) != 2 {
			t.Errorf("for %q the database got %q", name, got)
		}
	}
}

func TestFirstPackets(t *testing.T) {
	t.Parallel()
	ssl, gss := []byte{0, 0, 0, 8, 4, 210, 22, 47}, []byte{0, 0, 0, 8, 4, 210, 22, 48}
	start := startupBytes(pgproto3.ProtocolVersion30, "user", "app")
	join := func(packets ...[]byte) (all []byte) {
		for _, packet := range packets {
			all = append(all, packet...)
		}
		return all
	}
	for name, c := range map[string]struct {
		packets []byte
		want    string
	}{
		"startup alone":                    {start, "AuthenticationOk"},
		"TLS asked for":                    {join(ssl, start), "N AuthenticationOk"},
		"GSSAPI asked for":                 {join(gss, start), "N AuthenticationOk"},
		"both asked for":                   {join(ssl, gss, start), "N N AuthenticationOk"},
		"both asked for, the other way":    {join(gss, ssl, start), "N N AuthenticationOk"},
		"TLS asked for twice":              {join(ssl, ssl, start), "N ErrorResponse(FATAL 08P01)"},
		"GSSAPI asked for twice":           {join(gss, ssl, gss, start), "N N ErrorResponse(FATAL 08P01)"},
		"a longer request for TLS":         {[]byte{0, 0, 0, 9, 4, 210, 22, 47, 0}, "ErrorResponse(FATAL 08P01)"},
		"a minor version of the future":    {startupBytes(3<<16|9999, "user", "app", "_pq_.new", "1"), "NegotiateProtocolVersion AuthenticationOk"},
		"protocol 3.2":                     {startupBytes(3<<16|2, "user", "app"), "NegotiateProtocolVersion AuthenticationOk"},
		"an unknown protocol option":       {startupBytes(3<<16, "user", "app", "_pq_.command_compression", "on"), "NegotiateProtocolVersion AuthenticationOk"},
		"protocol 2.0":                     {startupBytes(2<<16, "user", "app"), "ErrorResponse(FATAL 0A000)"},
		"protocol 4.0":                     {startupBytes(4<<16, "user", "app"), "ErrorResponse(FATAL 08P01)"},
		"no end of the list":               {[]byte{0, 0, 0, 17, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'a', 'p', 'p', 0}, "ErrorResponse(FATAL 08P01)"},
		"no end of a value":                {[]byte{0, 0, 0, 14, 0, 3, 0, 0, 'u', 's', 'e', 'r', 0, 'a'}, "ErrorResponse(FATAL 08P01)"},
		"more behind the end":              {append([]byte{0, 0, 0, 10, 0, 3, 0, 0, 0}, 'x'), "ErrorResponse(FATAL 08P01)"},
		"no account":                       {startupBytes(3 << 16), "ErrorResponse(FATAL 08P01)"},
		"a packet over the limit":          {startupBytes(3<<16, "user", strings.Repeat("a", 10_000)), "ErrorResponse(FATAL 08P01)"},
		"a cancel request without a key":   {[]byte{0, 0, 0, 12, 4, 210, 22, 46, 0, 0, 0, 1}, "ErrorResponse(FATAL 08P01)"},
		"a cancel request with a long key": {append([]byte{0, 0, 1, 13, 4, 210, 22, 46}, make([]byte, 261)...), "ErrorResponse(FATAL 08P01)"},
		"a message of a running session":   {[]byte{'Q', 0, 0, 0, 13, 's', 'e', 'l', 'e', 'c', 't', ' ', '1', 0}, "ErrorResponse(FATAL 08P01)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, pgtest.Options{})
			w := dial(t, agent)
			w.write(c.packets...)
			var got []string
			for range strings.Count(c.want, "N ") {
				var answer [1]byte
				if _, err := w.Read(answer[:]); err != nil {
					t.Fatal(err)
				}
				got = append(got, string(answer[:]))
			}
			for len(got) == 0 || len(got) < len(strings.Fields(strings.ReplaceAll(c.want, "FATAL ", "FATAL"))) {
				message, err := w.Receive()
				if err != nil {
					t.Fatal(got, err)
				}
				got = append(got, describe(message))
			}
			if strings.Join(got, " ") != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			if strings.Contains(c.want, "08P01") && name != "no account" {
				v := agent.Visit(t, 0)
				_ = v.Wait(t)
				if events := v.Journal.Events(); len(events) != 1 || events[0].Code != "TDB06I" {
					t.Errorf("recorded %v", events)
				}
			}
		})
	}
}

// TestFirstLengths tries odd lengths of the first packet. Whatever it is, the engine neither waits nor works long.
func TestFirstLengths(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, pgtest.Options{})
	for i, length := range []uint32{0, 1, 2, 3, 4, 5, 6, 7, 10_001, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 1} {
		w := dial(t, agent)
		w.write(binary.BigEndian.AppendUint32(nil, length)...)
		w.expect("ErrorResponse(FATAL 08P01) end")
		if err := agent.Visit(t, i).Wait(t); err == nil {
			t.Errorf("length %d is accepted", length)
		}
	}
}

// TestKeyOfTheSession checks that clients get the database's process id and a secret of our own.
func TestKeyOfTheSession(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret string
		want   bool
	}{"a key": {pgtest.Secret, true}, "a long key": {strings.Repeat("k", 256), true}, "none": {"none", false}, "an empty one": {"", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, pgtest.Options{Login: func(conn *pgtest.Conn) bool {
				conn.Send(&pgproto3.AuthenticationOk{})
				if c.secret != "none" {
					body := append(binary.BigEndian.AppendUint32(nil, pgtest.ProcessID), c.secret...)
					_ = conn.Backend.Flush()
					_, _ = conn.Conn.Write(append(binary.BigEndian.AppendUint32([]byte{'K'}, uint32(4+len(body))), body...))
				}
				conn.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				return conn.Backend.Flush() == nil
			}})
			w := dial(t, agent)
			w.write(startupBytes(pgproto3.ProtocolVersion30, "user", "app")...)
			var keys []string
			for {
				message, err := w.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if key, ok := message.(*pgproto3.BackendKeyData); ok {
					keys = append(keys, fmt.Sprint(key.ProcessID, len(key.SecretKey), string(key.SecretKey) == c.secret))
				}
				if _, ok := message.(*pgproto3.ReadyForQuery); ok {
					break
				}
			}
			if got := strings.Join(keys, " "); c.want && got != fmt.Sprint(pgtest.ProcessID, 4, false) || !c.want && got != "" {
				t.Errorf("the client got %q", got)
			}
		})
	}
}

// TestSlowClient checks that the time of a client that says nothing ends with the session's.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, pgtest.Options{})
	w := dial(t, agent)
	w.write(0, 0)
	agent.Visit(t, 0).End(errStopping)
	w.expect("ErrorResponse(FATAL 57P01) end")
}
