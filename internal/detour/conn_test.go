package detour_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBytesGoThroughBothWays(t *testing.T) {
	t.Parallel()
	client, server := pair(t)
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	var wg sync.WaitGroup
	for _, one := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
		wg.Go(func() { // in pieces of every size from 1 on
			for rest, size := data, 1; len(rest) > 0; size++ {
				n, err := one.from.Write(rest[:min(size*7, len(rest))])
				if err != nil {
					t.Errorf("writing: %v", err)
					return
				}
				rest = rest[n:]
			}
			if err := one.from.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Errorf("ending: %v", err)
			}
		})
		wg.Go(func() {
			got, err := io.ReadAll(one.to)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
}

func TestOneDirectionEndsWithoutTheOther(t *testing.T) {
	t.Parallel()
	client, server := pair(t)
	if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("read %d, %v", n, err)
		}
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("a write after the end of the direction: %v", err)
	}
	if _, err := server.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "still here" {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestCloseIsReadAsAnEnd(t *testing.T) {
	t.Parallel()
	client, server := pair(t)
	if _, err := client.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(server); err != nil || string(got) != "last words" {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("reading what is closed: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	past := time.Unix(1, 0)
	t.Run("a read that waits is ended", func(t *testing.T) {
		t.Parallel()
		client, _ := pair(t)
		ended := make(chan error, 1)
		go func() {
			_, err := client.Read(make([]byte, 1))
			ended <- err
		}()
		_ = client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a deadline that passed while nobody read can be taken back", func(t *testing.T) {
		t.Parallel()
		client, server := pair(t)
		_ = client.SetDeadline(past)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write: %v", err)
		}
		_ = client.SetDeadline(time.Time{})
		echo(t, client, server)
	})
	t.Run("a deadline of writes leaves reads alone, as TLS needs it to say goodbye", func(t *testing.T) {
		t.Parallel()
		client, server := pair(t)
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(client, make([]byte, 5))
			read <- err
		}()
		_ = client.SetWriteDeadline(past)
		if _, err := server.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a deadline that is moved does not pass", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := pipePair(t)
			_ = client.SetDeadline(time.Now().Add(time.Second))
			_ = client.SetDeadline(time.Now().Add(time.Hour))
			time.Sleep(2 * time.Second)
			echo(t, client, server)
		})
	})
}

// echo has the client's bytes come back.
func echo(t *testing.T, client, server net.Conn) {
	t.Helper()
	go func() { _, _ = io.CopyN(server, server, 5) }()
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "hello" {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestSilentConnectionIsKeptAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, wire := pipePair(t)
		read := make(chan error, 2)
		for _, conn := range []net.Conn{client, server} {
			go func() {
				_, err := io.ReadFull(conn, make([]byte, 5))
				read <- err
			}()
		}
		// Both sides speak, because some balancers look at one direction only.
		before := [2]int64{wire[0].written.Load(), wire[1].written.Load()}
		for range 20 {
			time.Sleep(31 * time.Second)
			after := [2]int64{wire[0].written.Load(), wire[1].written.Load()}
			if after[0] == before[0] || after[1] == before[1] {
				t.Fatalf("nothing was sent within half a minute: %d, %d", after[0]-before[0], after[1]-before[1])
			}
			before = after
		}
		for _, conn := range []net.Conn{client, server} {
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := <-read; err != nil {
				t.Fatal(err) // nothing was read before, or something else
			}
		}
	})
}

// TestStuckWriteIsWaitedFor has a reader that is slow by minutes, which must not end the connection.
func TestStuckWriteIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := pipePair(t)
		data := bytes.Repeat([]byte("slow "), 10_000)
		written := make(chan error, 1)
		go func() {
			_, err := server.Write(data)
			written <- err
		}()
		time.Sleep(10 * time.Minute)
		got := make([]byte, len(data))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("reading: %v", err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		echo(t, client, server)
	})
}

func TestCloseEndsAStuckWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, server, _ := pipePair(t)
		written := make(chan error, 1)
		go func() {
			_, err := server.Write(make([]byte, 1<<20))
			written <- err
		}()
		time.Sleep(time.Minute) // a message that keeps the connection alive waits behind it
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-written; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("got %v", err)
		}
	})
}

// countedConn counts what is written to it.
type countedConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}
