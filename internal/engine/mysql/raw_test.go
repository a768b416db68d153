package mysql_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/mysqlwire"
)

// raw is a client that sends what it is told, right or wrong.
type raw struct {
	net.Conn
	t     testing.TB
	flags mysqlwire.Flags // agreed on
	hello *mysqlwire.Greeting
}

// all are the flags that a client of MariaDB has.
const all = mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth | mysqlwire.LongAuthData | mysqlwire.ConnectWithDB |
	mysqlwire.ConnectAttrs | mysqlwire.MultiStatements | mysqlwire.MultiResults | mysqlwire.PSMultiResults | mysqlwire.SessionTrack |
	mysqlwire.DeprecateEOF | mysqlwire.BulkOperations | mysqlwire.ExtendedMetadata | mysqlwire.CacheMetadata | mysqlwire.LocalFiles

// logIn logs in with those of the flags that are offered. The agent must know its database by then.
func logIn(t testing.TB, agent *enginetest.Agent, flags mysqlwire.Flags) *raw {
	t.Helper()
	return logInWith(t, agent, func(offered mysqlwire.Flags) mysqlwire.Flags { return flags & offered })
}

func logInWith(t testing.TB, agent *enginetest.Agent, flags func(offered mysqlwire.Flags) mysqlwire.Flags) *raw {
	t.Helper()
	c, err := net.Dial("tcp", agent.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(4 * enginetest.Patience)); err != nil {
		t.Fatal(err)
	}
	r := &raw{Conn: c, t: t}
	payload, _ := r.packet()
	if r.hello, err = mysqlwire.ParseGreeting(payload); err != nil {
		t.Fatal(err)
	}
	r.flags = flags(r.hello.Flags)
	p := mysqlwire.HandshakeResponse{Flags: r.flags, MaxPacket: 1 << 24, Collation: 45, User: "app", Database: "orders", Method: mysqlwire.NativePassword}
	r.write(mysqlwire.AppendPacket(nil, 1, p.Append(nil)))
	payload, sequence := r.packet()
	if payload[0] == mysqlwire.HeaderEOF {
		r.write(mysqlwire.AppendPacket(nil, sequence+1, nil))
		payload, _ = r.packet()
	}
	if payload[0] != mysqlwire.HeaderOK {
		t.Fatalf("the login was answered with %q", payload)
	}
	return r
}

func (r *raw) write(bytes []byte) {
	r.t.Helper()
	if _, err := r.Conn.Write(bytes); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) packet() ([]byte, byte) {
	r.t.Helper()
	payload, sequence, err := mysqlwire.ReadPacket(r.Conn, 1<<23)
	if err != nil {
		r.t.Fatalf("reading: %v", err)
	}
	return payload, sequence
}

// command makes a packet of a command.
func command(c mysqlwire.Command, body string) []byte {
	return mysqlwire.AppendPacket(nil, 0, append([]byte{byte(c)}, body...))
}

// do sends a command and returns the first packet of its answer.
func (r *raw) do(c mysqlwire.Command, body string) []byte {
	r.t.Helper()
	r.write(command(c, body))
	payload, _ := r.packet()
	return payload
}

// ok sends a command and wants an OK.
func (r *raw) ok(c mysqlwire.Command, body string) {
	r.t.Helper()
	if payload := r.do(c, body); payload[0] != mysqlwire.HeaderOK && payload[0] != mysqlwire.HeaderEOF {
		r.t.Fatalf("command %#x was answered with %q", c, payload)
	}
}

// rows reads the rest of an answer with rows, whose first packet was read, and returns how many there were.
func (r *raw) rows() (n int) {
	r.t.Helper()
	ends := 2 // packets that end something: definitions and rows
	if r.flags&mysqlwire.DeprecateEOF != 0 {
		ends = 1
	}
	for {
		payload, _ := r.packet()
		switch {
		case payload[0] == mysqlwire.HeaderError:
			r.t.Fatalf("rows end with %q", payload)
		case payload[0] == mysqlwire.HeaderEOF && len(payload) < 9+91*int(r.flags&mysqlwire.DeprecateEOF/mysqlwire.DeprecateEOF):
			if ends--; ends == 0 {
				return n
			}
			n = 0
		case strings.HasPrefix(string(payload), "\x03def"):
		default:
			n++
		}
	}
}

// prepare prepares a statement and reads the answer to its end.
func (r *raw) prepare(text string) mysqlwire.Prepared {
	r.t.Helper()
	r.write(command(mysqlwire.ComStmtPrepare, text))
	return r.prepared()
}

func (r *raw) prepared() mysqlwire.Prepared {
	r.t.Helper()
	payload, _ := r.packet()
	p, err := mysqlwire.ParsePrepared(payload)
	if err != nil || payload[0] != mysqlwire.HeaderOK {
		r.t.Fatalf("a preparation was answered with %q", payload)
	}
	for _, n := range []int{p.Parameters, p.Columns} {
		if n > 0 && r.flags&mysqlwire.DeprecateEOF == 0 {
			n++
		}
		for range n {
			r.packet()
		}
	}
	return p
}

func u32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }

// execution is the body of a COM_STMT_EXECUTE with texts as values.
func execution(id uint32, flags byte, values ...string) string {
	body := u32(id) + string(flags) + u32(1)
	if len(values) == 0 {
		return body
	}
	body += strings.Repeat("\x00", (len(values)+7)/8) + "\x01" + strings.Repeat("\xfe\x00", len(values))
	for _, v := range values {
		if v != long {
			body += string(rune(len(v))) + v
		}
	}
	return body
}

// long is a value that is sent in pieces, and has no place in the execution.
const long = "(long)"

// errorOf reads an error message in a packet.
func (r *raw) errorOf(payload []byte) string {
	r.t.Helper()
	if payload[0] != mysqlwire.HeaderError {
		r.t.Fatalf("got %q, not an error", payload)
	}
	e, err := mysqlwire.ParseError(payload)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprint(e.Code, " ", e.State, " ", e.Message)
}

// ends checks that nothing more comes.
func (r *raw) ends() {
	r.t.Helper()
	if payload, _, err := mysqlwire.ReadPacket(r.Conn, 1<<23); err == nil {
		r.t.Fatalf("the connection goes on with %q", payload)
	}
}

// full reads as many bytes as there is room for.
func (r *raw) full(buf []byte) {
	r.t.Helper()
	if _, err := io.ReadFull(r.Conn, buf); err != nil {
		r.t.Fatalf("reading: %v", err)
	}
}
