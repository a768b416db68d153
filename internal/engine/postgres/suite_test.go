package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, enginetest.Harness{
		Protocol: "postgres",
		New:      func() engine.Engine { return newEngine() },
		Hasty: func() engine.Engine {
			return postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), LargeWait: time.Second})
		},
		Start: func(t *testing.T) enginetest.Server {
			s := &suiteServer{}
			s.Server = pgtest.Start(t, pgtest.Options{Login: s.logIn, Command: s.command})
			return s
		},
		Connect: func(ctx context.Context, address, account, name string) (enginetest.Client, error) {
			conn, err := pgx.Connect(ctx, "postgres://"+account+"@"+address+"/"+name+"?sslmode=disable")
			return suiteClient{conn}, err
		},
		Refusal: func(err error) (string, bool) {
			var refusal *pgconn.PgError
			if !errors.As(err, &refusal) {
				return "", false
			}
			return refusal.Message, refusal.Severity == "FATAL"
		},
		Bad: map[string][]byte{
			"a web request":        []byte("GET / HTTP/1.1\r\n\r\n"),
			"a length of nothing":  {0, 0, 0, 0, 0, 0, 0, 0},
			"a length without end": {0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0},
			"an unknown version":   {0, 0, 0, 9, 0, 9, 0, 0, 0},
			"two requests for TLS": {0, 0, 0, 8, 4, 210, 22, 47, 0, 0, 0, 8, 4, 210, 22, 47},
		},
	})
}

// suiteServer is a pgtest.Server that a test can watch and change.
type suiteServer struct {
	*pgtest.Server
	enginetest.Watched
}

func (s *suiteServer) Addr() string      { return s.Server.Addr }
func (s *suiteServer) Authority() []byte { return s.Server.Authority.CertPEM() }

func (s *suiteServer) Credential(account string) (*cred.Credential, error) {
	return &cred.Credential{User: account}, nil
}

func (s *suiteServer) logIn(c *pgtest.Conn) bool {
	reject := s.Rejection()
	if reject == "" {
		return c.LogIn() == nil
	}
	c.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: reject})
	_ = c.Backend.Flush()
	return false
}

func (s *suiteServer) command(_ *pgtest.Conn, message pgproto3.FrontendMessage) bool {
	if query, ok := message.(*pgproto3.Query); ok {
		s.Arrived(query.String)
	}
	return false
}

type suiteClient struct{ conn *pgx.Conn }

func (c suiteClient) Do(ctx context.Context, command string) error {
	_, err := c.conn.PgConn().Exec(ctx, command).ReadAll()
	return err
}

func (c suiteClient) Stall(context.Context) error {
	conn := c.conn.PgConn()
	if _, err := conn.Conn().Write(frame('Q', strings.Repeat("x", 4<<20))[:2<<20]); err != nil {
		return err
	}
	message, err := conn.Frontend().Receive()
	if failed, ok := message.(*pgproto3.ErrorResponse); ok {
		return pgconn.ErrorResponseToPgError(failed)
	}
	return err
}

func (c suiteClient) Abandon() error { return c.conn.PgConn().Conn().Close() }
func (c suiteClient) Close() error   { return c.conn.Close(context.Background()) }
