package dataplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"sallyport/internal/aws/fakeaws"
)

// myFront stands before a MariaDB and speaks MySQL as far as the login, with passwords as they are. What comes after it
// passes through.
type myFront struct {
	endpoint    Endpoint
	certificate *tls.Certificate
	version     string // that clients are told; "" for the server's own
	method      string // that clients are greeted with
	// Errors of the following are told to the client: *myRefusal as they are, any other as an internal error.
	clear   func(user string, client net.Addr) error                                         // the answer to who does not use TLS
	open    func(endpoint Endpoint, user, password string, client net.Addr) (account, error) // as whom it is logged in behind
	backend func(context.Context) (net.Conn, error)
}

func (f *myFront) serve(ctx context.Context, client net.Conn) {
	_ = client.SetDeadline(time.Now().Add(loginTime)) // ctx bounds it in any case
	database, err := f.backend(ctx)
	if err != nil {
		return // the client sees that the connection ends, as when a server is down
	}
	h := &myHandshake{front: f, client: client, database: database}
	if err := h.run(ctx); err != nil {
		told, ok := errors.AsType[*myRefusal](err)
		if !ok {
			told = &myRefusal{1105, "HY000", "internal error: " + err.Error()}
		}
		_ = h.send(told.payload()) // a client that went away does not want to know
		_ = database.Close()       // it was not used
		return
	}
	_ = client.SetDeadline(time.Time{})
	relay(ctx, h.client, database)
}

// myHandshake is one login.
type myHandshake struct {
	front            *myFront
	client, database net.Conn
	sequence         byte // of the next packet from or to the client
}

func (h *myHandshake) send(payload []byte) error {
	_, err := h.client.Write(packet(h.sequence, payload))
	h.sequence++
	return err
}

func (h *myHandshake) receive() ([]byte, error) {
	payload, sequence, err := readPacket(h.client)
	if err == nil && sequence != h.sequence {
		err = errMyProtocol
	}
	h.sequence++
	return payload, err
}

func (h *myHandshake) run(ctx context.Context) error {
	first, _, err := readPacket(h.database)
	if err != nil {
		return err
	}
	behind, err := parseGreeting(first)
	if err != nil {
		return err
	}
	l, err := h.meet(ctx, behind)
	if err != nil {
		return err
	}
	if _, secure := h.client.(*tls.Conn); !secure {
		return h.front.clear(l.user, h.client.RemoteAddr())
	}
	if err := h.send(append(append([]byte{0xfe}, myClear...), 0)); err != nil {
		return err
	}
	answer, err := h.receive()
	if err != nil {
		return err
	}
	password, _, ok := cutString(answer)
	if !ok {
		return errMyProtocol
	}
	as, err := h.front.open(h.front.endpoint, l.user, password, h.client.RemoteAddr())
	if err != nil {
		return err
	}
	l.user = as.user
	if _, err := h.database.Write(packet(1, l.payload(as.password, behind.nonce))); err != nil {
		return err
	}
	last, _, err := readPacket(h.database)
	switch {
	case err != nil:
		return err
	case len(last) > 0 && last[0] == 0:
		return h.send(last)
	case len(last) > 0 && last[0] == 0xff:
		return parseMyError(last)
	default:
		return fmt.Errorf("the server behind asks account %s for more than a password", as.user)
	}
}

// meet greets the client with what the server behind can, and reads who it is.
func (h *myHandshake) meet(ctx context.Context, behind *myGreeting) (*myLogin, error) {
	g := *behind
	g.nonce, g.method = newNonce(), h.front.method
	g.flags = g.flags&^(myCompress|myZstd|myTLS) | myLongPassword
	if h.front.certificate != nil {
		g.flags |= myTLS
	}
	if h.front.version != "" {
		g.version = h.front.version
	}
	if err := h.send(g.payload()); err != nil {
		return nil, err
	}
	payload, err := h.receive()
	if err == nil && len(payload) == myLoginHead && h.front.certificate != nil {
		over := tls.Server(h.client, &tls.Config{Certificates: []tls.Certificate{*h.front.certificate}})
		if err := over.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		h.client = over
		payload, err = h.receive()
	}
	if err != nil {
		return nil, err
	}
	l, err := parseMyLogin(payload)
	if err == nil && l.user == "" {
		err = errMyProtocol
	}
	return l, err
}

// accessDenied is what MySQL says of a login that fails, whatever the reason.
func accessDenied(user string, client net.Addr) error {
	host, _, err := net.SplitHostPort(client.String())
	if err != nil {
		host = client.String()
	}
	return &myRefusal{1045, "28000", fmt.Sprintf("Access denied for user '%s'@'%s' (using password: YES)", user, host)}
}

// openRDS lets in whom the verifier lets in, as the account itself, which has a password that only the front knows.
func openRDS(config Config, password string) func(Endpoint, string, string, net.Addr) (account, error) {
	return func(endpoint Endpoint, user, token string, client net.Addr) (account, error) {
		if !config.Judge(fakeaws.Login{Service: fakeaws.RDSConnect, Host: endpoint.Host, User: user, Token: token}).Allow {
			return account{}, accessDenied(user, client)
		}
		return account{user, password}, nil
	}
}

// openMyProxy lets in whom the verifier lets in, as the account of the secret that the proxy has for the user.
func openMyProxy(config Config) func(Endpoint, string, string, net.Addr) (account, error) {
	return func(endpoint Endpoint, user, token string, client net.Addr) (account, error) {
		if config.Secret == nil {
			return account{}, accessDenied(user, client)
		}
		secret, ok := config.Secret(endpoint.Host, user)
		right := ok && token == secret.Password
		if !secret.IAMOff {
			right = config.Judge(fakeaws.Login{Service: fakeaws.RDSConnect, Host: endpoint.Host, User: user, Token: token}).Allow
		}
		if !ok || !right {
			return account{}, accessDenied(user, client)
		}
		return account{secret.User, secret.Password}, nil
	}
}

// proxyNeedsTLS is what an RDS Proxy says to who does not use it.
func proxyNeedsTLS(string, net.Addr) error {
	return &myRefusal{3159, "HY000", "This RDS Proxy requires TLS connections."}
}
