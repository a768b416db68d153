package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"sallyport/internal/admission"
	"sallyport/internal/cancelkey"
)

// PostgreSQL's first packets (documentation, "Message Formats"): a length that counts itself, and a code.
const (
	pgSSLRequest    = 80877103
	pgGSSENCRequest = 80877104
	pgCancelRequest = 80877102
	pgFirstSize     = 8
	pgMaxCancel     = 256    // bytes of a secret (protocol 3.2)
	pgMaxStartup    = 10_000 // bytes of a startup message (PostgreSQL's own limit)
)

// routePostgres answers the clear text before TLS: no more than one request for TLS and one for GSSAPI
// encryption, in any order, and cancel requests.
func (p *Proxy) routePostgres(ctx context.Context, conn net.Conn, read []byte, visitor *admission.Visitor) error {
	askedGSS := false
	for {
		var first [pgFirstSize]byte
		n := copy(first[:], read)
		read = nil
		if _, err := io.ReadFull(conn, first[n:]); err != nil {
			return fmt.Errorf("reading startup: %w", err)
		}
		size, code := binary.BigEndian.Uint32(first[:4]), binary.BigEndian.Uint32(first[4:])
		switch {
		case code == pgSSLRequest && size == pgFirstSize:
			if _, err := conn.Write([]byte{'S'}); err != nil {
				return err
			}
			// Whatever comes now is TLS: nothing was read beyond the request.
			return p.routeTLS(ctx, conn, nil, visitor, "postgres")
		case code == pgGSSENCRequest && size == pgFirstSize && !askedGSS:
			askedGSS = true
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return err
			}
		case code == pgCancelRequest && size > pgFirstSize+4 && size <= pgFirstSize+4+pgMaxCancel:
			return p.readCancel(conn, int(size)-pgFirstSize)
		default:
			return errors.Join(errors.New("PostgreSQL without TLS"), writeFatal(conn, "08P01",
				"this port needs TLS; use sslmode=verify-full with the certificate that tsh db login stored, or tsh db connect"))
		}
	}
}

// readCancel passes a cancel request on. It is never answered, as PostgreSQL does not either.
func (p *Proxy) readCancel(conn net.Conn, size int) error {
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return fmt.Errorf("reading cancel request: %w", err)
	}
	p.passCancel(cancelkey.Key{
		ProcessID: binary.BigEndian.Uint32(body), Secret: body[4:], ClientAddress: conn.RemoteAddr().String(),
	}, "")
	return conn.Close()
}

// passCancel asks the agents whose session the key is.
func (p *Proxy) passCancel(key cancelkey.Key, from string) {
	// An agent states the client's address, so that it is counted as a source itself.
	if from != "" && !p.cancels.allow(from) || !p.cancels.allow(key.ClientAddress) {
		return
	}
	if p.Local != nil && from != p.HostID {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if p.Local.Cancel(ctx, key) {
			return
		}
	}
	p.links.cancel(key, from)
}

// Cancel passes on a cancel request that the agent in this process does not know.
func (p *Proxy) Cancel(key cancelkey.Key) { p.passCancel(key, p.HostID) }

// writeFatal sends PostgreSQL's ErrorResponse to a client that has not begun a session.
func writeFatal(w io.Writer, sqlstate, text string) error {
	body := "SFATAL\x00VFATAL\x00C" + sqlstate + "\x00M" + text + "\x00\x00"
	message := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(body)))
	_, err := w.Write(append(message, body...))
	return err
}

// cancelLimit bounds cancel requests to ten a second from each source.
type cancelLimit struct {
	now func() time.Time

	mu     sync.Mutex
	second int64          // guarded by mu
	counts map[string]int // in that second; guarded by mu
}

const cancelsPerSecond = 10

func newCancelLimit(now func() time.Time) *cancelLimit { return &cancelLimit{now: now} }

func (l *cancelLimit) allow(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := l.now().Unix(); second != l.second {
		l.second, l.counts = second, make(map[string]int)
	}
	l.counts[address]++
	return l.counts[address] <= cancelsPerSecond
}
