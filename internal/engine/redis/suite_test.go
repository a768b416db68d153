package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, enginetest.Harness{
		Protocol: "redis",
		Routed:   true,
		New:      func() engine.Engine { return newEngine() },
		Hasty: func() engine.Engine {
			return redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), LargeWait: time.Second})
		},
		Start: func(t *testing.T) enginetest.Server {
			s := &suiteServer{}
			s.Server = redistest.Start(t, s.answer)
			return s
		},
		Connect: func(ctx context.Context, address, account, _ string) (enginetest.Client, error) {
			var c suiteClient
			dial := redigo.DialContextFunc(func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
				c.raw, err = (&net.Dialer{}).DialContext(ctx, network, addr)
				return c.raw, err
			})
			var err error
			c.Conn, err = redigo.DialContext(ctx, "tcp", address, dial, redigo.DialUsername(account), redigo.DialPassword("secret"))
			return c, err
		},
		Refusal: func(err error) (string, bool) {
			refusal, ok := errors.AsType[redigo.Error](err)
			return string(refusal), ok
		},
		Command: func(recorded string) string { return strings.Trim(strings.TrimPrefix(recorded, "ECHO "), `"`) },
		Bad: map[string][]byte{
			"a web request":            []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
			"a web form":               []byte("POST / HTTP/1.1\r\n\r\n"),
			"an argument without end":  []byte("*1\r\n$9223372036854775807\r\n"),
			"arguments without end":    []byte("*2147483647\r\n"),
			"a length below zero":      []byte("*1\r\n$-2\r\n"),
			"TLS":                      {0x16, 3, 1, 0, 0xa, '\n'},
			"something else":           []byte("*1\r\n:1\r\n"),
			"a password that is large": []byte("*2\r\n$4\r\nAUTH\r\n$60000000\r\n" + strings.Repeat("x", 300_000)),
		},
	})
}

// suiteServer is a server that a test can watch and change.
type suiteServer struct {
	*redistest.Server
	enginetest.Watched
}

func (s *suiteServer) Addr() string      { return s.Server.Addr }
func (s *suiteServer) Authority() []byte { return s.Server.Authority.CertPEM() }

func (s *suiteServer) Credential(account string) (*cred.Credential, error) {
	return &cred.Credential{User: account}, nil
}

func (s *suiteServer) answer(args []string) []byte {
	switch args[0] {
	case "AUTH":
		if reject := s.Rejection(); reject != "" {
			return resp.AppendError(nil, "WRONGPASS", reject)
		}
	case "ECHO":
		s.Arrived(args[1])
	}
	if args[0] == "CLIENT" {
		return []byte(":7\r\n")
	}
	return resp.AppendSimple(nil, "OK")
}

type suiteClient struct {
	redigo.Conn
	raw net.Conn
}

func (c suiteClient) Do(ctx context.Context, command string) error {
	_, err := redigo.DoContext(c.Conn, ctx, "ECHO", command)
	return err
}

func (c suiteClient) Stall(ctx context.Context) error {
	if _, err := c.raw.Write(resp.AppendCommand(nil, "ECHO", strings.Repeat("x", 4<<20))[:2<<20]); err != nil {
		return err
	}
	_, err := redigo.ReceiveContext(c.Conn, ctx)
	return err
}

func (c suiteClient) Abandon() error { return c.Close() }
