package mysql

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

const (
	maxResponse   = 16<<10 + maxAttributes // of a handshake response
	maxAttributes = 64 << 10
	maxProof      = 4 << 10
	maxUser       = 128 // characters of MariaDB's account names; MySQL's have 32
	maxName       = 64  // of a logical database
	maxHandshake  = 32  // bytes of a response that cannot be read, for the record: behind them passwords may be
)

// hello is what a client says before it is logged in.
type hello struct {
	want       session.Want
	flags      mysqlwire.Flags // agreed on, among passed
	maxPacket  uint32
	collation  byte
	attributes []mysqlwire.Attribute
	greeted    bool // by a proxy, which did not know the database
}

// greet greets a client and reads its answer. Who it is its certificate has told already: the account is checked
// against the rules, and whatever password it sends is ignored.
func (e *Engine) greet(d *dialogue, s *session.Session, shown uint32) (hello, error) {
	server := e.servers.of(s.Database())
	nonce, err := mysqlwire.NewNonce(rand.Reader)
	if err != nil {
		return hello{}, err
	}
	g := mysqlwire.GreetingOf(server.version, server.flags&passedFor(s)|mysqlwire.Handshake, server.collation, shown, nonce)
	if err := d.send(g.Append(nil)); err != nil {
		return hello{}, engine.LeftSilently(err)
	}
	return d.hear(s, g)
}

// hear reads the answer to a greeting.
func (d *dialogue) hear(s *session.Session, g *mysqlwire.Greeting) (hello, error) {
	payload, err := d.receive(maxResponse, maxHandshake)
	if err != nil {
		return hello{}, err
	}
	p, err := mysqlwire.ParseResponse(payload, g.Flags)
	switch {
	case errors.Is(err, mysqlwire.ErrTLSRequest):
		return hello{}, endWith(errHandshake, fault.BadParameter, "the connection is encrypted already; switch TLS off in the client, as in --skip-ssl of mariadb or --ssl-mode=DISABLED of mysql")
	case errors.Is(err, mysqlwire.ErrOldProtocol):
		return hello{}, endWith(errHandshake, fault.BadParameter, "the client speaks the protocol of before MySQL 4.1; use a newer one")
	case err != nil:
		return hello{}, &malformedPacket{malformed("%w", err), payload[:min(len(payload), maxHandshake)]}
	}
	h := newHello(p, g.Flags, s)
	if err := checkNames(h.want); err != nil {
		return h, err
	}
	return h, d.finish(g, p)
}

// newHello fills in from the certificate what the client left out.
func newHello(p *mysqlwire.HandshakeResponse, offered mysqlwire.Flags, s *session.Session) hello {
	h := hello{flags: p.Flags & offered & passedFor(s), maxPacket: p.MaxPacket, collation: p.Collation, attributes: p.Attributes}
	h.want = session.Want{User: p.User, Name: p.Database, UserAgent: agentOf(p.Attributes)}
	if route := s.Identity().Route; route != nil {
		if h.want.User == "" {
			h.want.User = route.User
		}
		if h.want.Name == "" {
			h.want.Name = route.Database
		}
	}
	if len(p.Attributes) > 0 {
		h.want.Settings = make(map[string]string)
		for _, a := range p.Attributes {
			h.want.Settings[a.Name] = a.Value
		}
	}
	return h
}

// agentOf returns what the client says it is.
func agentOf(attributes []mysqlwire.Attribute) string {
	var program, library, version string
	for _, a := range attributes {
		switch a.Name {
		case "program_name":
			program = a.Value
		case "_client_name":
			library = a.Value
		case "_client_version":
			version = a.Value
		}
	}
	if program == "" {
		program = strings.TrimSpace(library + " " + version)
	}
	return program
}

func checkNames(want session.Want) error {
	if len([]rune(want.User)) > maxUser {
		return endWith(errAccessDenied, fault.BadParameter, "the account name %.20q… has more than %d characters; use the name as the database has it", want.User, maxUser)
	}
	if len([]rune(want.Name)) > maxName {
		return endWith(errAccessDenied, fault.BadParameter, "the name of the logical database %.20q… has more than %d characters; use the name as the database has it", want.Name, maxName)
	}
	return nil
}

// finish brings the client's method of authentication to its end, short of the OK. The method is one that the client
// has, because clients of MySQL 9 and of MariaDB have none in common.
func (d *dialogue) finish(g *mysqlwire.Greeting, p *mysqlwire.HandshakeResponse) error {
	method, proof := p.Method, p.Proof
	if p.Flags&mysqlwire.PluginAuth == 0 {
		method = mysqlwire.NativePassword // the only one of clients that cannot choose
	} else if method != g.Method {
		if method != mysqlwire.NativePassword && method != mysqlwire.CachingSHA2 {
			method = g.Method
		}
		wish := mysqlwire.SwitchRequest{Method: method, Nonce: g.Nonce}
		if err := d.send(wish.Append(nil)); err != nil {
			return engine.LeftSilently(err)
		}
		var err error
		if proof, err = d.receive(maxProof, 0); err != nil {
			return err
		}
	}
	if method == mysqlwire.CachingSHA2 && len(proof) > 1 {
		// The client has a password and waits to hear that its digest was enough.
		if err := d.send([]byte{moreData, fastPath}); err != nil {
			return engine.LeftSilently(fmt.Errorf("ending the handshake: %w", err))
		}
	}
	return nil
}

// Answers of servers during authentication ("Protocol::AuthMoreData", "Caching_sha2_password information").
const (
	moreData  = 1
	publicKey = 2
	fastPath  = 3
	fullPath  = 4
)
