package mysql_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

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

// ways are what benchmarks compare: the plain connection, and one through the relay. Neither has TLS, so that the
// difference is the relay's.
var ways = map[string]func(b *testing.B) (client, server net.Conn){
	"direct": pair,
	"relayed": func(b *testing.B) (client, server net.Conn) {
		client, ours := pair(b)
		theirs, server := pair(b)
		s, journal := enginetest.NewSession(b, enginetest.Config{
			Engine:   newEngine(),
			Database: enginetest.NewDatabase(b, "mysql", "127.0.0.1:1", nil),
			Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) {
				return &cred.Credential{User: account}, nil
			}),
			Dial: func(context.Context, string, string) (net.Conn, error) { return theirs, nil },
		})
		if _, err := s.Open(b.Context(), session.Want{User: "app"}); err != nil {
			b.Fatal(err)
		}
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
	const piece = 16 << 10
	row := mysqlwire.AppendPacket(nil, 7, append([]byte{95}, bytes.Repeat([]byte("x"), 95)...))
	rows := bytes.Repeat(row, 1<<20/len(row))
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			client, server := way(b)
			if _, err := client.Write(command(mysqlwire.ComQuery, "select * from t")); err != nil {
				b.Fatal(err)
			}
			head := numbered([]byte{1}, mysqltest.Column("c"), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0})
			go func() {
				_ = server.SetReadDeadline(time.Now().Add(time.Minute))
				_, _ = server.Read(make([]byte, 100))
				if _, err := server.Write(head); err != nil {
					return
				}
				for {
					for from := 0; from < len(rows); from += piece {
						if _, err := server.Write(rows[from:min(from+piece, len(rows))]); err != nil {
							return
						}
					}
				}
			}()
			if _, err := io.ReadFull(client, make([]byte, len(head))); err != nil {
				b.Fatal(err)
			}
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
