package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"testing"

	"github.com/spf13/cobra"

	"sallyport/internal/client"
	"sallyport/internal/client/localproxy"
)

// watched tells when a listener is closed.
type watched struct {
	net.Listener
	closed chan struct{}
}

func (w *watched) Close() error {
	select {
	case <-w.closed:
	default:
		close(w.closed)
	}
	return w.Listener.Close()
}

// TestLastWordsArrive has a client write something and end before anybody has read it, which the database gets all the same.
func TestLastWordsArrive(t *testing.T) {
	t.Parallel()
	agent, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*certify(t, &x509.Certificate{}, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		conn, err := agent.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer conn.Close()
		words, _ := io.ReadAll(conn)
		got <- string(words)
	}()
	listener, err := localproxy.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	late := &watched{listener, make(chan struct{})}
	proxy := localproxy.Config{
		Protocol: "redis", Logger: slog.New(slog.DiscardHandler),
		TLS: func(context.Context) (*tls.Config, error) { return &tls.Config{InsecureSkipVerify: true}, nil },
		Dial: func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
			<-late.closed // the client has ended
			conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", agent.Addr().String())
			if err != nil {
				return nil, err
			}
			return conn.(*tls.Conn), nil
		},
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	writer := &program{arguments: func(_ string, address net.Addr, _ client.Route) []string {
		host, port, _ := net.SplitHostPort(address.String())
		return []string{"-c", "printf 'last words' >/dev/tcp/" + host + "/" + port}
	}}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	if err := runClient(cmd, writer, bash, client.Route{Protocol: "redis"}, proxy, late); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	_ = agent.Close()
	if words := <-got; words != "last words" {
		t.Errorf("the database got %q", words)
	}
}
