//go:build unix

package realserver_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"sallyport/internal/realserver"
)

func TestFreePortIsGivenToNobodyElse(t *testing.T) {
	t.Parallel()
	const many = 500 // of some 28,000, so that some would be given twice by chance
	reserved := map[string]bool{}
	for range many {
		port, err := realserver.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		reserved[fmt.Sprintf("127.0.0.1:%d", port)] = true
	}
	if len(reserved) != many {
		t.Errorf("%d ports of %d are different", len(reserved), many)
	}
	for range many {
		other := listen(t, "127.0.0.1:0")
		defer other.Close()
		if reserved[other.Addr().String()] {
			t.Fatalf("%s was given away", other.Addr())
		}
	}
	for address := range reserved {
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("somebody listens at %s: %v", address, err)
		}
	}
	for address := range reserved {
		for range 2 {
			server := listen(t, address)
			client, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_ = client.Close()
			_ = server.Close()
		}
	}
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
