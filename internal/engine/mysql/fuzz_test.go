package mysql_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

// said separates what the server of the fuzzer answers to one packet from what it answers to the next.
var said = []byte("\n--\n")

var quit = command(mysqlwire.ComQuit, "")

// FuzzSession has a client say anything, and a server answer each packet with anything. The server gets whole commands of
// the client only, in their order, and no statement that was not recorded; the client gets what the server said, and
// between whole packets errors of ours; and each recorded statement has an outcome.
func FuzzSession(f *testing.F) {
	add := func(commands [][]byte, answers ...[]byte) {
		f.Add(bytes.Join(commands, nil), bytes.Join(answers, said))
	}
	end, more := []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0}, []byte{mysqlwire.HeaderEOF, 0, 0, 10, 0}
	ok, no := []byte{0, 0, 0, 2, 0, 0, 0}, []byte("\xff\x28\x04#42000no")
	rows := [][]byte{{1}, mysqltest.Column("c"), end, []byte("\x0512345")}
	prepared := []byte{0, 7, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}
	executed := "\x07\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x08\x00\x2a\x00\x00\x00\x00\x00\x00\x00"
	add([][]byte{command(mysqlwire.ComQuery, "select c from t"), command(mysqlwire.ComPing, ""), command(mysqlwire.ComQuery, "wrong")},
		numbered(append(rows, end)...), numbered(ok), numbered(no))
	add([][]byte{command(mysqlwire.ComQuery, "select 1; select 2")}, numbered(append(append(append(rows, more), rows...), end)...))
	add([][]byte{command(mysqlwire.ComStmtPrepare, "select ?"), command(mysqlwire.ComStmtLongData, "\x07\x00\x00\x00\x00\x00abc"), command(mysqlwire.ComStmtExecute, executed), command(mysqlwire.ComStmtClose, "\x07\x00\x00\x00")},
		numbered(prepared, mysqltest.Column("?"), end, mysqltest.Column("c"), end), nil, numbered(append(rows, end)...))
	add([][]byte{command(mysqlwire.ComStmtExecute, "\x09\x00\x00\x00\x00\x01\x00\x00\x00"), command(mysqlwire.ComInitDB, "other"), command(mysqlwire.ComResetConnection, "")}, numbered(ok), numbered(ok))
	add([][]byte{command(mysqlwire.ComChangeUser, "root\x00"), command(mysqlwire.ComQuery, "select 'never'")})
	add([][]byte{command(mysqlwire.ComQuery, "load data local infile 'x' into table t"), {1, 0, 0, 2, 'x'}, {0, 0, 0, 3}}, numbered([]byte("\xfbx")), numbered(ok))
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte) {
		synctest.Test(t, func(t *testing.T) {
			converse(t, append(bytes.Clone(fromClient), quit...), bytes.Split(fromServer, said))
		})
	})
}

// A pause in a conversation is longer than everything that a relay does in it.
const pause = time.Minute

func converse(t *testing.T, fromClient []byte, answers [][]byte) {
	s, journal, _ := enginetest.OpenSession(t, "mysql", "")
	client, clientEnd := net.Pipe()
	server, serverEnd := net.Pipe()
	var got, told, heard bytes.Buffer
	sides := make(chan struct{}, 3)
	go func() { serve(serverEnd, answers, &got, &told); sides <- struct{}{} }()
	go func() { _, _ = io.Copy(&heard, clientEnd); sides <- struct{}{} }()
	go func() {
		if _, err := clientEnd.Write(fromClient); err == nil {
			time.Sleep(pause) // a goodbye within something unfinished is none
		}
		_ = clientEnd.Close()
		sides <- struct{}{}
	}()
	_ = newEngine().Relay(t.Context(), client, server, s)
	for _, conn := range []net.Conn{client, server, clientEnd, serverEnd} {
		_ = conn.Close()
	}
	for range cap(sides) {
		<-sides
	}
	checkForwarded(t, fromClient, got.Bytes(), journal)
	checkTold(t, told.Bytes(), heard.Bytes())
	checkOutcomes(t, journal)
}

// serve answers each packet, until there are no more answers or the client has said goodbye.
func serve(conn net.Conn, answers [][]byte, got, told *bytes.Buffer) {
	defer conn.Close()
	buf := make([]byte, 4<<10)
	for answered := 0; ; {
		packet := packetAt(got.Bytes()[answered:])
		if packet == nil {
			_ = conn.SetReadDeadline(time.Now().Add(pause))
			n, err := conn.Read(buf)
			if got.Write(buf[:n]); err != nil {
				return
			}
			continue
		}
		answered += len(packet)
		if len(answers) == 0 || bytes.Equal(packet, quit) {
			return
		}
		n, err := conn.Write(answers[0])
		if told.Write(answers[0][:n]); err != nil {
			return
		}
		answers = answers[1:]
	}
}

// packetAt returns the packet at the beginning of data, or nil if it is not complete.
func packetAt(data []byte) []byte {
	if len(data) < mysqlwire.HeaderSize {
		return nil
	}
	size, _ := mysqlwire.Size(data)
	if size > len(data)-mysqlwire.HeaderSize {
		return nil
	}
	return data[:mysqlwire.HeaderSize+size]
}

func checkForwarded(t *testing.T, fromClient, got []byte, journal *enginetest.Journal) {
	recorded := journal.Events("db.session.query")
	for len(got) > 0 {
		packet := packetAt(got)
		if packet == nil {
			t.Fatalf("the server got a piece of a command: %q", got)
		}
		got = got[len(packet):]
		if len(got) == 0 && bytes.Equal(packet, quit) {
			return // perhaps ours
		}
		sent := packetAt(fromClient)
		for ; !bytes.Equal(sent, packet); sent = packetAt(fromClient) {
			if sent == nil {
				t.Fatalf("the server got %q, which the client did not say then", packet)
			}
			fromClient = fromClient[len(sent):]
		}
		fromClient = fromClient[len(sent):]
		body := packet[mysqlwire.HeaderSize+1:]
		switch mysqlwire.Command(packet[mysqlwire.HeaderSize]) {
		case mysqlwire.ComChangeUser, mysqlwire.ComBinlogDump, mysqlwire.ComRegisterReplica:
			t.Fatalf("the server got %q", packet)
		case mysqlwire.ComQuery:
			if len(recorded) == 0 || textOf(recorded[0]) != string(body) {
				t.Fatalf("the server got %q, and the next that is recorded is %v", packet, recorded)
			}
			recorded = recorded[1:]
		case mysqlwire.ComStmtExecute:
			id, _ := mysqlwire.StatementID(body)
			if len(recorded) == 0 || id != mysqlwire.LastStatement && recorded[0].Number("statement_id") != int64(id) {
				t.Fatalf("the server got %q, and the next that is recorded is %v", packet, recorded)
			}
			recorded = recorded[1:]
		}
	}
}

func textOf(event enginetest.Event) string {
	if exact, err := base64.StdEncoding.DecodeString(event.Text("db_query_base64")); err == nil && len(exact) > 0 {
		return string(exact)
	}
	return event.Text("db_query")
}

func checkTold(t *testing.T, told, heard []byte) {
	for len(heard) > 0 {
		packet := packetAt(heard)
		switch {
		case packet == nil && bytes.HasPrefix(told, heard):
			return // it was broken off
		case packet != nil && bytes.HasPrefix(told, packet):
			told = told[len(packet):]
		case packet == nil || len(packet) == mysqlwire.HeaderSize || packet[mysqlwire.HeaderSize] != mysqlwire.HeaderError:
			t.Fatalf("the client got %q, and the server said %q", heard, told)
		}
		heard = heard[len(packet):]
	}
}

func checkOutcomes(t *testing.T, journal *enginetest.Journal) {
	outcomes := make(map[int64]int)
	for _, event := range journal.Events() {
		if event.Type == "db.session.result" {
			if _, ok := outcomes[event.Number("statement_ei")]; !ok {
				t.Fatalf("an outcome of nothing: %v", event.Fields)
			}
			outcomes[event.Number("statement_ei")]++
			continue
		}
		outcomes[event.Number("ei")] = 0
	}
	for _, query := range journal.Events("db.session.query") {
		if outcomes[query.Number("ei")] == 0 {
			t.Fatalf("%q has no outcome", textOf(query))
		}
	}
}
