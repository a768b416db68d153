package mysql_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

// ways are what benchmarks compare.
var ways = enginetest.Ways(func(b *testing.B, client, server net.Conn) (run func()) {
	s, journal, _ := enginetest.OpenSession(b, "mysql", "")
	journal.Forget()
	return func() { _ = newEngine().Relay(b.Context(), client, server, s) }
})

// numbered makes packets of an answer.
func numbered(payloads ...[]byte) (packets []byte) {
	for i, payload := range payloads {
		packets = mysqlwire.AppendPacket(packets, byte(i+1), payload)
	}
	return packets
}

func BenchmarkSmallQuery(b *testing.B) {
	question := command(mysqlwire.ComQuery, "select abalance from pgbench_accounts where aid = 12345")
	end := []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0}
	answer := numbered([]byte{1}, mysqltest.Column("abalance"), end, []byte("\x0512345"), end)
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			enginetest.Exchange(b, client, server, question, answer)
		})
	}
}

// BenchmarkPrepare prepares one statement in the place of another.
func BenchmarkPrepare(b *testing.B) {
	question := command(mysqlwire.ComStmtPrepare, "select abalance from pgbench_accounts where aid = ?")
	answer := numbered(preparedWith(1, 0)...)
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			enginetest.Exchange(b, client, server, question, answer)
		})
	}
}

// BenchmarkRows sends rows of 100 bytes, in pieces of the size that the server sends.
func BenchmarkRows(b *testing.B) {
	const piece = 16 << 10
	question := command(mysqlwire.ComQuery, "select * from t")
	head := numbered([]byte{1}, mysqltest.Column("c"), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0})
	row := mysqlwire.AppendPacket(nil, 7, append([]byte{95}, bytes.Repeat([]byte("x"), 95)...))
	rows := bytes.Repeat(row, 1<<20/len(row))
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			if _, err := client.Write(question); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(server, make([]byte, len(question))); err != nil {
				b.Fatal(err)
			}
			if _, err := server.Write(head); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(client, make([]byte, len(head))); err != nil {
				b.Fatal(err)
			}
			enginetest.Stream(b, client, server, rows, piece)
		})
	}
}
