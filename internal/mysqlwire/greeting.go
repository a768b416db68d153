package mysqlwire

import (
	"encoding/binary"
	"errors"
)

const (
	protocolVersion = 10
	firstNonce      = 8
	// NonceSize is the length of what a server gives to scramble passwords with.
	NonceSize = 20
)

// Greeting is the first packet of a server (MySQL documentation, "Protocol::HandshakeV10").
type Greeting struct {
	Version    string
	Connection uint32 // its number in the server
	Flags      Flags
	Collation  byte
	Status     uint16
	Nonce      []byte // NonceSize bytes
	Method     string // of authentication
}

var errGreeting = errors.New("not a greeting of MySQL's protocol 10")

// ParseGreeting reads a greeting. An error message in its place is another matter.
func ParseGreeting(payload []byte) (*Greeting, error) {
	r := reader{rest: payload}
	if r.u8() != protocolVersion {
		return nil, errGreeting
	}
	g := &Greeting{Version: string(r.ended()), Connection: r.u32()}
	nonce := append([]byte(nil), r.bytes(firstNonce)...)
	r.u8()
	g.Flags = Flags(r.u16())
	g.Collation = r.u8()
	g.Status = r.u16()
	g.Flags |= Flags(r.u16()) << 16
	total := int(r.u8())
	reserved := r.bytes(10)
	if r.bad {
		return nil, errGreeting
	}
	if g.Flags&LongPassword == 0 {
		g.Flags |= Flags(binary.LittleEndian.Uint32(reserved[6:])) << 32
	}
	if g.Flags&SecureConnection != 0 {
		nonce = append(nonce, r.bytes(max(13, total-firstNonce))...)
	}
	if len(nonce) > NonceSize {
		nonce = nonce[:NonceSize]
	}
	g.Nonce = nonce
	if g.Flags&PluginAuth != 0 {
		g.Method = string(r.name())
	}
	if r.bad {
		return nil, errGreeting
	}
	return g, nil
}

// name reads a text up to a zero or, as some servers forget that, to the end.
func (r *reader) name() []byte {
	for _, b := range r.rest {
		if b == 0 {
			return r.ended()
		}
	}
	return r.bytes(len(r.rest))
}

// Append appends the greeting's payload.
func (g *Greeting) Append(dst []byte) []byte {
	dst = appendEnded(append(dst, protocolVersion), g.Version)
	dst = binary.LittleEndian.AppendUint32(dst, g.Connection)
	dst = append(append(dst, g.Nonce[:firstNonce]...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Flags))
	dst = append(dst, g.Collation)
	dst = binary.LittleEndian.AppendUint16(dst, g.Status)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Flags>>16))
	dst = append(dst, NonceSize+1, 0, 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(g.Flags>>32))
	dst = appendEnded(dst, g.Nonce[firstNonce:NonceSize])
	return appendEnded(dst, g.Method)
}

// SwitchRequest is a server's wish for another method ("Protocol::AuthSwitchRequest").
type SwitchRequest struct {
	Method string
	Nonce  []byte
}

// ParseSwitch reads what is behind the first byte of such a wish.
func ParseSwitch(payload []byte) SwitchRequest {
	r := reader{rest: payload}
	r.u8()
	s := SwitchRequest{Method: string(r.name()), Nonce: r.rest}
	if n := len(s.Nonce); n > 0 && s.Nonce[n-1] == 0 {
		s.Nonce = s.Nonce[:n-1]
	}
	return s
}

// Append appends the payload.
func (s *SwitchRequest) Append(dst []byte) []byte {
	return appendEnded(appendEnded(append(dst, HeaderEOF), s.Method), s.Nonce)
}
