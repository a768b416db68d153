package detour_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sallyport/internal/detour"
	"sallyport/internal/mux"
)

func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	const good = "GET /webapi/connectionupgrade HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: alpn\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"one of ours":               {good, 101},
		"with several protocols":    {strings.Replace(good, "alpn\r", "alpn-ping, alpn\r", 1), 101},
		"with compression, offered": {good + "Sec-WebSocket-Extensions: permessage-deflate\r\n", 101},
		"from a page of another":    {good + "Origin: https://evil.example\r\n", 403},
		"from a page of the proxy":  {good + "Origin: https://proxy\r\n", 403},
		"from a page of no origin":  {good + "Origin: null\r\n", 403},
		"with an empty origin":      {good + "Origin:\r\n", 403},
		"of another protocol":       {strings.Replace(good, "alpn\r", "chat\r", 1), 400},
		"of no protocol":            {strings.Replace(good, "Sec-WebSocket-Protocol: alpn\r\n", "", 1), 400},
		"for another upgrade":       {strings.Replace(good, "Upgrade: websocket", "Upgrade: alpn", 1), 426},
		"for no upgrade":            {strings.Replace(good, "Connection: Upgrade\r\n", "", 1), 426},
		"by another method":         {strings.Replace(good, "GET", "POST", 1) + "Content-Length: 0\r\n", 405},
		"of another version":        {strings.Replace(good, "Version: 13", "Version: 8", 1), 400},
		"without a key":             {strings.Replace(good, "MDEyMzQ1Njc4OWFiY2RlZg==", "", 1), 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			listener := mux.NewListener(far.LocalAddr())
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if conn, err := detour.Accept(w, r); err == nil {
					_ = conn.Close()
				}
			})}
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = server.Serve(listener)
			}()
			defer func() {
				_ = near.Close()
				_ = server.Close()
				_ = listener.Close()
				<-done
			}()
			listener.Hand(addressed{far})
			if _, err := io.WriteString(near, c.request+"\r\n"); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(near), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.status || answer.Header.Get("Sec-WebSocket-Extensions") != "" {
				t.Errorf("answered %d, %v", answer.StatusCode, answer.Header)
			}
		})
	}
}
