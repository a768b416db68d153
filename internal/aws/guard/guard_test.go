package guard_test

import (
	"context"
	"net"
	"testing"
	"time"

	"sallyport/internal/aws/guard"
	"sallyport/internal/fault"
)

// TestNothingIsConnectedTo dials addresses where something listens, by names and in all spellings.
func TestNothingIsConnectedTo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 100)
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	dialer := guard.Dialer(net.Dialer{Timeout: 5 * time.Second})
	for _, host := range []string{"localhost", "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::", "::1", "127.1.2.3"} {
		conn, err := dialer.DialContext(context.Background(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			_ = conn.Close()
		}
		if !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", host, err)
		}
	}
	// The guard does nothing else: the same listener is there for a dialer without it.
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = (<-accepted).Close()
	_ = listener.Close()
	for range accepted {
		t.Error("a connection was made")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, address string
		allowed       bool
	}{
		{"a private address", "10.1.2.3:5432", true},
		{"a public address", "52.1.2.3:5432", true},
		{"a private address of IPv6", "[fd12:3456::1]:5432", true},
		{"the instance's metadata", "169.254.169.254:80", false},
		{"credentials of containers", "169.254.170.2:80", false},
		{"the same in the clothes of IPv6", "[::ffff:169.254.169.254]:80", false},
		{"the same through NAT64", "[64:ff9b::a9fe:a9fe]:80", false},
		{"the instance's metadata over IPv6", "[fd00:ec2::254]:80", false},
		{"this link", "[fe80::1]:5432", false},
		{"a name", "localhost:5432", false},
		{"nothing", "", false},
	} {
		if err := guard.Check(test.address); (err == nil) != test.allowed || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
