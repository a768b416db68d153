package mongodb_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"

	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/mongowire"
)

// BenchmarkFindByID measures one command and its answer over one connection: to a small server directly over TLS, and
// through the engine, which reaches it over TLS. The server costs almost nothing, so that the engine is what is measured.
func BenchmarkFindByID(b *testing.B) {
	answer := marshal(b, d(e("cursor", d(e("firstBatch", []any{d(e("_id", 17), e("name", "item 17"), e("total", 4.25))}), e("id", int64(0)), e("ns", "orders.items"))), e("ok", 1.0)))
	command := message(b, 7, 0, in("orders", e("find", "items"), e("filter", d(e("_id", 17))), e("limit", 1), e("singleBatch", true)))
	reply := mongowire.AppendMsg(nil, 1, 7, 0, answer)
	options := mongotest.Options{Command: func(c *mongotest.Conn, _ mongotest.Message) bool {
		buf := make([]byte, len(command))
		for {
			if _, err := c.Write(reply); err != nil {
				return true
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				return true
			}
		}
	}}
	exchange := func(b *testing.B, conn net.Conn) {
		b.Helper()
		got := make([]byte, len(reply))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := conn.Write(command); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(conn, got); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) {
		server := mongotest.Start(b, options)
		roots := x509.NewCertPool()
		roots.AddCert(server.Authority.Cert)
		conn, err := tls.Dial("tcp", server.Addr, &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{*server.ClientCertificate(b, "app")}})
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		c := &rawClient{conn: conn}
		if _, err := c.run(patience(b), in("$external", e("authenticate", 1))); err != nil {
			b.Fatal(err)
		}
		exchange(b, conn)
	})
	b.Run("engine", func(b *testing.B) {
		agent, _ := small(b, options)
		c := logIn(b, agent)
		agent.Visit(b, 0).Journal.Forget()
		exchange(b, c.conn)
	})
}
