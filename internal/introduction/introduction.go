// Package introduction lets a proxy tell the auth server whose connection it passes on.
//
// Such a connection is encrypted between the client and the auth server, and arrives from the proxy's address. What the
// client's address decides (certificates bound to one, limits of strangers) would be decided by the proxy's without this.
// The proxy is believed because it signs with the key of its host certificate, and only about the very connection: the
// signature covers the ClientHello, to which nobody but the client has the key (TLS 1.3, RFC 8446, section 4.2.8). So an
// introduction that was overheard is worth nothing to others; its time keeps the client itself from using it again when it
// is somewhere else.
//
// In order, lengths in big endian:
//
//	magic (5 bytes)
//	statement, after its length (2): the proxy's certificate in DER after its length (2), the client's address as
//	"host:port" after its length (1), the time (8, seconds since 1970), the length of the ClientHello (4), its SHA-256 (32)
//	signature, after its length (2): ECDSA with SHA-256 over purpose and statement
//	the ClientHello, and whatever else the client sends
package introduction

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
)

// Magic begins every introduction. Its first byte begins no TLS record, no PostgreSQL startup packet, no tunnel preface
// and no HTTP request.
const Magic = "\xf6SPI\x01"

const (
	maxStatement = 4 << 10
	maxSignature = 512
	roleProxy    = "Proxy"

	// maxAge is how much an introduction's time may differ from the auth server's: the clocks of two hosts, and the way.
	maxAge = 5 * time.Minute
)

// purpose is signed with each statement, in the form that TLS 1.3 gives what it signs (RFC 8446, section 4.4.3), so that
// neither is ever taken for the other.
var purpose = strings.Repeat(" ", 64) + "sallyport, a connection passed on by a proxy\x00"

// ErrTime is wrapped by the error of Receive for a proxy that is believed in all but the time.
var ErrTime = errors.New("the introduction has another time")

// Introduction is what a proxy says of a connection.
type Introduction struct {
	Client netip.AddrPort     // the client, as the proxy sees it
	Proxy  *identity.Identity // who says so; its certificate is verified, whether it is locked is not
	Hello  []byte             // what the client sent first, read from the connection already
}

// Send introduces a connection and passes on what its client has sent so far, which must begin with a whole ClientHello.
// The certificate is the proxy's own.
func Send(w io.Writer, as *tls.Certificate, client string, hello []byte, now time.Time) error {
	statement, err := statementOf(as, client, hello, now)
	if err != nil {
		return err
	}
	signer, ok := as.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("a key of type %T cannot sign", as.PrivateKey)
	}
	digest := sha256.Sum256(append([]byte(purpose), statement...))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("signing an introduction: %w", err)
	}
	message := binary.BigEndian.AppendUint16([]byte(Magic), uint16(len(statement)))
	message = append(message, statement...)
	message = append(binary.BigEndian.AppendUint16(message, uint16(len(signature))), signature...)
	if _, err := w.Write(append(message, hello...)); err != nil {
		return fmt.Errorf("sending an introduction: %w", err)
	}
	return nil
}

func statementOf(as *tls.Certificate, client string, hello []byte, now time.Time) ([]byte, error) {
	if _, err := netip.ParseAddrPort(client); err != nil {
		return nil, fmt.Errorf("introducing a client: %w", err)
	}
	if len(hello) > mux.MaxHello {
		return nil, fmt.Errorf("introducing a client: its ClientHello has %d bytes", len(hello))
	}
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(as.Certificate[0]) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(client)) })
	b.AddUint64(uint64(now.Unix()))
	b.AddUint32(uint32(len(hello)))
	sum := sha256.Sum256(hello)
	b.AddBytes(sum[:])
	statement, err := b.Bytes()
	if err == nil && len(statement) > maxStatement {
		err = fmt.Errorf("the certificate has %d bytes", len(as.Certificate[0]))
	}
	return statement, err
}

// Receive reads an introduction and the ClientHello behind it, and verifies both. Read holds what was read already. The
// caller sets the deadline.
func Receive(r io.Reader, read []byte, trust *mtls.Trust, now time.Time) (*Introduction, error) {
	r = io.MultiReader(strings.NewReader(string(read)), r)
	magic, err := readN(r, len(Magic))
	if err != nil || string(magic) != Magic {
		return nil, errors.Join(errors.New("not an introduction"), err)
	}
	statement, err := readPrefixed(r, maxStatement)
	if err != nil {
		return nil, err
	}
	signature, err := readPrefixed(r, maxSignature)
	if err != nil {
		return nil, err
	}
	s, err := parse(statement)
	if err != nil {
		return nil, err
	}
	id, err := trust.Verify([]*x509.Certificate{s.certificate}, x509.ExtKeyUsageClientAuth, now)
	if err != nil {
		return nil, err
	}
	if !id.HasSystemRole(roleProxy) {
		return nil, fmt.Errorf("%s introduces a client and is no proxy", id)
	}
	if err := s.certificate.CheckSignature(x509.ECDSAWithSHA256, append([]byte(purpose), statement...), signature); err != nil {
		return nil, fmt.Errorf("the introduction is not from %s: %w", id, err)
	}
	if off := now.Sub(s.made).Abs(); off > maxAge {
		return nil, fmt.Errorf("%w: %s says %s, which is %s off the time here; set the clocks of both hosts, unless somebody uses an old introduction again",
			ErrTime, id, s.made.Format(time.RFC3339), off.Round(time.Second))
	}
	hello, err := readN(r, s.size)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(hello) != s.sum {
		return nil, errors.New("the introduction is of another connection")
	}
	return &Introduction{Client: s.client, Proxy: id, Hello: hello}, nil
}

// statement is what is signed.
type statement struct {
	certificate *x509.Certificate
	client      netip.AddrPort
	made        time.Time
	size        int
	sum         [sha256.Size]byte
}

func parse(data []byte) (*statement, error) {
	var certificate, client cryptobyte.String
	var made uint64
	var size uint32
	s, in := &statement{}, cryptobyte.String(data)
	if !in.ReadUint16LengthPrefixed(&certificate) || !in.ReadUint8LengthPrefixed(&client) || !in.ReadUint64(&made) || !in.ReadUint32(&size) ||
		!in.CopyBytes(s.sum[:]) || !in.Empty() || size > mux.MaxHello {
		return nil, errors.New("the introduction is malformed")
	}
	s.made, s.size = time.Unix(int64(made), 0).UTC(), int(size)
	var err error
	if s.client, err = netip.ParseAddrPort(string(client)); err != nil {
		return nil, fmt.Errorf("the introduction names no address: %w", err)
	}
	s.certificate, err = x509.ParseCertificate(certificate)
	return s, err
}

func readPrefixed(r io.Reader, limit int) ([]byte, error) {
	size, err := readN(r, 2)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size))
	if n > limit {
		return nil, fmt.Errorf("the introduction has a part of %d bytes", n)
	}
	return readN(r, n)
}

// readN reads exactly n bytes; the caller bounds n.
func readN(r io.Reader, n int) ([]byte, error) {
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("reading an introduction: %w", err)
	}
	return data, nil
}
