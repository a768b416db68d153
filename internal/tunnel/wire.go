// Package tunnel carries client connections from a proxy to an agent that dialled out to it.
//
// An agent keeps one control connection to each proxy and a small pool of parked data connections. Each
// parked connection is opened with a preface that proves a single-use ticket; when a client comes, the
// proxy sends a dispatch header and, after the agent's answer, the client's own bytes. One TCP
// connection carries one session, so that no session holds another up.
//
// On the data connection, in order:
//
//	agent → proxy   preface:  magic (5 bytes), ticket id (16), HMAC-SHA256(secret, "preface" || id) (32)
//	proxy → agent   dispatch: length of the payload (2, big endian), payload, HMAC-SHA256(secret, "dispatch" || payload) (32)
//	agent → proxy   verdict:  one byte
//	both ways       the client's bytes, beginning with its ClientHello
package tunnel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Magic begins every preface. Its first byte begins no TLS record, no PostgreSQL startup packet, no
// PROXY header and no HTTP request.
const Magic = "\xf5SPT\x01"

const (
	idSize      = 16
	secretSize  = 32
	macSize     = sha256.Size
	prefaceSize = len(Magic) + idSize + macSize
	maxPayload  = 1024
	maxField    = 255
)

// Verdict is the agent's answer to a dispatch.
type Verdict byte

// The verdicts.
const (
	Accepted Verdict = 1
	Busy     Verdict = 2
	Draining Verdict = 3
)

// ID is the id of a ticket or of a connection.
type ID [idSize]byte

// Ticket permits one data connection. The secret stays on the control connection.
type Ticket struct {
	ID     ID
	secret []byte
}

// NewTicket returns the ticket that came over the control connection.
func NewTicket(id, secret []byte) (Ticket, error) {
	if len(id) != idSize || len(secret) != secretSize {
		return Ticket{}, errors.New("ticket has the wrong size")
	}
	return Ticket{ID: ID(id), secret: secret}, nil
}

// Secret returns the key of the ticket's HMACs, for sending it over the control connection.
func (t Ticket) Secret() []byte { return t.secret }

func (t Ticket) mac(purpose string, data []byte) []byte {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write([]byte(purpose))
	mac.Write(data)
	return mac.Sum(nil)
}

// Preface returns what opens the data connection of the ticket.
func (t Ticket) Preface() []byte {
	preface := make([]byte, 0, prefaceSize)
	preface = append(preface, Magic...)
	preface = append(preface, t.ID[:]...)
	return append(preface, t.mac("preface", t.ID[:])...)
}

// readPreface reads a preface whose first byte the caller has seen; read holds what was consumed.
func readPreface(r io.Reader, read []byte) (id ID, mac []byte, err error) {
	var preface [prefaceSize]byte
	n := copy(preface[:], read)
	if _, err := io.ReadFull(r, preface[n:]); err != nil {
		return ID{}, nil, fmt.Errorf("reading preface: %w", err)
	}
	if string(preface[:len(Magic)]) != Magic {
		return ID{}, nil, errors.New("not a tunnel preface")
	}
	copy(id[:], preface[len(Magic):])
	return id, preface[len(Magic)+idSize:], nil
}

func (t Ticket) checkPreface(mac []byte) bool { return hmac.Equal(mac, t.mac("preface", t.ID[:])) }

// Dispatch tells an agent what a data connection is now used for.
type Dispatch struct {
	Connection      ID
	ClientAddress   string // "host:port" of the client as the proxy saw it
	ListenerAddress string // "host:port" that the client came to
	// MySQLGreeting is the payload of the greeting that the proxy has sent the client, which has asked for TLS then; empty for
	// clients of other protocols, and for those that the agent is to greet.
	MySQLGreeting string
}

// WriteDispatch sends a dispatch header under the ticket.
func (t Ticket) WriteDispatch(w io.Writer, d Dispatch) error {
	payload := append([]byte(nil), d.Connection[:]...)
	fields := []string{d.ClientAddress, d.ListenerAddress}
	if d.MySQLGreeting != "" {
		fields = append(fields, d.MySQLGreeting)
	}
	for _, field := range fields {
		if len(field) > maxField {
			return errors.New("address or greeting is too long")
		}
		payload = append(append(payload, byte(len(field))), field...)
	}
	message := binary.BigEndian.AppendUint16(nil, uint16(len(payload)))
	message = append(append(message, payload...), t.mac("dispatch", payload)...)
	if _, err := w.Write(message); err != nil {
		return fmt.Errorf("sending dispatch: %w", err)
	}
	return nil
}

// ReadDispatch waits for the dispatch header of the ticket's connection and reads nothing beyond it.
func (t Ticket) ReadDispatch(r io.Reader) (Dispatch, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return Dispatch{}, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > maxPayload {
		return Dispatch{}, fmt.Errorf("dispatch of %d bytes exceeds %d", n, maxPayload)
	}
	message := make([]byte, n+macSize)
	if _, err := io.ReadFull(r, message); err != nil {
		return Dispatch{}, fmt.Errorf("reading dispatch: %w", err)
	}
	payload, mac := message[:n], message[n:]
	if !hmac.Equal(mac, t.mac("dispatch", payload)) {
		return Dispatch{}, errors.New("dispatch is not from the proxy that gave the ticket")
	}
	return parseDispatch(payload)
}

func parseDispatch(payload []byte) (Dispatch, error) {
	var d Dispatch
	if len(payload) < idSize {
		return d, errors.New("dispatch is too short")
	}
	rest := payload[copy(d.Connection[:], payload):]
	for _, field := range []*string{&d.ClientAddress, &d.ListenerAddress, &d.MySQLGreeting} {
		if len(rest) == 0 && field == &d.MySQLGreeting {
			return d, nil
		}
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return d, errors.New("dispatch is cut short")
		}
		n := int(rest[0])
		*field, rest = string(rest[1:1+n]), rest[1+n:]
	}
	if len(rest) > 0 || d.MySQLGreeting == "" {
		return d, errors.New("dispatch has bytes to spare")
	}
	return d, nil
}
