package knock_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/knock"
	"sallyport/internal/realserver"
)

// TestNobodyIsTold knocks many times and then comes for real: that is the first connection the listener hears of.
func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	at := knock.Knocker(&net.Dialer{})
	const knocks = 50
	for range knocks {
		if err := at(t.Context(), listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	visitor, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer visitor.Close()
	for strangers := 0; ; strangers++ {
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		from := conn.RemoteAddr().String()
		_ = conn.Close()
		if from == visitor.LocalAddr().String() {
			if strangers > knocks/2 { // a busy machine may be too slow to hold back now and then
				t.Errorf("%d of %d knocks came as visitors", strangers, knocks)
			}
			return
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	port, err := realserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	if err := knock.Knocker(&net.Dialer{})(t.Context(), fmt.Sprint("127.0.0.1:", port)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("at a closed port: %v", err)
	}
}

// TestTheDialersOwnChecksHold: what the dialer refuses is not knocked at.
func TestTheDialersOwnChecksHold(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	refused := errors.New("not there")
	dialer := &net.Dialer{Timeout: time.Second, Control: func(string, string, syscall.RawConn) error { return refused }}
	if err := knock.Knocker(dialer)(t.Context(), listener.Addr().String()); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}
