package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/engine/postgres/pgtest"
)

var errBench = errors.New("the benchmark is over")

// pair returns the two ends of a loopback connection.
func pair(b *testing.B) (near, far net.Conn) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	return near, far
}

// ways are what benchmarks compare: the plain connection, and one through the relay. Neither has TLS, so that
// the difference is the relay's.
var ways = map[string]func(b *testing.B) (client, server net.Conn){
	"direct": func(b *testing.B) (client, server net.Conn) { return pair(b) },
	"copied": func(b *testing.B) (client, server net.Conn) {
		client, ours := pair(b)
		theirs, server := pair(b)
		// Hidden behind an interface, so that the kernel does not copy by itself.
		go func() { _, _ = io.Copy(struct{ io.Writer }{theirs}, struct{ io.Reader }{ours}) }()
		go func() { _, _ = io.Copy(struct{ io.Writer }{ours}, struct{ io.Reader }{theirs}) }()
		return client, server
	},
	"relayed": func(b *testing.B) (client, server net.Conn) {
		client, ours := pair(b)
		theirs, server := pair(b)
		s, journal := visitWithout(b)
		journal.Forget()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = newEngine().Relay(b.Context(), ours, theirs, s)
		}()
		b.Cleanup(func() {
			_ = client.Close()
			_ = server.Close()
			<-done
		})
		return client, server
	},
}

func BenchmarkSmallQuery(b *testing.B) {
	question := frame('Q', "select abalance from pgbench_accounts where aid = 12345\x00")
	answer := bytes.Join([][]byte{frame('T', "\x00\x01abalance\x00aaaabbccccddeeeeff"), frame('D', "\x00\x01\x00\x00\x00\x0512345"), frame('C', "SELECT 1\x00"), frame('Z', "I")}, nil)
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			go func() {
				buf := make([]byte, len(question))
				for {
					if _, err := io.ReadFull(server, buf); err != nil {
						return
					}
					if _, err := server.Write(answer); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, len(answer))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Write(question); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(client, buf); err != nil {
					b.Fatal(err)
				}
			}
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
			go func() {
				for {
					for from := 0; from < len(rows); from += piece {
						if _, err := server.Write(rows[from:min(from+piece, len(rows))]); err != nil {
							return
						}
					}
				}
			}()
			buf := make([]byte, len(rows))
			b.SetBytes(int64(len(rows)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.ReadFull(client, buf); err != nil {
					b.Fatal(err)
				}
			}
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
