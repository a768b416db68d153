package mysql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/mysqlwire"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, enginetest.Harness{
		Protocol: "mysql",
		New:      func() engine.Engine { return newEngine() },
		Hasty: func() engine.Engine {
			return mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), LargeWait: time.Second})
		},
		Start: func(t *testing.T) enginetest.Server {
			s := &suiteServer{}
			s.Server = mysqltest.Start(t, mysqltest.Options{Login: s.logIn, Command: s.command})
			return s
		},
		Connect: func(ctx context.Context, address, account, name string) (enginetest.Client, error) {
			c := &suiteClient{}
			cfg := client.NewConfig()
			cfg.Net, cfg.Addr, cfg.User, cfg.DBName, cfg.Logger = "tcp", address, account, name, &client.NopLogger{}
			cfg.DialFunc = func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
				c.raw, err = (&net.Dialer{}).DialContext(ctx, network, addr)
				return c.raw, err
			}
			connector, err := client.NewConnector(cfg)
			if err != nil {
				return nil, err
			}
			c.Conn, err = connector.Connect(ctx)
			return c, err
		},
		Refusal: func(err error) (string, bool) {
			refusal, ok := errors.AsType[*client.MySQLError](err)
			if !ok {
				return "", false
			}
			return refusal.Message, true
		},
		Bad: map[string][]byte{
			"a web request":           []byte("GET / HTTP/1.1\r\n\r\n"),
			"an empty packet":         {0, 0, 0, 1},
			"a length without end":    {0xff, 0xff, 0xff, 1},
			"a wrong number":          mysqlwire.AppendPacket(nil, 7, make([]byte, 40)),
			"a protocol of long ago":  {5, 0, 0, 1, 0x0d, 0, 0, 0, 0x40},
			"a request for TLS":       mysqlwire.AppendPacket(nil, 1, (&mysqlwire.HandshakeResponse{Flags: mysqlwire.Protocol41 | mysqlwire.TLS}).AppendTLSRequest(nil)),
			"a name without an end":   mysqlwire.AppendPacket(nil, 1, append((&mysqlwire.HandshakeResponse{Flags: mysqlwire.Protocol41}).AppendTLSRequest(nil), 'a')),
			"a proof without its end": mysqlwire.AppendPacket(nil, 1, append((&mysqlwire.HandshakeResponse{Flags: mysqlwire.Protocol41 | mysqlwire.SecureConnection}).AppendTLSRequest(nil), 'a', 0, 200)),
		},
	})
}

// suiteServer is a mysqltest.Server that a test can watch and change.
type suiteServer struct {
	*mysqltest.Server
	enginetest.Watched
}

func (s *suiteServer) Addr() string      { return s.Server.Addr }
func (s *suiteServer) Authority() []byte { return s.Server.Authority.CertPEM() }

func (s *suiteServer) Credential(account string) (*cred.Credential, error) {
	return &cred.Credential{User: account}, nil
}

func (s *suiteServer) logIn(c *mysqltest.Conn) bool {
	reject := s.Rejection()
	if reject == "" {
		return c.OK() == nil
	}
	_ = c.Fail(1045, "28000", reject)
	return false
}

func (s *suiteServer) command(_ *mysqltest.Conn, command mysqlwire.Command, body []byte) bool {
	if command == mysqlwire.ComQuery {
		s.Arrived(string(body))
	}
	return false
}

type suiteClient struct {
	driver.Conn
	raw net.Conn
}

func (c *suiteClient) Do(ctx context.Context, command string) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, command, nil)
	return err
}

func (c *suiteClient) Stall(context.Context) error {
	if _, err := c.raw.Write(command(mysqlwire.ComQuery, strings.Repeat("x", 4<<20))[:2<<20]); err != nil {
		return err
	}
	packet, err := io.ReadAll(c.raw)
	if err != nil {
		return err
	}
	refused, err := mysqlwire.ParseError(packet[mysqlwire.HeaderSize:])
	if err != nil {
		return err
	}
	return &client.MySQLError{Number: refused.Code, Message: refused.Message}
}

func (c *suiteClient) Abandon() error { return c.raw.Close() }
