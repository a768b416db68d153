package enginetest

import (
	"io"
	"net"
	"testing"
)

// Way connects a client and a server for a benchmark.
type Way func(b *testing.B) (client, server net.Conn)

// Ways are what benchmarks compare: the plain connection, one through a bare copy of each direction, and one through
// the relay. None has TLS, so that the difference is the relay's. Relay gets a relay's two connections, and returns what
// runs it until one of them ends.
func Ways(relay func(b *testing.B, client, server net.Conn) (run func())) map[string]Way {
	return map[string]Way{
		"direct":  pair,
		"copied":  between(copied),
		"relayed": between(relay),
	}
}

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

func between(relay func(b *testing.B, client, server net.Conn) (run func())) Way {
	return func(b *testing.B) (client, server net.Conn) {
		b.Helper()
		client, ours := pair(b)
		theirs, server := pair(b)
		run := relay(b, ours, theirs)
		done := make(chan struct{})
		go func() {
			defer close(done)
			run()
		}()
		b.Cleanup(func() {
			_ = client.Close()
			_ = server.Close()
			<-done
		})
		return client, server
	}
}

func copied(_ *testing.B, client, server net.Conn) (run func()) {
	return func() {
		done := make(chan struct{})
		// Hidden behind an interface, so that the kernel does not copy by itself.
		go func() {
			defer close(done)
			_, _ = io.Copy(struct{ io.Writer }{client}, struct{ io.Reader }{server})
		}()
		_, _ = io.Copy(struct{ io.Writer }{server}, struct{ io.Reader }{client})
		<-done
	}
}

// Exchange measures questions of the client, each of which the server answers.
func Exchange(b *testing.B, client, server net.Conn, question, answer []byte) {
	b.Helper()
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
}

// Stream measures how the client receives a chunk that the server sends again and again, in pieces of a size.
func Stream(b *testing.B, client, server net.Conn, chunk []byte, piece int) {
	b.Helper()
	go func() {
		for {
			for from := 0; from < len(chunk); from += piece {
				if _, err := server.Write(chunk[from:min(from+piece, len(chunk))]); err != nil {
					return
				}
			}
		}
	}()
	buf := make([]byte, len(chunk))
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(client, buf); err != nil {
			b.Fatal(err)
		}
	}
}
