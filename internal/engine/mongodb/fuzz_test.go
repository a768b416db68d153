package mongodb_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/mongowire"
)

// FuzzSession has a client and a server say anything. Whatever the server got was recorded before, but for hellos, which
// are ours; and what the client got are whole messages.
func FuzzSession(f *testing.F) {
	find := message(f, 7, 0, in("orders", e("find", "c")))
	ok := mongowire.AppendMsg(nil, 1, 7, 0, marshal(f, d(e("cursor", d(e("firstBatch", bson.A{d(e("a", 1))}), e("id", int64(0)))), e("ok", 1))))
	f.Add(find, ok)
	f.Add(bytes.Repeat(find, 3), bytes.Repeat(ok, 3))
	f.Add(append(bytes.Clone(find), message(f, 8, 0, in("other", e("find", "c")))...), ok)
	f.Add(message(f, 7, mongowire.MoreToCome, in("orders", e("insert", "c")), sequence(f, "documents", d(e("a", 1)))), ok)
	f.Add(message(f, 7, mongowire.ExhaustAllowed, hello(e("compression", bson.A{"zlib"}))), mongowire.AppendMsg(nil, 9, 7, mongowire.MoreToCome, marshal(f, d(e("ok", 1)))))
	f.Add(query(f, 7, "admin.$cmd", d(e("ismaster", 1))), ok)
	f.Add(message(f, 7, 0, in("$external", e("saslStart", 1))), []byte{})
	engine := newEngine()
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte) {
		s, journal, _ := enginetest.OpenSession(t, "mongodb", "orders", ordersOnly)
		client, clientEnd := net.Pipe()
		server, serverEnd := net.Pipe()
		var sides sync.WaitGroup
		got := make([]bytes.Buffer, 2)
		for i, end := range []net.Conn{clientEnd, serverEnd} {
			sides.Go(func() { _, _ = io.Copy(&got[i], end) })
			sides.Go(func() {
				_, _ = end.Write([][]byte{fromClient, fromServer}[i])
				if i == 0 {
					_ = end.Close()
				}
			})
		}
		err := engine.Relay(t.Context(), client, server, s)
		for _, conn := range []net.Conn{client, server, clientEnd, serverEnd} {
			_ = conn.Close()
		}
		sides.Wait()
		if err := errors.Join(err, s.Close("ended", err)); err != nil && err.Error() == "" {
			t.Error("an error without a text")
		}
		commands := 0
		for rest := got[1].Bytes(); len(rest) >= mongowire.HeaderSize; {
			h := mongowire.ReadHeader(rest)
			if int(h.Size) > len(rest) {
				break // the write was broken off
			}
			var m mongowire.Msg
			if err := m.Parse(rest[:h.Size]); err != nil || h.Op != mongowire.OpMsg {
				t.Fatalf("the server got %s: %v", h.Op, err)
			}
			if name := firstKey(m.Body); name != "hello" && name != "isMaster" && name != "ismaster" {
				commands++
			}
			rest = rest[h.Size:]
		}
		if n := len(journal.Events("db.session.query")); commands > n {
			t.Fatalf("the server got %d commands, and %d are recorded", commands, n)
		}
	})
}

func firstKey(d mongowire.Document) string {
	for e := range d.Elements() {
		return string(e.Key)
	}
	return ""
}
