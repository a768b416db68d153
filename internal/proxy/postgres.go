package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"sallyport/internal/admission"
	"sallyport/internal/cancelkey"
	"sallyport/internal/pgwire"
	"sallyport/internal/resource"
)

// routePostgres answers the clear text before TLS: no more than one request for TLS and one for GSSAPI
// encryption, in any order, and cancel requests.
func (p *Proxy) routePostgres(ctx context.Context, conn net.Conn, read []byte, visitor *admission.Visitor) error {
	askedGSS := false
	for {
		var first [pgwire.HeaderSize]byte
		n := copy(first[:], read)
		read = nil
		if _, err := io.ReadFull(conn, first[n:]); err != nil {
			return fmt.Errorf("reading startup: %w", err)
		}
		size, code := pgwire.Header(first[:])
		switch {
		case code == pgwire.CodeSSLRequest && size == pgwire.HeaderSize:
			if _, err := conn.Write([]byte{'S'}); err != nil {
				return err
			}
			// Whatever comes now is TLS: nothing was read beyond the request.
			return p.routeTLS(ctx, conn, nil, visitor, prelude{protocol: resource.ProtocolPostgres})
		case code == pgwire.CodeGSSENCRequest && size == pgwire.HeaderSize && !askedGSS:
			askedGSS = true
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return err
			}
		case code == pgwire.CodeCancelRequest && size >= pgwire.HeaderSize && size <= pgwire.MaxFirst:
			return p.readCancel(conn, int(size)-pgwire.HeaderSize)
		default:
			_, err := conn.Write(pgwire.Fatal("08P01",
				"this port needs TLS; use sslmode=verify-full with the certificate that tsh db login stored, or tsh db connect"))
			return errors.Join(errors.New("PostgreSQL without TLS"), err)
		}
	}
}

// readCancel passes a cancel request on. It is never answered, as PostgreSQL does not either.
func (p *Proxy) readCancel(conn net.Conn, size int) error {
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return fmt.Errorf("reading cancel request: %w", err)
	}
	id, secret, ok := pgwire.ParseCancelRequest(body)
	if !ok {
		return fmt.Errorf("cancel request of %d bytes", size)
	}
	end := p.passCancel(cancelkey.Key{
		Protocol: resource.ProtocolPostgres, ProcessID: id, Secret: secret, ClientAddress: conn.RemoteAddr().String(), Request: cancelkey.NewID()}, "")
	if end != nil {
		end()
	}
	return conn.Close()
}
