package mongodb

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
	"sallyport/internal/session"
)

const (
	maxHello     = 64 << 10 // bytes of an answer to hello or to a login
	leastVersion = 6        // of the wire protocol: MongoDB 3.6, the first with OP_MSG
	// versionOfRoles is that of MongoDB 5.0, as which DocumentDB 5.0 presents itself.
	versionOfRoles = 13
	external       = "$external"
	admin          = "admin"
)

// refusedLogin is the database's answer to a login that it does not accept.
type refusedLogin struct {
	code      int32
	message   string
	mechanism string // of authentication; empty if it did not come to that
	advice    string
}

// Refusal implements engine.RefusedLogin, in the words that drivers use.
func (r *refusedLogin) Refusal() (said, advice string) {
	if r.mechanism == "" {
		return r.message, r.advice
	}
	return fmt.Sprintf("unable to authenticate using mechanism %q: %s", r.mechanism, r.message), r.advice
}

func (r *refusedLogin) Error() string { return engine.RefusalText(r.Refusal()) }

// upstream is what leads to the database, in a session or in a check.
type upstream interface {
	// Move leaves the member for another one.
	Move(ctx context.Context, address string) (*session.Upstream, error)
}

// logIn opens TLS on the way to the database, finds the member that is wanted, and logs in there with the account that
// was authorised. Its conn is then ready for commands.
func logIn(ctx context.Context, s upstream, up *session.Upstream, p *place) (*login, error) {
	within, cancel := engine.LoginContext(ctx)
	defer cancel()
	l := &login{ctx: within, session: s, up: up, place: p}
	err := l.run()
	if err != nil && within.Err() != nil {
		return nil, context.Cause(within)
	}
	l.ctx = ctx
	return l, l.explain(err)
}

// login is the conversation until the database takes commands.
type login struct {
	ctx     context.Context
	session upstream
	up      *session.Upstream
	place   *place
	conn    net.Conn
	version int64 // of the protocol, that the member speaks
	lastID  int32

	connection uint32 // the member's own number of the connection; 0 when it does not tell
}

func (l *login) run() error {
	m, err := l.reach()
	if err != nil {
		return err
	}
	if m, err = l.choose(m); err != nil {
		return err
	}
	l.version, l.connection = m.version, m.connection
	if m.version < leastVersion {
		return fault.New(fault.ConnectionProblem, "the database speaks version %d of the protocol, and MongoDB 3.6 (version %d) is the oldest that works here; update it", m.version, leastVersion)
	}
	return l.authenticate()
}

// The mechanisms of authentication.
const (
	byCertificate = "MONGODB-X509"
	byAWS         = "MONGODB-AWS"
)

// reach opens TLS and asks the member that it leads to what it is.
func (l *login) reach() (member, error) {
	conn, err := l.up.StartTLS(l.ctx)
	if err != nil {
		return member{}, err
	}
	l.conn = conn
	var d mongowire.Builder
	reply, err := l.ask(d.Int32("isMaster", 1).Bool("helloOk", true).Text("$db", admin).Build())
	if err != nil {
		return member{}, err
	}
	return memberOf(reply)
}

// move goes to another member.
func (l *login) move(address string) (member, error) {
	up, err := l.session.Move(l.ctx, address)
	if err != nil {
		return member{}, err
	}
	l.up = up
	return l.reach()
}

// authenticate logs in with the certificate that TLS has shown, or with what AWS says.
func (l *login) authenticate() error {
	mechanism, by := byCertificate, l.authenticateByCertificate
	if l.up.Prove != nil {
		mechanism, by = byAWS, l.authenticateByAWS
	}
	err := by()
	if refused, ok := errors.AsType[*refusedLogin](err); ok {
		refused.mechanism = mechanism
	}
	return err
}

// authenticateByCertificate is MONGODB-X509 (MongoDB documentation, "x.509").
func (l *login) authenticateByCertificate() error {
	if l.up.Password != "" {
		return fault.New(fault.ConnectionProblem, "this database is to be logged in to with a password, which the engine for MongoDB does not do; use one that takes certificates")
	}
	var d mongowire.Builder
	d.Int32("authenticate", 1).Text("mechanism", byCertificate).Text("$db", external)
	reply, err := l.ask(d.Build())
	if err != nil {
		return err
	}
	// A server says whom it takes the certificate for. Anybody else is not who was authorised.
	if user, ok := reply.Find("user"); ok {
		if name, _ := user.Text(); !isAccount(string(name), l.up.User) {
			return fault.New(fault.AccessDenied, "the database takes the certificate for account %q, and not for %q; check its users", name, l.up.User)
		}
	}
	return nil
}

// isAccount reports whether the database's name of a certificate's account is the account's: the subject as text (RFC 2253),
// perhaps with other parts behind the name.
func isAccount(name, account string) bool {
	want := pkix.Name{CommonName: account}.String()
	return name == want || strings.HasPrefix(name, want+",")
}

// ask sends a command and returns the answer, which is an error unless it is ok.
func (l *login) ask(command mongowire.Document) (mongowire.Document, error) {
	stop := context.AfterFunc(l.ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	l.lastID++
	if _, err := l.conn.Write(mongowire.AppendMsg(nil, l.lastID, 0, 0, command)); err != nil {
		return nil, fmt.Errorf("sending a command of the login: %w", err)
	}
	message, err := readMessage(l.conn, maxHello)
	if err != nil {
		return nil, fmt.Errorf("reading the answer to the login: %w", err)
	}
	h := mongowire.ReadHeader(message)
	var m mongowire.Msg
	if h.Op != mongowire.OpMsg || h.ResponseTo != l.lastID {
		return nil, unexpected("%s in answer to %d, not to %d", h.Op, h.ResponseTo, l.lastID)
	}
	if err := m.Parse(message); err != nil {
		return nil, unexpected("%w", err)
	}
	if m.Flags&mongowire.MoreToCome != 0 || len(m.Sequences) > 0 {
		return nil, unexpected("flags %d and %d sequences", m.Flags, len(m.Sequences))
	}
	if ok, _ := m.Body.Find("ok"); !ok.True() {
		return nil, refusalOf(m.Body)
	}
	return m.Body, nil
}

func refusalOf(reply mongowire.Document) error {
	r := &refusedLogin{code: codeFailed}
	if e, ok := reply.Find("errmsg"); ok {
		text, _ := e.Text()
		r.message = string(text[:min(len(text), maxErrorText)])
	}
	if e, ok := reply.Find("code"); ok {
		n, _ := e.Number()
		r.code = int32(n)
	}
	return r
}

func unexpected(format string, args ...any) error {
	return fault.Wrap(fault.ConnectionProblem, fmt.Errorf(format, args...),
		"the database does not follow the MongoDB protocol during the login; check that its address leads to a MongoDB server")
}

// readMessage reads exactly one message of at most limit bytes.
func readMessage(r io.Reader, limit int32) ([]byte, error) {
	header := make([]byte, mongowire.HeaderSize, 1<<10)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	size := mongowire.ReadHeader(header).Size
	if size < mongowire.HeaderSize || size > limit {
		return nil, unexpected("a message of %d bytes", size)
	}
	message := append(header, make([]byte, int(size)-mongowire.HeaderSize)...)
	_, err := io.ReadFull(r, message[mongowire.HeaderSize:])
	return message, err
}

// explain adds to an error of the login what to do.
func (l *login) explain(err error) error {
	if refused, ok := errors.AsType[*refusedLogin](err); ok {
		refused.advice = l.advice(refused)
		return err
	}
	return engine.ExplainLogin(l.up, err)
}

const (
	codeUserNotFound = 11
	codeAuthFailed   = 18
	maxErrorText     = 4 << 10
)

func (l *login) advice(r *refusedLogin) string {
	if l.up.Prove != nil && l.version < versionOfRoles && r.mechanism != "" {
		return fmt.Sprintf("DocumentDB takes roles from version 5.0 on, and this cluster is an older one (version %d of the protocol); update it", l.version)
	}
	if advice := l.up.Advice(cred.Refusal{Code: strconv.Itoa(int(r.code)), Message: r.message}); advice != "" {
		return advice
	}
	switch r.code {
	case codeUserNotFound, codeAuthFailed:
		return fmt.Sprintf(`create the account: db.getSiblingDB("$external").createUser({user: "CN=%s", roles: [...]})`, l.up.User)
	case codeNotFound, codeBadValue:
		return "let the server accept MONGODB-X509 in its authenticationMechanisms"
	}
	return ""
}
