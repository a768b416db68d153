package splice_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"sallyport/internal/splice"
)

// pair returns both ends of a TCP connection.
func pair(t testing.TB) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed := make(chan net.Conn, 1)
	go func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Error(err)
		}
		dialed <- conn
	}()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client := <-dialed
	t.Cleanup(func() { client.Close(); accepted.Close() })
	return client.(*net.TCPConn), accepted.(*net.TCPConn)
}

// joined returns two connections with a Join between them, and a function that waits for its end.
func joined(t testing.TB) (left, right *net.TCPConn, wait func() (int64, int64, error)) {
	t.Helper()
	left, a := pair(t)
	right, b := pair(t)
	type result struct {
		ab, ba int64
		err    error
	}
	done := make(chan result, 1)
	go func() {
		ab, ba, err := splice.Join(a, b)
		done <- result{ab, ba, err}
	}()
	return left, right, func() (int64, int64, error) { r := <-done; return r.ab, r.ba, r.err }
}

func TestBytesGoBothWaysAndHalfClosePasses(t *testing.T) {
	t.Parallel()
	left, right, wait := joined(t)
	request, answer := make([]byte, 3<<20), make([]byte, 5<<20)
	_, _ = rand.Read(request)
	_, _ = rand.Read(answer)
	var wg sync.WaitGroup
	wg.Go(func() {
		got, err := io.ReadAll(right) // ends by the half-close alone
		if err != nil || !bytes.Equal(got, request) {
			t.Errorf("request: %d bytes, %v", len(got), err)
		}
		if _, err := right.Write(answer); err != nil {
			t.Error(err)
		}
		right.Close()
	})
	if _, err := left.Write(request); err != nil {
		t.Fatal(err)
	}
	if err := left.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(left)
	if err != nil || !bytes.Equal(got, answer) {
		t.Fatalf("answer: %d bytes, %v", len(got), err)
	}
	wg.Wait()
	ab, ba, err := wait()
	if ab != int64(len(request)) || ba != int64(len(answer)) || err != nil {
		t.Fatalf("counted %d and %d, %v", ab, ba, err)
	}
}

func TestResetOfOneSideEndsBoth(t *testing.T) {
	t.Parallel()
	left, right, wait := joined(t)
	_ = left.SetLinger(0)
	left.Close()
	_ = right.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := right.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Fatalf("other side: %v", err)
	}
	right.Close()
	wait()
}

func TestSlowReaderHoldsTheWriterBack(t *testing.T) {
	t.Parallel()
	left, right, wait := joined(t)
	_ = left.SetWriteDeadline(time.Now().Add(time.Second))
	sent := 0
	for chunk := make([]byte, 1<<20); ; {
		n, err := left.Write(chunk)
		if sent += n; err != nil {
			break
		}
		if sent > 256<<20 {
			t.Fatal("writer was never held back")
		}
	}
	_ = left.CloseWrite()
	got, err := io.Copy(io.Discard, right)
	if err != nil || got != int64(sent) {
		t.Fatalf("reader got %d of %d, %v", got, sent, err)
	}
	right.Close()
	wait()
}

func BenchmarkJoin(b *testing.B) {
	left, right, _ := joined(b)
	go func() { _, _ = io.Copy(io.Discard, right) }()
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := left.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRelayEndsWhenEitherSideIsGone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(client, server *net.TCPConn)
		want string // what the client reads
	}{
		"the server ends": {func(_, server *net.TCPConn) { _ = server.CloseWrite() }, "bye"},
		"the client ends, then the server": {func(client, server *net.TCPConn) {
			_ = client.CloseWrite()
			_, _ = io.ReadAll(server)
			_, _ = server.Write([]byte("!"))
			_ = server.Close()
		}, "bye!"},
		"the client is reset": {func(client, _ *net.TCPConn) {
			_ = client.SetLinger(0)
			_ = client.Close()
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, near := pair(t)
			far, server := pair(t)
			done := make(chan error, 1)
			go func() { done <- splice.Relay(near, far) }()
			if _, err := server.Write([]byte("bye")); err != nil {
				t.Fatal(err)
			}
			test.end(client, server)
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("relay failed: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the relay goes on")
			}
			if got, _ := io.ReadAll(client); string(got) != test.want {
				t.Errorf("the client read %q, want %q", got, test.want)
			}
		})
	}
}
