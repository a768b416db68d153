package postgres_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// visitWithout returns a session whose database cannot be dialled, and its journal.
func visitWithout(t testing.TB) (*session.Session, *enginetest.Journal) {
	t.Helper()
	return enginetest.NewSession(t, enginetest.Config{
		Engine:      newEngine(),
		Database:    enginetest.NewDatabase(t, resource.ProtocolPostgres, "db.example.org:5432", nil),
		Credentials: enginetest.AccountsOnly,
		Dial:        func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") },
	})
}

// FuzzFirstPackets sends anything in place of a login.
func FuzzFirstPackets(f *testing.F) {
	f.Add(startupBytes(3<<16, "user", "app", "database", "orders", "options", "-c work_mem=1MB"))
	f.Add(append([]byte{0, 0, 0, 8, 4, 210, 22, 47}, startupBytes(3<<16|2, "user", "app", "_pq_.x", "")...))
	f.Add([]byte{0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, journal := visitWithout(t)
		client, far := net.Pipe()
		answers := collect(client)
		go func() {
			_, _ = client.Write(data)
			_ = client.SetReadDeadline(time.Now().Add(enginetest.Patience))
			_ = client.Close()
		}()
		_ = newEngine().Serve(t.Context(), far, s)
		_ = far.Close()
		<-answers
		for _, event := range journal.Events("db.session.start") {
			if len(event.Text("db_user")) > 63 && event.Flag("success") {
				t.Errorf("a name of %d bytes was let in", len(event.Text("db_user")))
			}
		}
	})
}

// collect reads until the end, and then delivers what came.
func collect(r io.Reader) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		var got bytes.Buffer
		_, _ = io.Copy(&got, r)
		all <- got.Bytes()
	}()
	return all
}

// relayed runs a relay between two scripts. Each returns when it has nothing more to say.
func relayed(t *testing.T, client, server func(net.Conn)) (toClient, toServer []byte, journal *enginetest.Journal) {
	t.Helper()
	s, journal := visitWithout(t)
	ours, clientEnd := net.Pipe()
	theirs, serverEnd := net.Pipe()
	fromRelay, atServer := collect(clientEnd), collect(serverEnd)
	go func() {
		client(clientEnd)
		server(serverEnd)
		_ = serverEnd.Close()
		_ = clientEnd.Close()
	}()
	_ = newEngine().Relay(t.Context(), ours, theirs, s)
	_ = ours.Close()
	_ = theirs.Close()
	return <-fromRelay, <-atServer, journal
}

// FuzzFromClient sends anything as messages of a client: the database gets whole messages only, in the order in
// which they came, and no statement that was not recorded.
func FuzzFromClient(f *testing.F) {
	f.Add(append(frame('Q', "select 1\x00"), frame('X', "")...))
	f.Add(bytes.Join([][]byte{frame('P', "s\x00select $1\x00\x00\x01\x00\x00\x00\x17"), frame('B', "p\x00s\x00\x00\x01\x00\x01\x00\x01\x00\x00\x00\x04\x00\x00\x00\x2a\x00\x00"), frame('E', "p\x00\x00\x00\x00\x00"), frame('S', "")}, nil))
	f.Add(append(frame('d', "data"), frame('F', "\x00\x00\x06\x3e\x00\x00\x00\x01\x00\x00\x00\x01\x33\x00\x00")...))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, got, journal := relayed(t, func(c net.Conn) { _, _ = c.Write(data) }, func(net.Conn) {})
		forwarded := bytes.TrimSuffix(got, terminate)
		if !bytes.HasPrefix(data, forwarded) && !bytes.HasPrefix(data, got) {
			t.Fatalf("the database got %q", got)
		}
		recorded := journal.Events("db.session.query", "db.session.postgres.function")
		for len(forwarded) >= 5 {
			size := int(binary.BigEndian.Uint32(forwarded[1:])) + 1
			body := forwarded[5:min(size, len(forwarded))]
			if strings.IndexByte("QEF", forwarded[0]) >= 0 {
				if len(recorded) == 0 {
					t.Fatalf("%q was not recorded", forwarded[:size])
				}
				if forwarded[0] == 'Q' && recordedText(recorded[0]) != string(bytes.TrimSuffix(body, []byte{0})) {
					t.Fatalf("%q was recorded as %v", body, recorded[0].Fields)
				}
				recorded = recorded[1:]
			}
			forwarded = forwarded[min(size, len(forwarded)):]
		}
	})
}

func recordedText(event enginetest.Event) string {
	if exact, err := base64.StdEncoding.DecodeString(event.Text("db_query_base64")); err == nil && len(exact) > 0 {
		return string(exact)
	}
	return event.Text("db_query")
}

// FuzzFromServer sends anything as the answer to a series of requests: the client gets it as far as it fits.
func FuzzFromServer(f *testing.F) {
	f.Add(bytes.Join([][]byte{frame('T', "\x00\x00"), frame('D', "\x00\x00"), frame('C', "SELECT 1\x00"), frame('Z', "I"), frame('1', ""), frame('2', ""), frame('t', "\x00\x01\x00\x00\x00\x17"), frame('n', ""), frame('D', "\x00\x00"), frame('s', ""), frame('Z', "T"), frame('V', "\xff\xff\xff\xff"), frame('Z', "I")}, nil))
	f.Add(bytes.Join([][]byte{frame('G', "\x00\x00\x00"), frame('E', "SERROR\x00VERROR\x00C22P02\x00Mbad\x00\x00"), frame('Z', "E"), frame('N', "x"), frame('E', "\x00"), frame('Z', "I")}, nil))
	f.Add(bytes.Join([][]byte{frame('H', "\x00\x00\x00"), frame('d', "x"), frame('c', ""), frame('C', "COPY 1\x00"), frame('E', "SFATAL\x00\x00")}, nil))
	requests := bytes.Join([][]byte{
		frame('Q', "select 1\x00"), frame('P', "s\x00select $1\x00\x00\x00"), frame('B', "\x00s\x00\x00\x00\x00\x00\x00\x00"),
		frame('D', "Ss\x00"), frame('E', "\x00\x00\x00\x00\x01"), frame('S', ""), frame('F', "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"), frame('c', ""), frame('S', ""),
	}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, journal := relayed(t, func(c net.Conn) { _, _ = c.Write(requests) }, func(c net.Conn) { _, _ = c.Write(data) })
		if i := bytes.LastIndex(got, []byte("\x00VFATAL\x00")); !bytes.HasPrefix(data, got) && (i < 0 || !bytes.HasPrefix(data, got[:i-len("E....SFATAL")])) {
			t.Fatalf("the client got %q", got)
		}
		statements := make(map[int64]bool)
		for _, event := range journal.Events() {
			switch event.Type {
			case "db.session.query", "db.session.postgres.function":
				statements[event.Number("ei")] = false
			case "db.session.result":
				if _, ok := statements[event.Number("statement_ei")]; !ok {
					t.Fatalf("a result of no statement: %v", event.Fields)
				}
				statements[event.Number("statement_ei")] = true
			}
		}
		for index, ended := range statements {
			if !ended {
				t.Fatalf("statement %d has no result", index)
			}
		}
	})
}

// FuzzLogin answers a login with anything.
func FuzzLogin(f *testing.F) {
	f.Add(bytes.Join([][]byte{frame('R', "\x00\x00\x00\x03"), frame('R', "\x00\x00\x00\x00"), frame('S', "a\x00b\x00"), frame('K', "\x00\x00\x00\x01abcd"), frame('Z', "I")}, nil))
	f.Add(frame('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := net.Pipe()
		sent := collect(far)
		go func() {
			_, _ = far.Write(data)
			_ = far.Close()
		}()
		kept, err := postgres.LogInOn(near, "secret")
		_ = near.Close()
		if got := <-sent; kept > len(data) || len(got) > 100 {
			t.Fatalf("kept %d bytes of %d, sent %q: %v", kept, len(data), got, err)
		}
	})
}
