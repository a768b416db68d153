package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

const (
	loginMessages = 10 // that a database may ask or tell before it is ready
	loginPacket   = 64 << 10
)

// backend is a connection to the database that is ready for commands.
type backend struct {
	conn       net.Conn
	connection uint32 // its number in the server
	version    string // that the server claims
	ready      []byte // the OK that ended the login
	account    string // name@host, as the server has it; empty when it does not tell
}

// logIn opens TLS on the way to the database and logs in there with the account that was authorised.
func (e *Engine) logIn(ctx context.Context, up *session.Upstream, db *resource.Database, h *hello) (b *backend, err error) {
	var g *mysqlwire.Greeting
	err = engine.LogIn(ctx, up.Conn, func(ctx context.Context) error {
		if g, err = readGreeting(up.Conn, db.InAWS()); err == nil {
			b, err = e.answer(ctx, up, db, h, g)
		}
		return explainLogin(up, h.want.Name, err)
	})
	if g == nil && errors.Is(err, engine.ErrLate) {
		err = silent(err)
	}
	return b, err
}

// answer goes on with a login after the greeting.
func (e *Engine) answer(ctx context.Context, up *session.Upstream, db *resource.Database, h *hello, g *mysqlwire.Greeting) (*backend, error) {
	p := answerTo(g, up, h)
	request := mysqlwire.AppendPacket(nil, 1, p.AppendTLSRequest(nil))
	if _, err := up.Conn.Write(request); err != nil {
		return nil, fmt.Errorf("asking for TLS: %w", err)
	}
	conn, err := up.StartTLS(ctx)
	if err != nil {
		return nil, err
	}
	e.servers.note(db, g)
	// LongPassword means nothing but that no flags of MariaDB follow.
	if missing := h.flags &^ (g.Flags | mysqlwire.LongPassword); missing != 0 {
		return nil, fault.Wrap(fault.ConnectionProblem, fmt.Errorf("flags %#x are missing", uint64(missing)), "%s", unable(h))
	}
	l := &login{backend: backend{conn: conn, connection: g.Connection, version: g.Version}, up: up, sequence: 2}
	if err := l.run(g, p); err != nil {
		return nil, err
	}
	if !db.InAWS() { // where an account has to be one of IAM, or of a proxy
		if err := l.identify(); err != nil {
			return nil, err
		}
	}
	return &l.backend, nil
}

// unable says what to do when the database cannot do what was agreed on with the client.
func unable(h *hello) string {
	if h.greeted {
		return "the database lacks abilities that the proxy has promised to the client; use tsh proxy db --tunnel, where clients are greeted as the database does"
	}
	return "the database server is another one than at the last login; connect again"
}

// readGreeting reads the first packet of the database, and nothing behind it. It comes from anybody, as it comes before
// TLS: texts in it are not shown. Those in AWS all have TLS on.
func readGreeting(conn net.Conn, inAWS bool) (*mysqlwire.Greeting, error) {
	payload, sequence, err := mysqlwire.ReadPacket(conn, loginPacket)
	switch {
	case isGone(err):
		return nil, fmt.Errorf("waiting for the greeting: %w", err)
	case err != nil, sequence != 0, len(payload) == 0:
		return nil, notMySQL(err)
	case payload[0] == mysqlwire.HeaderError:
		return nil, turnedAway(payload)
	}
	g, err := mysqlwire.ParseGreeting(payload)
	if err != nil {
		return nil, notMySQL(err)
	}
	const needed = mysqlwire.Protocol41 | mysqlwire.SecureConnection | mysqlwire.PluginAuth
	switch {
	case g.Flags&mysqlwire.TLS == 0 && inAWS:
		return nil, fault.New(fault.ConnectionProblem, "the database does not offer TLS, which is needed; check that its address leads to the database itself, and to no other port")
	case g.Flags&mysqlwire.TLS == 0:
		return nil, fault.New(fault.ConnectionProblem, "the database does not offer TLS, which is needed; set ssl_cert, ssl_key and ssl_ca in its configuration")
	case g.Flags&needed != needed, len(g.Nonce) != mysqlwire.NonceSize:
		return nil, fault.New(fault.ConnectionProblem, "the database is older than MySQL 5.5 and MariaDB 5.5, which are the oldest that can be used; upgrade it")
	}
	return g, nil
}

func isGone(err error) bool { return err != nil && (isNetwork(err) || isEOF(err)) }

// silent is a database that lets its client speak first, as servers of most other protocols do, or has not come to greet.
func silent(cause error) error {
	return fault.Wrap(fault.ConnectionProblem, cause, "the database did not greet the agent within %s, which MySQL and MariaDB do before anything else; check that its address leads to one of them, and its load", engine.LoginTimeout)
}

func notMySQL(cause error) error {
	return fault.Wrap(fault.ConnectionProblem, cause, "the database does not greet as MySQL does; check that its address leads to a server of MySQL or MariaDB")
}

// turnedAway puts an error message in place of a greeting into our own words.
func turnedAway(payload []byte) error {
	const tooMany, blocked, notAllowed = 1040, 1129, 1130
	e, err := mysqlwire.ParseError(payload)
	if err != nil {
		return notMySQL(err)
	}
	cause := fmt.Errorf("error %d before TLS", e.Code)
	switch e.Code {
	case tooMany:
		return fault.Wrap(fault.ConnectionProblem, cause, "the database has too many connections; try again later, or raise its max_connections")
	case blocked, notAllowed:
		return fault.Wrap(fault.ConnectionProblem, cause, "the database lets no account in from the address of the agent; check the hosts of its accounts, and unblock the agent with FLUSH HOSTS")
	default:
		return fault.Wrap(fault.ConnectionProblem, cause, "the database turned the agent away with error %d before TLS; look into its log", e.Code)
	}
}

// answerTo makes our answer to a database's greeting. There is no secret in it.
func answerTo(g *mysqlwire.Greeting, up *session.Upstream, h *hello) *mysqlwire.HandshakeResponse {
	p := &mysqlwire.HandshakeResponse{
		Flags:     h.flags | mysqlwire.Protocol41 | mysqlwire.TLS | mysqlwire.SecureConnection | mysqlwire.PluginAuth,
		MaxPacket: h.maxPacket, Collation: h.collation, User: up.User, Database: h.want.Name, Method: g.Method, Attributes: h.attributes,
	}
	if h.want.Name != "" {
		p.Flags |= mysqlwire.ConnectWithDB
	}
	if len(h.attributes) > 0 {
		p.Flags |= g.Flags & mysqlwire.ConnectAttrs
	}
	p.Flags |= g.Flags & mysqlwire.LongAuthData
	return p
}

// explainLogin adds to an error of the login what to do.
func explainLogin(up *session.Upstream, name string, err error) error {
	if refused, ok := errors.AsType[*refusedLogin](err); ok {
		refused.advice = up.Advice(cred.Refusal{Code: refused.State, Number: refused.Code, Message: refused.Message, Method: refused.method})
		if refused.advice == "" && up.Password == "" { // the certificate is all that it is shown
			refused.advice = adviceFor(&refused.ServerError, up.User, name)
		}
		return err
	}
	return engine.ExplainLogin(up, err)
}

// login is the conversation behind TLS until the database is ready.
type login struct {
	backend
	up       *session.Upstream
	sequence byte
	method   string // that goes on
	switched bool   // the database has asked for another one than it had named
	proven   bool   // the password was sent as it is
}

func (l *login) send(payload []byte) error {
	_, err := l.conn.Write(mysqlwire.AppendPacket(nil, l.sequence, payload))
	l.sequence++
	return err
}

func (l *login) run(g *mysqlwire.Greeting, p *mysqlwire.HandshakeResponse) error {
	if l.method = g.Method; !initial(l.method) {
		p.Method, l.method = mysqlwire.NativePassword, mysqlwire.NativePassword
	}
	proof, err := l.proof(l.method, g.Nonce)
	if err != nil {
		return err
	}
	p.Proof = proof
	if err := l.send(p.Append(nil)); err != nil {
		return fmt.Errorf("sending the account: %w", err)
	}
	for range loginMessages {
		payload, sequence, err := mysqlwire.ReadPacket(l.conn, loginPacket)
		if err != nil {
			return fmt.Errorf("reading the answer to the login: %w", err)
		}
		if sequence != l.sequence || len(payload) == 0 {
			return unexpectedInLogin(fmt.Errorf("packet %d of %d bytes", sequence, len(payload)))
		}
		l.sequence++
		if done, err := l.answer(payload); done || err != nil {
			return err
		}
	}
	return fault.New(fault.ConnectionProblem, "the database sent too many packets before it was ready; check that its address leads to a server of MySQL or MariaDB")
}

func (l *login) answer(payload []byte) (done bool, err error) {
	switch payload[0] {
	case mysqlwire.HeaderOK:
		l.ready = payload
		return true, nil
	case mysqlwire.HeaderError:
		e, err := mysqlwire.ParseError(payload)
		if err != nil {
			return false, unexpectedInLogin(err)
		}
		return false, l.refused(e)
	case mysqlwire.HeaderEOF:
		if l.switched || l.proven {
			return false, unexpectedInLogin(errors.New("another change of the method"))
		}
		l.switched = true
		wish := mysqlwire.ParseSwitch(payload)
		l.method = wish.Method
		proof, err := l.proof(wish.Method, wish.Nonce)
		if err != nil {
			return false, err
		}
		return false, l.send(proof)
	case moreData:
		return false, l.more(payload[1:])
	default:
		return false, unexpectedInLogin(fmt.Errorf("packet %#x during the login", payload[0]))
	}
}

// more goes on with caching_sha2_password, the only method that has more to say.
func (l *login) more(payload []byte) error {
	if l.method != mysqlwire.CachingSHA2 || len(payload) != 1 || l.proven {
		return unexpectedInLogin(fmt.Errorf("%d more bytes of %q", len(payload), l.method))
	}
	switch {
	case payload[0] == fastPath:
		return nil
	case payload[0] == fullPath && l.up.Password != "" && !l.up.Token:
		l.proven = true
		return l.send(append([]byte(l.up.Password), 0)) // under TLS whose certificate was verified
	default:
		return l.refuseMethod(l.method)
	}
}

func unexpectedInLogin(cause error) error {
	return fault.Wrap(fault.ConnectionProblem, cause,
		"the database does not follow the MySQL protocol during the login; check that its address leads to a server of MySQL or MariaDB")
}
