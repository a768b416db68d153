package mongodb_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/mongowire"
)

func newEngine() *mongodb.Engine {
	return mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, enginetest.Harness{
		Protocol: "mongodb",
		New:      func() engine.Engine { return newEngine() },
		Hasty: func() engine.Engine {
			return mongodb.New(mongodb.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), LargeWait: time.Second})
		},
		Routed:   true,
		Farewell: "(*relay).farewell",
		Start: func(t *testing.T) enginetest.Server {
			s := &suiteServer{t: t}
			s.Server = mongotest.Start(t, mongotest.Options{Authenticate: s.authenticate, Command: s.command})
			return s
		},
		Connect: func(ctx context.Context, address, _, name string) (enginetest.Client, error) {
			c, err := dial(ctx, address)
			if err != nil {
				return nil, err
			}
			c.name = name
			err = c.enter(ctx, bson.D{{Key: "isMaster", Value: 1}, {Key: "$db", Value: "admin"}})
			return suiteClient{c}, err
		},
		Refusal: func(err error) (string, bool) {
			refused, ok := errors.AsType[*refusal](err)
			if !ok {
				return "", false
			}
			return refused.message, refused.code != 0
		},
		Command: func(recorded string) string {
			var command struct{ Distinct string }
			if err := bson.UnmarshalExtJSON([]byte(recorded), false, &command); err != nil {
				return err.Error()
			}
			return command.Distinct
		},
		Bad: map[string][]byte{
			"a web request":              []byte("GET / HTTP/1.1\r\n\r\n"),
			"a length of nothing":        make([]byte, 16),
			"a negative length":          header(-1, 2013),
			"a length without end":       header(1<<31-1, 2013),
			"no more than a header":      header(16, 2013),
			"an opcode of long ago":      append(header(20, 2002), 0, 0, 0, 0),
			"an unknown opcode":          append(header(20, 4711), 0, 0, 0, 0),
			"a compressed message":       append(header(25, 2012), make([]byte, 9)...),
			"a query without a document": append(header(26, 2004), []byte("\x00\x00\x00\x00a.$cmd")...),
		},
	})
}

// suiteServer is a mongotest.Server that a test can watch and change.
type suiteServer struct {
	*mongotest.Server
	t *testing.T
	enginetest.Watched
}

func (s *suiteServer) Addr() string      { return s.Server.Addr }
func (s *suiteServer) Authority() []byte { return s.Server.Authority.CertPEM() }

func (s *suiteServer) Credential(account string) (*cred.Credential, error) {
	return &cred.Credential{User: account, Certificate: s.ClientCertificate(s.t, account)}, nil
}

func (s *suiteServer) authenticate(c *mongotest.Conn, m mongotest.Message) bool {
	reject := s.Rejection()
	if reject != "" {
		c.Refuse(m, 18, reject)
	}
	return reject != ""
}

func (s *suiteServer) command(_ *mongotest.Conn, m mongotest.Message) bool {
	if command, err := m.Body.LookupErr("distinct"); err == nil {
		s.Arrived(command.StringValue())
	}
	return false
}

type suiteClient struct{ *rawClient }

func (c suiteClient) Do(ctx context.Context, command string) error {
	_, err := c.run(ctx, bson.D{{Key: "distinct", Value: command}, {Key: "key", Value: "k"}, {Key: "$db", Value: c.name}})
	return err
}

func (c suiteClient) Stall(ctx context.Context) error {
	body, err := bson.Marshal(bson.D{{Key: "distinct", Value: strings.Repeat("x", 4<<20)}})
	if err != nil {
		return err
	}
	_, err = c.exchange(ctx, mongowire.AppendMsg(nil, 7, 0, 0, body)[:2<<20])
	return err
}

func (c suiteClient) Abandon() error { return c.conn.Close() }
func (c suiteClient) Close() error   { return c.conn.Close() }

// rawClient is a client that says just what it is told. What it sends is made by the driver's library.
type rawClient struct {
	conn net.Conn
	name string
	id   int32
}

// refusal is an answer of ours or of the server that is an error.
type refusal struct {
	code    int32
	message string
}

func (r *refusal) Error() string { return r.message }

func dial(ctx context.Context, address string) (*rawClient, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	return &rawClient{conn: conn}, err
}

// run sends a command and returns the answer.
func (c *rawClient) run(ctx context.Context, command bson.D) (bson.Raw, error) {
	body, err := bson.Marshal(command)
	if err != nil {
		return nil, err
	}
	c.id++
	return c.exchange(ctx, mongowire.AppendMsg(nil, c.id, 0, 0, body))
}

// enter says hello, and returns why it is refused: what follows such a hello is, or the hello itself.
func (c *rawClient) enter(ctx context.Context, hello bson.D) error {
	said, err := c.run(ctx, hello)
	if err != nil {
		return err
	}
	if _, err := said.LookupErr("refusal"); err != nil {
		return nil // it is not refused
	}
	_, err = c.run(ctx, bson.D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}})
	return errors.Join(err, c.conn.Close())
}

func (c *rawClient) exchange(ctx context.Context, message []byte) (bson.Raw, error) {
	deadline, _ := ctx.Deadline()
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	// A session that has ended may have closed the connection already, and its last answer still be there to read.
	_, writeErr := c.conn.Write(message)
	m, err := mongotest.Read(c.conn)
	if err != nil {
		return nil, errors.Join(writeErr, err)
	}
	return m.Body, failureIn(m.Body)
}

func failureIn(body bson.Raw) error {
	if ok, _ := body.Lookup("ok").AsInt64OK(); ok == 1 {
		return nil
	}
	code, _ := body.Lookup("code").AsInt64OK()
	text, _ := body.Lookup("errmsg").StringValueOK()
	return &refusal{int32(code), text}
}

func header(size, op int32) []byte {
	b := make([]byte, 16)
	for i, n := range []int32{size, 7, 0, op} {
		for j := range 4 {
			b[4*i+j] = byte(uint32(n) >> (8 * j))
		}
	}
	return b
}
