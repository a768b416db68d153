package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"sallyport/internal/cancelkey"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/pgwire"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

const (
	protocolMajor = 3
	protocol30    = protocolMajor << 16
	nameLimit     = 63 // bytes of a name; the server cuts longer ones off, so that two become one
)

// startup is what a client says before it is logged in.
type startup struct {
	want     session.Want
	settings []setting // to be sent on
	minor    uint16
	unknown  []string // protocol options we do not have
	cancel   *cancelkey.Key
}

// setting is a run-time parameter of the database.
type setting struct{ name, value string }

// malformedStartup is a first packet that cannot be read.
type malformedStartup struct {
	error
	packet []byte
}

func (m *malformedStartup) Unwrap() error { return m.error }

func malformedFirst(packet []byte, format string, args ...any) error {
	return &malformedStartup{malformed(format, args...), packet}
}

// readStartup reads packets until the client has said what it wants. It answers requests for encryption,
// of which there may be one of each kind, in the negative: the connection is encrypted already.
func readStartup(client net.Conn) (packet []byte, err error) {
	var askedTLS, askedGSS bool
	for {
		packet, err := readPacket(client)
		if err != nil {
			return nil, err
		}
		code := binary.BigEndian.Uint32(packet)
		switch {
		case code == pgwire.CodeSSLRequest && len(packet) == lengthSize && !askedTLS:
			askedTLS = true
		case code == pgwire.CodeGSSENCRequest && len(packet) == lengthSize && !askedGSS:
			askedGSS = true
		case code == pgwire.CodeSSLRequest, code == pgwire.CodeGSSENCRequest:
			return nil, malformedFirst(packet, "a second or overlong request for encryption")
		default:
			return packet, nil
		}
		if _, err := client.Write([]byte{'N'}); err != nil {
			return nil, err
		}
	}
}

// readPacket reads one packet of the kind that has no type, and returns it without its length.
func readPacket(r io.Reader) ([]byte, error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size < pgwire.HeaderSize || size > pgwire.MaxFirst {
		return nil, malformedFirst(length[:], "first packet with length %d", size)
	}
	packet := make([]byte, size-lengthSize)
	if _, err := io.ReadFull(r, packet); err != nil {
		return nil, err
	}
	return packet, nil
}

// parseStartup reads the last of a client's first packets. What it returns with an error of policy is filled
// in as far as possible.
func parseStartup(packet []byte, route *identity.Route) (startup, error) {
	code, rest := binary.BigEndian.Uint32(packet), packet[4:]
	if code == pgwire.CodeCancelRequest {
		return parseCancel(packet, rest)
	}
	if major := code >> 16; major != protocolMajor {
		if major < protocolMajor && major > 0 {
			return startup{}, endWith(stateFeatureNotSupported, fault.BadParameter, "protocol version %d.%d is not supported; use a client that speaks version 3", major, code&0xffff)
		}
		return startup{}, malformedFirst(packet, "first packet with code %d", code)
	}
	s := startup{minor: uint16(code)}
	pairs, err := parsePairs(rest)
	if err != nil {
		return s, malformedFirst(packet, "startup message: %w", err)
	}
	policy := s.apply(pairs)
	if len(s.settings) > 0 {
		s.want.Settings = make(map[string]string)
		for _, setting := range s.settings {
			s.want.Settings[setting.name] = setting.value
		}
	}
	s.fillIn(route)
	if policy == nil {
		policy = checkNames(s.want)
	}
	return s, policy
}

func parseCancel(packet, rest []byte) (startup, error) {
	id, secret, ok := pgwire.ParseCancelRequest(rest)
	if !ok {
		return startup{}, malformedFirst(packet[:4], "cancel request of %d bytes", len(packet))
	}
	return startup{cancel: &cancelkey.Key{Protocol: resource.ProtocolPostgres, ProcessID: id, Secret: secret}}, nil
}

func parsePairs(rest []byte) ([]setting, error) {
	var pairs []setting
	for {
		name, after, ok := cutString(rest)
		if !ok {
			return nil, fmt.Errorf("a name without an end")
		}
		if len(name) == 0 {
			if len(after) > 0 {
				return nil, fmt.Errorf("%d bytes behind the end", len(after))
			}
			return pairs, nil
		}
		value, after, ok := cutString(after)
		if !ok {
			return nil, fmt.Errorf("a value without an end")
		}
		pairs = append(pairs, setting{string(name), string(value)})
		rest = after
	}
}

// fillIn adds what the client left out: from its certificate, then by PostgreSQL's own rule that the
// logical database is named like the account.
func (s *startup) fillIn(route *identity.Route) {
	if route != nil {
		if s.want.User == "" {
			s.want.User = route.User
		}
		if s.want.Name == "" {
			s.want.Name = route.Database
		}
	}
	if s.want.Name == "" {
		s.want.Name = s.want.User
	}
}

func checkNames(want session.Want) error {
	for _, name := range []string{want.User, want.Name} {
		if len(name) > nameLimit {
			return endWith(stateNameTooLong, fault.BadParameter, "the name %.20q… has %d bytes, and the database would cut it off after %d; use the name as the database has it", name, len(name), nameLimit)
		}
	}
	return nil
}
