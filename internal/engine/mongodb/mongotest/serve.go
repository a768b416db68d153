package mongotest

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"sallyport/internal/mongowire"
)

// Conn is a connection that is being served.
type Conn struct {
	*tls.Conn
	Server *Server

	account string // of the certificate
	known   bool   // it has logged in
	nextID  int32
}

func (s *Server) serve(raw net.Conn) {
	conn := tls.Server(raw, s.config)
	if conn.Handshake() != nil {
		return
	}
	c := &Conn{Conn: conn, Server: s, nextID: 1000}
	if shown := conn.ConnectionState().PeerCertificates; len(shown) > 0 {
		c.account = shown[0].Subject.CommonName
	}
	for {
		m, err := Read(conn)
		if err != nil {
			return
		}
		if s.options.Trace != nil {
			s.note(func() { fmt.Fprintf(s.options.Trace, "C %s\n", m.JSON()) })
		}
		if s.options.Any != nil && s.options.Any(c, m) {
			continue
		}
		if !c.handle(m) {
			return
		}
	}
}

func (c *Conn) handle(m Message) bool {
	s := c.Server
	switch name := m.Name(); {
	case name == "isMaster" || name == "ismaster" || name == "hello":
		c.Reply(m, c.hello(name))
	case name == "authenticate":
		if s.options.Authenticate == nil || !s.options.Authenticate(c, m) {
			c.LogIn(m)
		}
	case !c.known:
		c.Refuse(m, 13, "command "+name+" requires authentication")
	default:
		s.note(func() { s.seen = append(s.seen, m) })
		if s.options.Command != nil && s.options.Command(c, m) {
			return true
		}
		if m.Flags&mongowire.MoreToCome == 0 {
			c.Reply(m, bson.D{{Key: "ok", Value: 1}})
		}
	}
	return true
}

// Welcome lets an account in that has proven otherwise who it is.
func (c *Conn) Welcome(account string) {
	c.account, c.known = account, true
	c.Server.note(func() { c.Server.logins = append(c.Server.logins, account) })
}

// LogIn lets the account of the certificate in.
func (c *Conn) LogIn(m Message) {
	if c.account == "" {
		c.Refuse(m, 18, "Authentication failed.")
		return
	}
	c.Welcome(c.account)
	c.Reply(m, bson.D{{Key: "dbname", Value: "$external"}, {Key: "user", Value: pkix.Name{CommonName: c.account}.String()}, {Key: "ok", Value: 1}})
}

func (c *Conn) hello(name string) bson.D {
	leader := "isWritablePrimary"
	if name != "hello" {
		leader = "ismaster"
	}
	d := bson.D{
		{Key: "helloOk", Value: true}, {Key: leader, Value: true}, {Key: "maxBsonObjectSize", Value: int32(16 << 20)},
		{Key: "maxMessageSizeBytes", Value: int32(mongowire.MaxMessage)}, {Key: "maxWriteBatchSize", Value: int32(100_000)},
		{Key: "localTime", Value: bson.NewDateTimeFromTime(time.Unix(1_700_000_000, 0))}, {Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)}, {Key: "ok", Value: 1},
	}
	if c.Server.options.Hello != nil {
		d = c.Server.options.Hello(d)
	}
	return d
}

// Reply answers a message with a document.
func (c *Conn) Reply(m Message, doc any) { c.ReplyWith(m.Header.RequestID, 0, doc) }

// Refuse answers a message with an error.
func (c *Conn) Refuse(m Message, code int32, text string) {
	c.Reply(m, bson.D{{Key: "ok", Value: 0}, {Key: "errmsg", Value: text}, {Key: "code", Value: code}})
}

// ReplyWith sends an answer with flags, and returns its number.
func (c *Conn) ReplyWith(to int32, flags uint32, doc any) int32 {
	c.nextID++
	body, err := bson.Marshal(doc)
	if err != nil {
		panic(err)
	}
	if c.Server.options.Trace != nil {
		c.Server.note(func() { fmt.Fprintf(c.Server.options.Trace, "S %s\n", mongowire.AppendJSON(nil, body)) })
	}
	_, _ = c.Write(mongowire.AppendMsg(nil, c.nextID, to, flags, body))
	return c.nextID
}

// Read reads an OP_MSG.
func Read(r io.Reader) (Message, error) {
	raw := make([]byte, mongowire.HeaderSize)
	if _, err := io.ReadFull(r, raw); err != nil {
		return Message{}, err
	}
	size := binary.LittleEndian.Uint32(raw)
	if size < mongowire.HeaderSize || size > mongowire.MaxMessage+1<<20 {
		return Message{}, fmt.Errorf("a message of %d bytes", size)
	}
	raw = append(raw, make([]byte, size-mongowire.HeaderSize)...)
	if _, err := io.ReadFull(r, raw[mongowire.HeaderSize:]); err != nil {
		return Message{}, err
	}
	m := Message{Header: mongowire.ReadHeader(raw), Raw: raw}
	if m.Header.Op != mongowire.OpMsg {
		return m, fmt.Errorf("%s", m.Header.Op)
	}
	err := m.Msg.Parse(raw)
	m.Flags, m.Body = m.Msg.Flags, bson.Raw(m.Msg.Body)
	return m, err
}
