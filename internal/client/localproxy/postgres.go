package localproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/mux"
	"sallyport/internal/pgwire"
	"sallyport/internal/splice"
)

const tlsHandshake = 0x16 // first byte of TLS without a request before it

var errNoTLS = fault.New(fault.BadParameter, "this local proxy wants TLS: connect to localhost with sslmode=verify-full and the three files that tsh proxy db printed, or give tsh proxy db the flag --tunnel")

// opening is what a client of PostgreSQL said first.
type opening struct {
	conn   net.Conn
	read   []byte // of conn, and to be read again
	cancel bool   // read is a cancel request, which wants no answer
}

// open reads what a client says before TLS or its startup message. Requests for TLS are answered by yes or
// no.
func open(conn net.Conn, offerTLS bool) (*opening, error) {
	for range 3 { // a request for TLS, one for GSSAPI encryption, and what follows
		first := make([]byte, pgwire.HeaderSize)
		if _, err := io.ReadFull(conn, first); err != nil {
			return nil, err
		}
		size, code := pgwire.Header(first)
		switch {
		case first[0] == tlsHandshake:
			return &opening{conn: conn, read: first}, nil
		case code == pgwire.CodeSSLRequest && offerTLS:
			_, err := conn.Write([]byte{'S'})
			return &opening{conn: conn}, err
		case code == pgwire.CodeSSLRequest, code == pgwire.CodeGSSENCRequest:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return nil, err
			}
		case size < pgwire.HeaderSize || size > pgwire.MaxFirst:
			return nil, errors.New("the client does not speak PostgreSQL")
		default:
			rest := make([]byte, size-pgwire.HeaderSize)
			_, err := io.ReadFull(conn, rest)
			return &opening{conn: conn, read: append(first, rest...), cancel: code == pgwire.CodeCancelRequest}, err
		}
	}
	return nil, errors.New("the client asks for encryption again and again")
}

// startPostgresTLS ends the client's TLS, or returns a cancel request, which libpq sends in clear.
func (p *Proxy) startPostgresTLS(ctx context.Context, client net.Conn) (splice.Conn, []byte, error) {
	o, err := open(client, true)
	if err != nil {
		return nil, nil, err
	}
	if o.cancel {
		return client.(splice.Conn), o.read, client.SetDeadline(time.Time{})
	}
	if o.read != nil && o.read[0] != tlsHandshake {
		return nil, nil, errors.Join(errNoTLS, writeFatal(client, errNoTLS))
	}
	inner, err := p.handshake(ctx, mux.Unread(client, o.read))
	return inner, nil, err
}

// refusePostgres tells a client why it cannot be served.
func refusePostgres(client net.Conn, cause error) error {
	o, err := open(client, false)
	if err != nil || o.cancel {
		return err
	}
	return writeFatal(client, cause)
}

// writeFatal tells a client that has not begun a session.
func writeFatal(client net.Conn, cause error) error {
	_, err := client.Write(pgwire.Fatal("08006", fault.Message(cause)))
	return err
}
