package postgres

import (
	"context"
	"crypto/md5" // the database's choice, and under TLS
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/pgwire"
	"sallyport/internal/session"
)

const (
	loginMessages = 20      // that a database may ask or tell before it is ready, settings and notices apart
	loginReports  = 1_000   // settings and notices
	loginBytes    = 1 << 20 // of all of them
	loginFrame    = 64 << 10
)

// backend is a connection to the database that is ready for commands.
type backend struct {
	conn    net.Conn
	key     backendKey // zero when the database gave none
	reports []byte     // messages for the client, as the database sent them
	ready   []byte     // the message that ended the login
}

// backendKey lets commands of a connection be cancelled.
type backendKey struct {
	processID uint32
	secret    []byte
}

func (k backendKey) empty() bool { return len(k.secret) == 0 || k.processID == 0 }

// refusedLogin is an error message of the database in answer to the login, for the client as it is.
type refusedLogin struct {
	serverError
	message []byte
	advice  string // that message has as its hint; may be empty
}

// Refusal implements engine.RefusedLogin.
func (r *refusedLogin) Refusal() (said, advice string) { return r.serverError.Error(), r.advice }

func (r *refusedLogin) Error() string { return engine.RefusalText(r.Refusal()) }

// logIn opens TLS on the way to the database and logs in there with the account that was authorised.
func logIn(ctx context.Context, up *session.Upstream, s *startup) (b *backend, err error) {
	err = engine.LogIn(ctx, up.Conn, func(ctx context.Context) error {
		b, err = logInWithin(ctx, up, s)
		return explainLogin(up, err)
	})
	return b, err
}

func logInWithin(ctx context.Context, up *session.Upstream, s *startup) (*backend, error) {
	if err := requestTLS(up); err != nil {
		return nil, err
	}
	conn, err := up.StartTLS(ctx)
	if err != nil {
		return nil, err
	}
	parameters := map[string]string{keyUser: up.User, keyDatabase: s.want.Name}
	for _, setting := range s.settings {
		parameters[setting.name] = setting.value
	}
	message, err := (&pgproto3.StartupMessage{ProtocolVersion: protocol30, Parameters: parameters}).Encode(nil)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(message); err != nil {
		return nil, fmt.Errorf("sending the startup message: %w", err)
	}
	l := &login{backend: backend{conn: conn}, up: up, user: up.User, password: up.Password}
	if err := l.run(); err != nil {
		return nil, err
	}
	return &l.backend, nil
}

// explainLogin adds to an error of the login what to do.
func explainLogin(up *session.Upstream, err error) error {
	if refused, ok := errors.AsType[*refusedLogin](err); ok {
		refused.advise(up)
		return err
	}
	return engine.ExplainLogin(up, err)
}

// requestTLS asks for TLS. Only the byte that agrees is accepted, and nothing is read behind it; what a
// server says before TLS comes from anybody, so it is not shown.
func requestTLS(up *session.Upstream) error {
	if _, err := up.Conn.Write(pgwire.First(pgwire.CodeSSLRequest)); err != nil {
		return fmt.Errorf("asking for TLS: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(up.Conn, answer[:]); err != nil {
		return fmt.Errorf("asking for TLS: %w", err)
	}
	if answer[0] != 'S' && up.Password != "" { // those in clouds have it on
		return fault.New(fault.ConnectionProblem, "the database does not offer TLS, which is needed; check that its address leads to the database itself, and to no other port")
	}
	if answer[0] != 'S' {
		return fault.New(fault.ConnectionProblem, "the database does not offer TLS, which is needed; set ssl = on in its postgresql.conf")
	}
	return nil
}

// login is the conversation until the database is ready.
type login struct {
	backend
	up             *session.Upstream
	user, password string
	authenticated  bool
	proven         bool // the password was sent
}

func (l *login) run() error {
	reports, total := 0, 0
	for messages := 0; messages < loginMessages && reports < loginReports && total < loginBytes; {
		typ, body, err := readFrame(l.conn, loginFrame)
		if err != nil {
			return fmt.Errorf("reading the answer to the login: %w", err)
		}
		total += len(body)
		if typ == beParameterStatus || typ == beNoticeResponse {
			reports++
		} else {
			messages++
		}
		if done, err := l.answer(typ, body); done || err != nil {
			return err
		}
	}
	return fault.New(fault.ConnectionProblem, "the database sent too many messages before it was ready; check that its address leads to a PostgreSQL server")
}

func (l *login) answer(typ byte, body []byte) (done bool, err error) {
	switch {
	case typ == beErrorResponse:
		return false, &refusedLogin{serverError: parseServerError(body), message: frameOf(typ, body)}
	case typ == beNoticeResponse:
		l.reports = append(l.reports, frameOf(typ, body)...)
		return false, nil
	case typ == beAuthentication && !l.authenticated:
		return false, l.authenticate(body)
	case !l.authenticated:
		return false, unexpectedInLogin(typ)
	case typ == beParameterStatus:
		l.reports = append(l.reports, frameOf(typ, body)...)
		return false, nil
	case typ == beBackendKeyData && l.key.empty() && len(body) >= 4 && len(body) <= 4+pgwire.MaxSecret:
		l.key = backendKey{binary.BigEndian.Uint32(body), body[4:]}
		return false, nil
	case typ == beReadyForQuery && len(body) == 1:
		l.ready = frameOf(typ, body)
		return true, nil
	default:
		return false, unexpectedInLogin(typ)
	}
}

func unexpectedInLogin(typ byte) error {
	return fault.Wrap(fault.ConnectionProblem, fmt.Errorf("message %q during the login", typ),
		"the database does not follow the PostgreSQL protocol during the login; check that its address leads to a PostgreSQL server")
}

// authenticate answers what the database asks to know who we are. The certificate has told it already; a
// password is sent only if the session has one, and TLS is on by then.
func (l *login) authenticate(body []byte) error {
	if len(body) < 4 {
		return unexpectedInLogin(beAuthentication)
	}
	if l.proven && binary.BigEndian.Uint32(body) != pgproto3.AuthTypeOk {
		return unexpectedInLogin(beAuthentication)
	}
	var secret string
	switch kind := binary.BigEndian.Uint32(body); {
	case kind == pgproto3.AuthTypeOk && len(body) == 4:
		l.authenticated = true
		return nil
	case kind == pgproto3.AuthTypeCleartextPassword && l.password != "":
		secret = l.password
	case kind == pgproto3.AuthTypeMD5Password && l.password != "" && !l.up.Token && len(body) == 8:
		secret = md5Password(l.user, l.password, body[4:])
	default:
		if err := l.refuseMethod(kind); err != nil {
			return err
		}
		return fault.Wrap(fault.ConnectionProblem, fmt.Errorf("authentication method %d", kind),
			"the database asks for another proof than the client certificate; %s", wantsCertificates)
	}
	message, err := (&pgproto3.PasswordMessage{Password: secret}).Encode(nil)
	if err != nil {
		return err
	}
	l.proven = true
	_, err = l.conn.Write(message)
	return err
}

// wantsCertificates is how a server is made to look at client certificates.
const wantsCertificates = `put a line such as "hostssl all all 0.0.0.0/0 cert" before the others in its pg_hba.conf`

// refuseMethod says what is wrong with a database that does not ask for the password or token that we have. It
// returns nil if there is nothing particular to say. Nothing of the secret is sent.
func (l *login) refuseMethod(kind uint32) error {
	method := fmt.Sprintf("authentication method %d", kind)
	switch kind {
	case pgproto3.AuthTypeMD5Password:
		method = "a password in MD5"
	case pgproto3.AuthTypeSASL, pgproto3.AuthTypeSASLContinue, pgproto3.AuthTypeSASLFinal:
		method = "a password in SCRAM"
	}
	advice := l.up.Advice(cred.Refusal{Method: method})
	switch {
	case l.up.Token && advice != "":
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s instead of an IAM token; %s", l.user, method, advice)
	case l.up.Token:
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s instead of a token; let the account log in with tokens", l.user, method)
	case advice != "":
		return fault.New(fault.ConnectionProblem, "the database asks account %q for %s; %s", l.user, method, advice)
	default:
		return nil
	}
}

// advise adds to the database's message what to do about it, as the hint that clients show below it.
func (r *refusedLogin) advise(up *session.Upstream) {
	advice := up.Advice(cred.Refusal{Code: r.state, Message: r.serverError.message})
	if advice == "" && up.Password == "" && r.overlooked() {
		advice = wantsCertificates
	}
	if advice == "" {
		return
	}
	var message pgproto3.ErrorResponse
	if err := message.Decode(r.message[headerSize:]); err != nil {
		return
	}
	if message.Hint != "" {
		message.Hint += "; "
	}
	message.Hint += advice
	if frame, err := message.Encode(nil); err == nil {
		r.message, r.advice = frame, advice
	}
}

// overlooked reports whether the server refused without a look at the client certificate (PostgreSQL source, auth.c).
func (r *refusedLogin) overlooked() bool {
	said := r.serverError.message
	return strings.HasPrefix(said, "Ident authentication failed") || strings.HasPrefix(said, "no pg_hba.conf entry")
}

func md5Password(user, password string, salt []byte) string {
	inner := md5.Sum([]byte(password + user))
	outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), salt...))
	return "md5" + hex.EncodeToString(outer[:])
}

// frameOf returns a message as it was on the wire.
func frameOf(typ byte, body []byte) []byte {
	frame := make([]byte, 0, headerSize+len(body))
	frame = append(frame, typ)
	frame = binary.BigEndian.AppendUint32(frame, uint32(lengthSize+len(body)))
	return append(frame, body...)
}
