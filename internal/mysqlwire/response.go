package mysqlwire

import (
	"encoding/binary"
	"errors"
)

// Attribute is something that a client tells about itself.
type Attribute struct{ Name, Value string }

// HandshakeResponse is the answer of a client to a greeting ("Protocol::HandshakeResponse41").
type HandshakeResponse struct {
	Flags      Flags
	MaxPacket  uint32
	Collation  byte
	User       string
	Proof      []byte // of the password, as the method wants it
	Database   string
	Method     string
	Attributes []Attribute
}

const (
	responseHead = 32 // of the response, which is all of a request for TLS
	extraFlags   = 28 // where those of MariaDB stand
)

var (
	// ErrOldProtocol is what clients of before MySQL 4.1 cause.
	ErrOldProtocol = errors.New("a handshake response of the protocol before 4.1")
	// ErrTLSRequest is a client that wants TLS.
	ErrTLSRequest = errors.New("a request for TLS")
	errResponse   = errors.New("a handshake response that cannot be read")
)

// ParseResponse reads the answer to a greeting with the flags. When TLS is among them, it is the answer inside TLS.
func ParseResponse(payload []byte, offered Flags) (*HandshakeResponse, error) {
	r := reader{rest: payload}
	if len(payload) < responseHead {
		if len(payload) >= 2 && Flags(binary.LittleEndian.Uint16(payload))&Protocol41 == 0 {
			return nil, ErrOldProtocol
		}
		return nil, errResponse
	}
	p := &HandshakeResponse{Flags: Flags(r.u32()), MaxPacket: r.u32(), Collation: r.u8()}
	r.bytes(responseHead - 9)
	switch {
	case p.Flags&Protocol41 == 0:
		return nil, ErrOldProtocol
	case p.Flags&TLS != 0 && offered&TLS == 0:
		return nil, ErrTLSRequest
	}
	if offered&LongPassword == 0 {
		p.Flags |= Flags(binary.LittleEndian.Uint32(payload[extraFlags:])) << 32
	}
	p.User = string(r.ended())
	switch {
	case p.Flags&LongAuthData != 0:
		p.Proof = r.counted()
	case p.Flags&SecureConnection != 0:
		p.Proof = r.bytes(int(r.u8()))
	default:
		p.Proof = r.ended()
	}
	if p.Flags&ConnectWithDB != 0 {
		p.Database = string(r.ended())
	}
	if p.Flags&PluginAuth != 0 {
		p.Method = string(r.name())
	}
	if p.Flags&ConnectAttrs != 0 && len(r.rest) > 0 {
		pairs := reader{rest: r.counted()}
		for len(pairs.rest) > 0 {
			p.Attributes = append(p.Attributes, Attribute{string(pairs.counted()), string(pairs.counted())})
		}
		r.bad = r.bad || pairs.bad
	}
	if r.bad {
		return nil, errResponse
	}
	return p, nil
}

func (p *HandshakeResponse) appendHead(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(p.Flags))
	dst = binary.LittleEndian.AppendUint32(dst, p.MaxPacket)
	dst = append(dst, p.Collation)
	dst = append(dst, make([]byte, extraFlags-9)...)
	return binary.LittleEndian.AppendUint32(dst, uint32(p.Flags>>32))
}

// AppendTLSRequest appends the payload that asks for TLS: the beginning of the response.
func (p *HandshakeResponse) AppendTLSRequest(dst []byte) []byte { return p.appendHead(dst) }

// Append appends the payload. The flags say which fields are sent.
func (p *HandshakeResponse) Append(dst []byte) []byte {
	dst = appendEnded(p.appendHead(dst), p.User)
	switch {
	case p.Flags&LongAuthData != 0:
		dst = appendCounted(dst, p.Proof)
	default:
		dst = append(append(dst, byte(len(p.Proof))), p.Proof...)
	}
	if p.Flags&ConnectWithDB != 0 {
		dst = appendEnded(dst, p.Database)
	}
	if p.Flags&PluginAuth != 0 {
		dst = appendEnded(dst, p.Method)
	}
	if p.Flags&ConnectAttrs != 0 {
		var pairs []byte
		for _, a := range p.Attributes {
			pairs = appendCounted(appendCounted(pairs, a.Name), a.Value)
		}
		dst = appendCounted(dst, pairs)
	}
	return dst
}
