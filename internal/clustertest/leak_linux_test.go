package clustertest_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/clustertest"
	"sallyport/internal/introduction"
)

// TestAProxyLeavesWhomAuthHasLeft has a stranger who says what only proxies say, and then stays: the proxy closes both its
// connections when auth has closed, whatever the stranger does.
func TestAProxyLeavesWhomAuthHasLeft(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	proxy := c.StartProxy(t)
	var stranger net.Conn
	clustertest.Eventually(t, "the proxy is up", func() (err error) {
		stranger, err = net.Dial("tcp", proxy)
		return err
	})
	defer stranger.Close()
	if _, err := io.WriteString(stranger, introduction.Magic+"\xff\xff"); err != nil {
		t.Fatal(err)
	}
	_ = stranger.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := stranger.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("auth said %d bytes, %v", n, err)
	}
	clustertest.Eventually(t, "the proxy has closed the stranger's connection", func() error {
		if held(t, proxy, stranger.LocalAddr().String()) {
			return fmt.Errorf("%s is still held", stranger.LocalAddr())
		}
		return nil
	})
}

// held reports whether a process holds the socket between two addresses; the kernel keeps others for a while.
func held(t *testing.T, local, remote string) bool {
	t.Helper()
	sockets, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sockets)) {
		fields := strings.Fields(line)
		if fields[1] == inKernel(t, local) && fields[2] == inKernel(t, remote) {
			return fields[9] != "0" // inode
		}
	}
	return false
}

// inKernel writes an address as /proc/net/tcp does.
func inKernel(t *testing.T, address string) string {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	ip := a.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}
