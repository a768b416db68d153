package postgres_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/fault"
)

var errStopping = fault.New(fault.ConnectionProblem, "the service is stopping")

func frame(typ byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(body))), body...)
}

// watched is a small server that answers nothing after the login, and tells what each connection has brought.
func watched() (pgtest.Options, <-chan string) {
	connections := make(chan string, 1)
	return pgtest.Options{Relay: func(c *pgtest.Conn) {
		var seen []byte
		chunk := make([]byte, 1<<12)
		for !bytes.HasSuffix(seen, terminate) {
			n, err := c.Conn.Read(chunk)
			seen = append(seen, chunk[:n]...)
			if err != nil {
				break
			}
		}
		connections <- string(seen)
	}}, connections
}

var terminate = frame('X', "")

const malformedAnswer = "ErrorResponse(FATAL 08P01) end"

// TestMalformedMessages checks that what cannot be read is recorded and refused, and that not a byte of it
// reaches the database.
func TestMalformedMessages(t *testing.T) {
	t.Parallel()
	i16, i32 := "\x00\x01", "\x00\x00\x00\x01"
	cases := map[string][]byte{
		"a query without its end":               frame('Q', "select 1"),
		"a query with more behind it":           frame('Q', "select 1\x00x"),
		"a query with two texts":                frame('Q', "select 1\x00select 2\x00"),
		"an empty query message":                frame('Q', ""),
		"a parse without a text":                frame('P', "s\x00"),
		"a parse without types":                 frame('P', "s\x00select 1\x00"),
		"a parse with fewer types than it says": frame('P', "s\x00select 1\x00"+i16),
		"a parse with more behind it":           frame('P', "s\x00select 1\x00\x00\x00x"),
		"a bind without names":                  frame('B', ""),
		"a bind without formats":                frame('B', "\x00\x00"),
		"a bind with an unknown format":         frame('B', "\x00\x00"+i16+"\x00\x02"+"\x00\x00\x00\x00"),
		"a bind with too many formats":          frame('B', "\x00\x00\x00\x02\x00\x00\x00\x00"+i16+i32+"x\x00\x00"),
		"a bind with fewer values than it says": frame('B', "\x00\x00\x00\x00\xff\xff"),
		"a bind with a value beyond its end":    frame('B', "\x00\x00\x00\x00"+i16+"\x7f\xff\xff\xffx"),
		"a bind with a value of length -2":      frame('B', "\x00\x00\x00\x00"+i16+"\xff\xff\xff\xfe\x00\x00"),
		"a bind with a value of length -2^31":   frame('B', "\x00\x00\x00\x00"+i16+"\x80\x00\x00\x00\x00\x00"),
		"a bind without results' formats":       frame('B', "\x00\x00\x00\x00\x00\x00"),
		"a bind with more behind it":            frame('B', "\x00\x00\x00\x00\x00\x00\x00\x00x"),
		"a describe of something else":          frame('D', "Xname\x00"),
		"a describe of nothing":                 frame('D', ""),
		"a close of something else":             frame('C', "Q\x00"),
		"a close without its end":               frame('C', "Sname"),
		"an execute without a limit":            frame('E', "\x00"),
		"an execute with more behind it":        frame('E', "\x00"+i32+"x"),
		"a sync with a body":                    frame('S', "x"),
		"a flush with a body":                   frame('H', "x"),
		"a terminate with a body":               frame('X', "x"),
		"the end of a copy with a body":         frame('c', "x"),
		"a failed copy without its end":         frame('f', "reason"),
		"a function call that is too short":     frame('F', i32),
		"a function call with a wrong length":   frame('F', i32+"\x00\x00"+i16+"\xff\xff\xff\xf0\x00\x00"),
		"a password":                            frame('p', "secret\x00"),
		"a second startup message":              startupBytes(pgproto3.ProtocolVersion30, "user", "root"),
		"a request for TLS":                     {0, 0, 0, 8, 4, 210, 22, 47},
		"a TLS handshake":                       {22, 3, 1, 0, 100, 1},
		"a message of the other side":           frame('Z', "I"),
	}
	for _, typ := range []byte("QPBDCEFSHXcfd") {
		for _, length := range []uint32{0, 1, 2, 3, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			cases[fmt.Sprintf("a %q of length %d", typ, length)] = binary.BigEndian.AppendUint32([]byte{typ}, length)
		}
	}
	cases["a name of 10,001 bytes"] = binary.BigEndian.AppendUint32([]byte{'D'}, 10_001)
	for name, message := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options, connections := watched()
			agent, _ := small(t, options)
			w := logIn(t, agent)
			w.write(message...)
			w.expect(malformedAnswer)
			v := agent.Visit(t, 0)
			if err := v.Wait(t); !fault.Is(err, fault.BadParameter) {
				t.Errorf("the engine returned %v", err)
			}
			events := v.Journal.Events("db.session.malformed_packet")
			if len(events) != 1 || events[0].Text("payload") == "" {
				t.Errorf("recorded %v", events)
			}
			if got := <-connections; got != string(terminate) {
				t.Errorf("the database got %q", got)
			}
		})
	}
}

// TestEveryType sends each type in each state: what is not part of the protocol never gets through.
func TestEveryType(t *testing.T) {
	t.Parallel()
	const known = "BCDEFHPQSXcdf"
	states := map[string][]byte{
		"idle":                 nil,
		"a query is running":   frame('Q', "select 1\x00"),
		"within a pipeline":    append(frame('P', "s\x00select 1\x00\x00\x00"), frame('B', "\x00s\x00\x00\x00\x00\x00\x00\x00")...),
		"within a COPY":        append(frame('Q', "copy t from stdin\x00"), frame('d', "data")...),
		"behind half a header": {'d', 0, 0, 0, 5, 'x'},
	}
	for name, before := range states {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options, connections := watched()
			agent, _ := small(t, options)
			for typ := range 256 {
				if strings.IndexByte(known, byte(typ)) >= 0 {
					continue
				}
				w := logIn(t, agent)
				w.write(slices.Concat(before, frame(byte(typ), "body\x00"))...)
				w.expect(malformedAnswer)
				want := string(before)
				if name == "idle" || name == "behind half a header" {
					want += string(terminate) // otherwise the connection is broken off: something is running
				}
				if got := <-connections; got != want {
					t.Fatalf("type %d: the database got %q", typ, got)
				}
				v := agent.Visit(t, len(agent.Visits())-1)
				if events := v.Journal.Events("db.session.malformed_packet"); len(events) != 1 {
					t.Fatalf("type %d: recorded %v", typ, events)
				}
			}
		})
	}
}

// TestSplitMessages sends a conversation byte by byte: what is recorded and forwarded is the same.
func TestSplitMessages(t *testing.T) {
	t.Parallel()
	options, connections := watched()
	agent, _ := small(t, options)
	w := logIn(t, agent)
	conversation := frame('Q', "select 'one'\x00")
	conversation = append(conversation, frame('P', "s\x00select $1\x00\x00\x01\x00\x00\x00\x17")...)
	conversation = append(conversation, frame('B', "p\x00s\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x04\x00\x00\x00\x2a\x00\x00")...)
	conversation = append(conversation, frame('E', "p\x00\x00\x00\x00\x00")...)
	conversation = append(conversation, frame('S', "")...)
	conversation = append(conversation, frame('F', "\x00\x00\x06\x3e\x00\x00\x00\x01\x00\x00\x00\x01\x33\x00\x00")...)
	conversation = append(conversation, frame('d', strings.Repeat("copied", 1000))...)
	conversation = append(conversation, frame('X', "")...)
	for i := range conversation {
		w.write(conversation[i])
	}
	v := agent.Visit(t, 0)
	_ = v.Wait(t)
	if got := <-connections; got != string(conversation) {
		t.Fatalf("the database got %q", got)
	}
	var recorded []string
	for _, event := range v.Journal.Events("db.session.query", "db.session.postgres.function") {
		recorded = append(recorded, event.Text("db_query")+fmt.Sprint(event.Fields["db_query_parameters"], event.Fields["function_oid"], event.Fields["function_args"]))
	}
	if got := strings.Join(recorded, "; "); got != "select 'one'<nil> <nil> <nil>; select $1[42] <nil> <nil>; <nil> 1598 [3]" {
		t.Errorf("recorded %s", got)
	}
}

// TestLimits checks what bounds the memory of a session.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(w *wire){
		"too many prepared statements": func(w *wire) {
			for i := range 1025 {
				w.Send(&pgproto3.Parse{Name: fmt.Sprint("s", i), Query: "select 1"})
			}
		},
		"too many portals": func(w *wire) {
			for i := range 1025 {
				w.Send(&pgproto3.Bind{DestinationPortal: fmt.Sprint("p", i)})
			}
		},
		"too many bytes in statements": func(w *wire) {
			for i := range 5 {
				w.Send(&pgproto3.Parse{Name: fmt.Sprint("s", i), Query: strings.Repeat("x", 300<<10)})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, _ := small(t, pgtest.Options{}, func(cfg *enginetest.Config) {
				cfg.Engine = postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), MaxKept: 1 << 20})
			})
			w := logIn(t, agent)
			send(w)
			_ = w.Frontend.Flush()
			if got := w.untilReady(); !strings.HasSuffix(got, "ErrorResponse(FATAL 54000) end") {
				t.Fatalf("got %.300s", got)
			}
			if err := agent.Visit(t, 0).Wait(t); !fault.Is(err, fault.LimitExceeded) {
				t.Errorf("the engine returned %v", err)
			}
		})
	}
	t.Run("a name that the server would cut off", func(t *testing.T) {
		t.Parallel()
		agent, _ := small(t, pgtest.Options{})
		w := logIn(t, agent)
		w.send(&pgproto3.Parse{Name: strings.Repeat("s", 64), Query: "select 1"})
		w.expect("ErrorResponse(FATAL 42622) end")
	})
}

// TestManyUnanswered sends far more than may be under way, and reads only afterwards.
func TestManyUnanswered(t *testing.T) {
	t.Parallel()
	agent, _ := small(t, pgtest.Options{})
	w := logIn(t, agent)
	const count = 30_000
	sent := make(chan error, 1)
	go func() {
		for range count {
			w.Send(&pgproto3.Sync{})
		}
		sent <- w.Frontend.Flush()
	}()
	for i := range count {
		if got := w.untilReady(); got != "ReadyForQuery" {
			t.Fatal(i, got)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}
