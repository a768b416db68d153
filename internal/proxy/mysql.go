package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"sallyport/internal/admission"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/proxyheader"
	"sallyport/internal/resource"
)

const (
	maxMySQLResponse = 80 << 10 // bytes of a client's answer that is read only to be refused
	answerNumber     = 1        // of the packet behind a greeting

	mysqlHandshakeError = 1043 // ER_HANDSHAKE_ERROR
	mysqlNeedsTLS       = 3159 // ER_SECURE_TRANSPORT_REQUIRED

	insteadOfNative = "tsh db connect NAME, or tsh proxy db --tunnel NAME for your own client"
)

// routeMySQL greets a client, which waits for that, takes its request for TLS, and goes on as with others. The agent is told
// the greeting. It owns the connection unless it returns an error.
func (p *Proxy) routeMySQL(ctx context.Context, conn net.Conn, visitor *admission.Visitor) error {
	greeting, err := p.greetMySQL(conn)
	if err != nil {
		return err
	}
	if isBalancersOwn(conn) {
		return errors.New("a balancer's own connection, for which the greeting does")
	}
	if err := p.awaitTLSRequest(conn); err != nil {
		return err
	}
	// Whatever comes now is TLS: nothing was read beyond the request.
	return p.routeTLS(ctx, conn, nil, visitor, prelude{resource.ProtocolMySQL, greeting})
}

// greetMySQL sends a greeting that every database can stand by, and returns its payload.
func (p *Proxy) greetMySQL(conn net.Conn) (string, error) {
	var number [4]byte
	_, _ = rand.Read(number[:]) // never fails (crypto/rand)
	nonce, err := mysqlwire.NewNonce(rand.Reader)
	if err != nil {
		return "", err
	}
	version := p.cfg.MySQLVersion
	if version == "" {
		version = mysqlwire.AssumedVersion
	}
	shown := mysqlwire.FirstShown | binary.LittleEndian.Uint32(number[:])%mysqlwire.FirstShown
	payload := mysqlwire.GreetingOf(version, mysqlwire.AssumedFlags|mysqlwire.Handshake|mysqlwire.TLS, mysqlwire.AssumedCollation, shown, nonce).Append(nil)
	if _, err := conn.Write(mysqlwire.AppendPacket(nil, 0, payload)); err != nil {
		return "", fmt.Errorf("greeting: %w", err)
	}
	return string(payload), nil
}

// awaitTLSRequest reads a client's request for TLS, and nothing behind it. One that goes on without TLS is told why it
// cannot.
func (p *Proxy) awaitTLSRequest(conn net.Conn) error {
	var header [mysqlwire.HeaderSize]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return fmt.Errorf("reading request for TLS: %w", err)
	}
	if proxyheader.Begins(header[0], io.MultiReader(bytes.NewReader(header[1:]), conn)) {
		return p.refuseHeader(conn)
	}
	size, number := mysqlwire.Size(header[:])
	if number != answerNumber || size > maxMySQLResponse {
		return fmt.Errorf("packet %d of %d bytes in place of a request for TLS", number, size)
	}
	payload, err := readMySQLResponse(conn, size)
	if err != nil {
		return fmt.Errorf("reading request for TLS: %w", err)
	}
	_, err = mysqlwire.ParseTLSRequest(payload)
	if errors.Is(err, mysqlwire.ErrNoTLS) {
		text := "this port needs TLS, with the database's host as tsh db config prints it and the certificate that tsh db login stored; or use " + insteadOfNative
		_, writeErr := conn.Write(mysqlwire.ErrorPacket(number+1, mysqlNeedsTLS, "HY000", text))
		return errors.Join(err, writeErr)
	}
	return err
}

// readMySQLResponse reads a client's answer of so many bytes and returns its beginning, which tells a request for TLS from others. The
// rest is not kept, nor is room made for it: the size is what a stranger says.
func readMySQLResponse(from io.Reader, size int) (beginning []byte, err error) {
	beginning = make([]byte, min(size, mysqlwire.TLSRequestSize+1))
	if _, err := io.ReadFull(from, beginning); err != nil {
		return nil, err
	}
	small := make([]byte, 512)
	for left := size - len(beginning); left > 0; {
		n, err := from.Read(small[:min(left, len(small))])
		if left -= n; err != nil && left > 0 {
			return nil, err
		}
	}
	return beginning, nil
}

// refuseMySQL tells a client inside TLS why its connection ends: in place of a greeting, or of an answer to what it says
// after one.
func refuseMySQL(client *tls.Conn, greeted bool, cause error) error {
	var number byte
	if greeted {
		_, last, err := mysqlwire.ReadPacket(client, maxMySQLResponse)
		if err != nil {
			return err
		}
		number = last + 1
	}
	_, err := client.Write(mysqlwire.ErrorPacket(number, mysqlHandshakeError, "08S01", fault.Message(cause)))
	return errors.Join(err, client.CloseWrite())
}
