package postgres_test

import (
	"bytes"
	"errors"
	"net"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres/pgtest"
)

var errBench = errors.New("the benchmark is over")

// ways are what benchmarks compare.
var ways = enginetest.Ways(func(b *testing.B, client, server net.Conn) (run func()) {
	s, journal := visitWithout(b)
	journal.Forget()
	return func() { _ = newEngine().Relay(b.Context(), client, server, s) }
})

func BenchmarkSmallQuery(b *testing.B) {
	question := frame('Q', "select abalance from pgbench_accounts where aid = 12345\x00")
	answer := bytes.Join([][]byte{frame('T', "\x00\x01abalance\x00aaaabbccccddeeeeff"), frame('D', "\x00\x01\x00\x00\x00\x0512345"), frame('C', "SELECT 1\x00"), frame('Z', "I")}, nil)
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			enginetest.Exchange(b, client, server, question, answer)
		})
	}
}

// BenchmarkRows sends rows of 100 bytes, in pieces of the size that the server sends.
func BenchmarkRows(b *testing.B) {
	const piece = 8 << 10
	row := frame('D', string(make([]byte, 95)))
	rows := bytes.Repeat(row, 1<<20/len(row))
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			if _, err := client.Write(frame('Q', "select * from rows\x00")); err != nil {
				b.Fatal(err)
			}
			enginetest.Stream(b, client, server, rows, piece)
		})
	}
}

// BenchmarkIdle reports what an idle session keeps after a query: the engine's part, TLS to the database, and the
// client and the small server, which are in the same process.
func BenchmarkIdle(b *testing.B) {
	const sessions = 500
	agent, _ := small(b, pgtest.Options{})
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		clients := make([]net.Conn, 0, sessions)
		for range sessions {
			client, err := net.Dial("tcp", agent.Addr())
			if err != nil {
				b.Fatal(err)
			}
			clients = append(clients, client)
			frontend := pgproto3.NewFrontend(client, client)
			frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "app"}})
			for range 2 {
				_ = frontend.Flush()
				for {
					message, err := frontend.Receive()
					if err != nil {
						b.Fatal(err)
					}
					if _, ok := message.(*pgproto3.ReadyForQuery); ok {
						break
					}
				}
				frontend.Send(&pgproto3.Query{String: "select 1"})
			}
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse+after.StackInuse-before.StackInuse)/sessions/1024, "KiB/session")
		for i, client := range clients {
			_ = client.Close()
			agent.Visit(b, i).End(errBench)
		}
	}
}
