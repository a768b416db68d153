package mysqlwire

import (
	"encoding/binary"
	"errors"
)

// TLSRequestSize is the length of the payload by which a client asks for TLS.
const TLSRequestSize = responseHead

// ErrNoTLS is what clients cause that go on without TLS.
var ErrNoTLS = errors.New("a client that goes on without TLS")

// ParseTLSRequest reads a client's wish for TLS and returns what the client says there that it can
// ("Protocol::SSLRequest"). Nobody vouches for that: the client says it again inside TLS.
func ParseTLSRequest(payload []byte) (Flags, error) {
	if len(payload) < 4 {
		return 0, errResponse
	}
	flags := Flags(binary.LittleEndian.Uint32(payload))
	switch {
	case flags&TLS == 0 || flags&Protocol41 == 0:
		return flags, ErrNoTLS
	case len(payload) != TLSRequestSize:
		return flags, errResponse
	}
	return flags, nil
}
