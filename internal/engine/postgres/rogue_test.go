package postgres_test

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/fault"
)

func withPassword(c *enginetest.Config) {
	c.Credentials = enginetest.Given(cred.Credential{Password: "secret"})
}

// raw sends bytes in place of the answer to the login.
func raw(message ...byte) func(*pgtest.Conn) bool {
	return func(c *pgtest.Conn) bool {
		_, _ = c.Conn.Write(message)
		_, _ = io.Copy(io.Discard, c.Conn) // until the engine hangs up
		return false
	}
}

// TestRogueLogin has servers that do anything but log a client in. The client reads a FATAL of ours, and nothing
// that was said before TLS.
func TestRogueLogin(t *testing.T) {
	t.Parallel()
	authentication := func(kind uint32, more ...byte) []byte {
		return frame('R', string(binary.BigEndian.AppendUint32(nil, kind))+string(more))
	}
	before := func(answer string) func(net.Conn) bool {
		return func(conn net.Conn) bool {
			_, _ = conn.Write([]byte(answer))
			return false
		}
	}
	sasl := authentication(10, []byte("SCRAM-SHA-256\x00\x00")...)
	ok := authentication(0)
	for name, c := range map[string]struct {
		options pgtest.Options
		text    string
		change  func(*enginetest.Config)
	}{
		"it does not offer TLS":                     {pgtest.Options{BeforeTLS: before("N")}, "does not offer TLS", nil},
		"an error before TLS":                       {pgtest.Options{BeforeTLS: before(string(frame('E', "SFATAL\x00Mforged\x00\x00")))}, "does not offer TLS", nil},
		"it hangs up before TLS":                    {pgtest.Options{BeforeTLS: before("")}, "broke the connection off", nil},
		"plain text behind its yes":                 {pgtest.Options{BeforeTLS: before("S" + string(ok) + strings.Repeat("x", 1<<16))}, "TLS", nil},
		"SCRAM without a password of ours":          {pgtest.Options{Login: raw(sasl...)}, "pg_hba.conf", nil},
		"SCRAM with a password of ours":             {pgtest.Options{Login: raw(sasl...)}, "pg_hba.conf", withPassword},
		"SCRAM with giant iterations":               {pgtest.Options{Login: raw(authentication(11, []byte("r=x,s=eA==,i=2000000000")...)...)}, "pg_hba.conf", withPassword},
		"a password is asked for and there is none": {pgtest.Options{Login: raw(authentication(3)...)}, "pg_hba.conf", nil},
		"Kerberos":                              {pgtest.Options{Login: raw(authentication(7)...)}, "pg_hba.conf", nil},
		"an unknown method":                     {pgtest.Options{Login: raw(authentication(1 << 31)...)}, "pg_hba.conf", nil},
		"an authentication without a method":    {pgtest.Options{Login: raw(frame('R', "\x00")...)}, "does not follow the PostgreSQL protocol", nil},
		"logged in twice":                       {pgtest.Options{Login: raw(append(ok, ok...)...)}, "does not follow the PostgreSQL protocol", nil},
		"ready before it knows us":              {pgtest.Options{Login: raw(frame('Z', "I")...)}, "does not follow the PostgreSQL protocol", nil},
		"rows before it is ready":               {pgtest.Options{Login: raw(append(ok, frame('D', "\x00\x00")...)...)}, "does not follow the PostgreSQL protocol", nil},
		"a second key":                          {pgtest.Options{Login: raw(append(ok, append(frame('K', "\x00\x00\x00\x01abcd"), frame('K', "\x00\x00\x00\x01abcd")...)...)...)}, "does not follow the PostgreSQL protocol", nil},
		"a protocol version we did not ask for": {pgtest.Options{Login: raw(append(ok, frame('v', "\x00\x00\x00\x00\x00\x00\x00\x00")...)...)}, "does not follow the PostgreSQL protocol", nil},
		"a length below the least":              {pgtest.Options{Login: raw('R', 0, 0, 0, 3)}, "broke the connection off", nil},
		"a negative length":                     {pgtest.Options{Login: raw('R', 0xff, 0xff, 0xff, 0xff)}, "broke the connection off", nil},
		"a giant length":                        {pgtest.Options{Login: raw('R', 0x7f, 0xff, 0xff, 0xff)}, "broke the connection off", nil},
		"passwords asked for without end":       {pgtest.Options{Login: raw([]byte(strings.Repeat(string(authentication(3)), 100))...)}, "does not follow the PostgreSQL protocol", withPassword},
		"settings without end":                  {pgtest.Options{Login: raw(append(ok, strings.Repeat(string(frame('S', "a\x00b\x00")), 2000)...)...)}, "too many messages", nil},
		"a web server":                          {pgtest.Options{Login: raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")...)}, "broke the connection off", nil},
		"it hangs up in the middle of a message": {pgtest.Options{Login: func(c *pgtest.Conn) bool {
			_, _ = c.Conn.Write(ok[:7])
			return false
		}}, "broke the connection off", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.change == nil {
				c.change = func(*enginetest.Config) {}
			}
			agent, _ := small(t, c.options, c.change)
			w := dial(t, agent)
			w.write(startupBytes(pgproto3.ProtocolVersion30, "user", "app")...)
			message, err := w.Receive()
			if err != nil {
				t.Fatal(err)
			}
			refusal, isError := message.(*pgproto3.ErrorResponse)
			if !isError || refusal.Severity != "FATAL" || refusal.Code != "08006" || !strings.Contains(refusal.Message, c.text) || strings.Contains(refusal.Message, "forged") {
				t.Errorf("the client got %+v", message)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
				t.Errorf("the engine returned %v", err)
			}
			if events := v.Journal.Events("db.session.end"); len(events) != 1 || events[0].Text("error") == "" {
				t.Errorf("end: %v", events)
			}
		})
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	const salt = "\x01\x02\x03\x04"
	for name, c := range map[string]struct{ ask, want string }{
		"in clear, under TLS": {"\x00\x00\x00\x03", "secret"},
		"MD5":                 {"\x00\x00\x00\x05" + salt, "md5bb41a296aab6baccb36ff243a562abff"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			agent, _ := small(t, pgtest.Options{Login: func(conn *pgtest.Conn) bool {
				_, _ = conn.Conn.Write(frame('R', c.ask))
				_ = conn.SetAuthType(pgproto3.AuthTypeCleartextPassword)
				message, err := conn.Receive()
				if password, ok := message.(*pgproto3.PasswordMessage); ok {
					got <- password.Password
				} else {
					t.Errorf("the server got %v, %v", message, err)
					got <- ""
				}
				return conn.LogIn() == nil
			}}, withPassword)
			logIn(t, agent)
			if password := <-got; password != c.want {
				t.Errorf("the server got %q", password)
			}
		})
	}
}

// withToken gives accounts a token, as those of AWS have.
func withToken(c *enginetest.Config) {
	c.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
		return &cred.Credential{User: account, Password: "secret", Token: true, Advice: func(r cred.Refusal) string {
			return "advice for " + r.Code + r.Method
		}}, nil
	})
}

// TestTokens has a database that must get the token in clear under TLS, and others that must not get it at all.
func TestTokens(t *testing.T) {
	t.Parallel()
	refused := string(frame('E', "SFATAL\x00VFATAL\x00C28000\x00MPAM authentication failed for user \"app\"\x00\x00"))
	hinted := string(frame('E', "SFATAL\x00VFATAL\x00C28000\x00Mx\x00Hits own\x00\x00"))
	for name, c := range map[string]struct {
		answer     string
		text, hint string
		sent       bool
	}{
		"in clear, and refused":               {"\x00\x00\x00\x03", "PAM authentication failed", "advice for 28000", true},
		"MD5, to which no token is an answer": {"\x00\x00\x00\x05abcd", "for a password in MD5 instead of an IAM token; advice for a password in MD5", "", false},
		"SCRAM":                               {"\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", "for a password in SCRAM instead of an IAM token; advice for", "", false},
		"another method":                      {"\x00\x00\x00\x07", "for authentication method 7 instead of an IAM token", "", false},
		"a refusal with a hint":               {"", "x", "its own; advice for 28000", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			agent, _ := small(t, pgtest.Options{Login: func(conn *pgtest.Conn) bool {
				defer close(got)
				if c.answer == "" {
					_, _ = conn.Conn.Write([]byte(hinted))
					return false
				}
				_, _ = conn.Conn.Write(frame('R', c.answer))
				_ = conn.SetAuthType(pgproto3.AuthTypeCleartextPassword)
				if message, err := conn.Receive(); err == nil {
					if password, ok := message.(*pgproto3.PasswordMessage); ok {
						got <- password.Password
						_, _ = conn.Conn.Write([]byte(refused))
					}
				}
				return false
			}}, withToken)
			w := dial(t, agent)
			w.write(startupBytes(pgproto3.ProtocolVersion30, "user", "app")...)
			message, err := w.Receive()
			if err != nil {
				t.Fatal(err)
			}
			refusal, _ := message.(*pgproto3.ErrorResponse)
			if refusal == nil || !strings.Contains(refusal.Message, c.text) || refusal.Hint != c.hint {
				t.Errorf("the client got %+v", message)
			}
			if password, sent := <-got; sent != c.sent || sent && password != "secret" {
				t.Errorf("the server got %q", password)
			}
			if err := agent.Visit(t, 0).Wait(t); err == nil || !strings.Contains(err.Error(), "advice for") || strings.Contains(err.Error(), "secret") {
				t.Errorf("the engine returned %v", err)
			}
		})
	}
}

// TestRogueSession has servers that send what does not belong there. The session ends, and the client is not
// told what it must not be told.
func TestRogueSession(t *testing.T) {
	t.Parallel()
	const ended = "ErrorResponse(FATAL 08P01) end"
	ready := string(frame('Z', "I"))
	for name, c := range map[string]struct {
		ask    []byte // by the client
		answer string
		want   string
	}{
		"ready without a question":           {nil, ready, ended},
		"rows without a question":            {nil, string(frame('D', "\x00\x00")), ended},
		"an error without a question":        {nil, string(frame('E', "SERROR\x00VERROR\x00C42601\x00Mx\x00\x00")), ended},
		"a farewell without a question":      {nil, string(frame('E', "SFATAL\x00VFATAL\x00C57P01\x00Mx\x00\x00")), "ErrorResponse(FATAL 57P01) end"},
		"a second login":                     {nil, string(frame('R', "\x00\x00\x00\x00")), ended},
		"a password asked for":               {nil, string(frame('R', "\x00\x00\x00\x03")), ended},
		"a new key":                          {nil, string(frame('K', "\x00\x00\x00\x01abcd")), ended},
		"another protocol version":           {nil, string(frame('v', "\x00\x00\x00\x00\x00\x00\x00\x00")), ended},
		"a copy in both directions":          {frame('Q', "x\x00"), string(frame('W', "\x00\x00\x00")), ended},
		"an unknown type":                    {frame('Q', "x\x00"), string(frame('!', "")), ended},
		"a type of the other side":           {frame('Q', "x\x00"), string(frame('Q', "x\x00")), ended},
		"a length below the least":           {frame('Q', "x\x00"), "D\x00\x00\x00\x03", ended},
		"a negative length":                  {frame('Q', "x\x00"), "D\xff\xff\xff\xff", ended},
		"a giant length":                     {frame('Q', "x\x00"), "D\x40\x00\x00\x00", ended},
		"two ends of one query":              {frame('Q', "x\x00"), ready + ready, "ReadyForQuery " + ended},
		"a parse complete for a query":       {frame('Q', "x\x00"), string(frame('1', "")), ended},
		"rows for a parse":                   {append(frame('P', "\x00x\x00\x00\x00"), frame('S', "")...), string(frame('D', "\x00\x00")), ended},
		"ready before the parse is complete": {append(frame('P', "\x00x\x00\x00\x00"), frame('S', "")...), ready, ended},
		"copied data without a copy":         {frame('Q', "x\x00"), string(frame('d', "x")), ended},
		"a copy within a copy":               {frame('Q', "x\x00"), string(frame('H', "\x00\x00\x00")) + string(frame('G', "\x00\x00\x00")), "CopyOutResponse " + ended},
		"a tag without its end":              {frame('Q', "x\x00"), string(frame('C', "SELECT 1")), ended},
		"an unknown status":                  {frame('Q', "x\x00"), string(frame('Z', "X")), ended},
		"a status of two bytes":              {frame('Q', "x\x00"), string(frame('Z', "II")), ended},
		"half a message, then nothing":       {frame('Q', "x\x00"), "D\x00\x00\x00\x10half", "end"},
		"half a header, then nothing":        {frame('Q', "x\x00"), "C\x00", "ErrorResponse(FATAL 08006) end"},
		"nothing":                            {frame('Q', "x\x00"), "", "ErrorResponse(FATAL 08006) end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, pgtest.Options{Relay: func(conn *pgtest.Conn) {
				buf := make([]byte, len(c.ask))
				for n := 0; n < len(buf); {
					m, err := conn.Conn.Read(buf[n:])
					if err != nil {
						return
					}
					n += m
				}
				_, _ = conn.Conn.Write([]byte(c.answer))
			}})
			w := logIn(t, agent)
			if len(c.ask) > 0 {
				w.write(c.ask...)
			}
			var got []string
			for {
				line := w.untilReady()
				got = append(got, line)
				if strings.HasSuffix(line, "end") {
					break
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
				t.Errorf("the engine returned %v", err)
			}
			outcomes(t, v)
		})
	}
}
