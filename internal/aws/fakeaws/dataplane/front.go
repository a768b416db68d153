package dataplane

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// account is what a front logs in with at the server behind it.
type account struct{ user, password string }

// opener judges logins for a front. Errors are *refusal, told to the client; any other is told as an internal error.
type opener interface {
	// clear is the answer to who does not use TLS.
	clear(parameters map[string]string, client net.Addr) error
	// open says as whom a client that sent a password is logged in behind.
	open(ctx context.Context, endpoint Endpoint, parameters map[string]string, password string) (account, error)
}

// front stands before a server and speaks PostgreSQL as far as the login. What comes after it passes through.
type front struct {
	endpoint    Endpoint
	certificate *tls.Certificate
	opener      opener
	backend     func(context.Context) (net.Conn, error)
}

const loginTime = 30 * time.Second

func (f *front) serve(ctx context.Context, client net.Conn) {
	_ = client.SetDeadline(time.Now().Add(loginTime)) // ctx bounds it in any case
	client, parameters, err := f.begin(ctx, client)
	if err == nil && parameters == nil {
		return // a cancel request, which has no answer
	}
	var database net.Conn
	if err == nil {
		database, err = f.login(ctx, client, parameters)
	}
	if err != nil {
		told, ok := errors.AsType[*refusal](err)
		if !ok {
			told = &refusal{"XX000", "internal error: " + err.Error()}
		}
		_, _ = client.Write(told.message()) // a client that went away does not want to know
		return
	}
	_ = client.SetDeadline(time.Time{})
	relay(ctx, client, database)
}

// begin reads the first packets, up to the StartupMessage. For a cancel request parameters are nil.
func (f *front) begin(ctx context.Context, client net.Conn) (net.Conn, map[string]string, error) {
	secure := false
	for {
		code, rest, err := readStartup(client)
		if err != nil {
			return client, nil, err
		}
		switch {
		case code == codeCancel:
			return client, nil, f.cancel(ctx, rest)
		case code == codeGSS, code == codeSSL && (secure || f.certificate == nil):
			if _, err := client.Write([]byte{'N'}); err != nil {
				return client, nil, err
			}
		case code == codeSSL:
			if _, err := client.Write([]byte{'S'}); err != nil {
				return client, nil, err
			}
			over := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{*f.certificate}})
			if err := over.HandshakeContext(ctx); err != nil {
				return client, nil, err
			}
			client, secure = over, true
		case code>>16 == codeVersion3>>16:
			all, err := parameters(rest)
			if err == nil && !secure {
				err = f.opener.clear(all, client.RemoteAddr())
			}
			return client, all, err
		default:
			return client, nil, refusef("0A000", "unsupported frontend protocol")
		}
	}
}

// cancel passes a cancel request on; the keys are the server's own.
func (f *front) cancel(ctx context.Context, rest []byte) error {
	database, err := f.backend(ctx)
	if err != nil {
		return err
	}
	defer database.Close()
	_, err = database.Write(startup(codeCancel, rest))
	return err
}

func (f *front) login(ctx context.Context, client net.Conn, parameters map[string]string) (net.Conn, error) {
	if parameters["user"] == "" {
		return nil, refusef("28000", "no PostgreSQL user name specified in startup packet")
	}
	if parameters["database"] == "" {
		parameters["database"] = parameters["user"]
	}
	if _, err := client.Write(message('R', binary.BigEndian.AppendUint32(nil, 3))); err != nil { // cleartext password
		return nil, err
	}
	kind, content, err := readMessage(client)
	if err != nil {
		return nil, err
	}
	password, _, ok := cutString(content)
	if kind != 'p' || !ok {
		return nil, refusef("08P01", "expected password response, got message type %d", kind)
	}
	as, err := f.opener.open(ctx, f.endpoint, parameters, password)
	if err != nil {
		return nil, err
	}
	database, err := f.backend(ctx)
	if err != nil {
		return nil, err
	}
	parameters["user"] = as.user
	if err := enter(database, parameters, as.password); err != nil {
		_ = database.Close() // it was not used
		return nil, err
	}
	_, err = client.Write(message('R', make([]byte, 4))) // authentication is over
	if err != nil {
		_ = database.Close() // nobody will use it
	}
	return database, err
}

// enter logs in at the server behind, up to the message that says so.
func enter(database net.Conn, parameters map[string]string, password string) error {
	if _, err := database.Write(startup(codeVersion3, encodeParameters(parameters))); err != nil {
		return err
	}
	var scram *scramClient
	for {
		kind, content, err := readMessage(database)
		if err != nil {
			return err
		}
		switch {
		case kind == 'E':
			return serverError(content)
		case kind == 'N':
			continue
		case kind != 'R' || len(content) < 4:
			return fmt.Errorf("the server behind answers %q to a login", kind)
		}
		var answer []byte
		switch method := binary.BigEndian.Uint32(content); method {
		case 0:
			return nil
		case 10: // SASL
			scram = newSCRAM(password)
			first := scram.first()
			answer = append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(first)))...)
			answer = append(answer, first...)
		case 11:
			if scram == nil {
				return errProtocol
			}
			final, err := scram.final(string(content[4:]))
			if err != nil {
				return err
			}
			answer = []byte(final)
		case 12: // the server's proof; it is ours in any case
			continue
		default:
			return fmt.Errorf("the server behind asks for authentication %d", method)
		}
		if _, err := database.Write(message('p', answer)); err != nil {
			return err
		}
	}
}

// serverError turns an ErrorResponse into a refusal with the same words.
func serverError(content []byte) error {
	e := &refusal{"XX000", "the server behind refuses the login"}
	for len(content) > 1 {
		kind := content[0]
		text, rest, ok := cutString(content[1:])
		if !ok {
			break
		}
		switch kind {
		case 'C':
			e.code = text
		case 'M':
			e.text = text
		}
		content = rest
	}
	return e
}
