package mux_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"sallyport/internal/mux"
)

// clientHello returns the first flight of a real TLS client.
func clientHello(t testing.TB, name string, protocols ...string) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true}).Handshake()
	}()
	defer client.Close()
	defer server.Close()
	hello, err := mux.ReadHello(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	return hello.Raw
}

func TestHelloIsReadInPieces(t *testing.T) {
	t.Parallel()
	raw := clientHello(t, "ABC.db.Example", "teleport-postgres", "h2")
	for _, size := range []int{1, 7, 100, len(raw)} {
		client, server := net.Pipe()
		go func() {
			for rest := raw; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := client.Write(rest[:min(size, len(rest))]); err != nil {
					return
				}
			}
		}()
		hello, err := mux.ReadHello(server, nil)
		if err != nil {
			t.Fatalf("pieces of %d: %v", size, err)
		}
		if hello.ServerName != "ABC.db.Example" || len(hello.Protocols) != 2 || hello.Protocols[0] != "teleport-postgres" {
			t.Fatalf("pieces of %d: got %+v", size, hello)
		}
		if !bytes.Equal(hello.Raw, raw) {
			t.Fatalf("pieces of %d: bytes were lost", size)
		}
		client.Close()
		server.Close()
	}
}

func TestUnreadGivesEveryByteBack(t *testing.T) {
	t.Parallel()
	raw := clientHello(t, "x.example")
	client, server := net.Pipe()
	go func() {
		_, _ = client.Write(raw[6:])
		_, _ = client.Write([]byte("more"))
		_ = client.Close()
	}()
	hello, err := mux.ReadHello(server, raw[:6])
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(mux.Unread(server, hello.Raw))
	if err != nil {
		t.Fatal(err)
	}
	if want := string(raw) + "more"; string(all) != want {
		t.Fatalf("got %d bytes, want %d", len(all), len(want))
	}
}

func TestHelloIsBounded(t *testing.T) {
	t.Parallel()
	// A handshake message that claims 16 MiB, in records of full size.
	record := append([]byte{0x16, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)
	copy(record[5:], []byte{1, 0xff, 0xff, 0xff})
	client, server := net.Pipe()
	defer server.Close()
	sent := make(chan int, 1)
	go func() {
		total := 0
		for {
			n, err := client.Write(record)
			if total += n; err != nil {
				sent <- total
				return
			}
		}
	}()
	_ = server.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := mux.ReadHello(server, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	server.Close()
	if total := <-sent; total > mux.MaxHello {
		t.Fatalf("read %d bytes", total)
	}
}

func FuzzReadHello(f *testing.F) {
	f.Add(clientHello(f, "a.db.example", "teleport-postgres"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		client, server := net.Pipe()
		defer server.Close()
		go func() {
			_, _ = client.Write(raw)
			_ = client.Close()
		}()
		hello, err := mux.ReadHello(server, nil)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(raw, hello.Raw) {
			t.Fatal("bytes were changed")
		}
	})
}
