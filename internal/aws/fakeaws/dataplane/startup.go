package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// The codes of the first packet. Source: PostgreSQL documentation, "Message Formats".
const (
	codeVersion3 = 3 << 16
	codeSSL      = 1234<<16 | 5679
	codeGSS      = 1234<<16 | 5680
	codeCancel   = 1234<<16 | 5678

	longestMessage = 64 << 10
)

var errProtocol = errors.New("not the protocol of PostgreSQL")

// readStartup reads a packet that has no type: its code and what follows.
func readStartup(r io.Reader) (code uint32, rest []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[:4])
	if length < 8 || length > longestMessage {
		return 0, nil, errProtocol
	}
	rest = make([]byte, length-8)
	_, err = io.ReadFull(r, rest)
	return binary.BigEndian.Uint32(head[4:]), rest, err
}

func startup(code uint32, rest []byte) []byte {
	packet := binary.BigEndian.AppendUint32(nil, uint32(len(rest)+8))
	return append(binary.BigEndian.AppendUint32(packet, code), rest...)
}

// parameters reads the names and values of a StartupMessage.
func parameters(rest []byte) (map[string]string, error) {
	all := map[string]string{}
	for {
		name, after, ok := cutString(rest)
		if !ok {
			return nil, errProtocol
		}
		if name == "" {
			return all, nil
		}
		value, after, ok := cutString(after)
		if !ok {
			return nil, errProtocol
		}
		all[name], rest = value, after
	}
}

func encodeParameters(all map[string]string) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b = append(append(append(append(b, name...), 0), all[name]...), 0)
	}
	return append(b, 0)
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	before, after, ok := strings.Cut(string(b), "\x00")
	return before, []byte(after), ok
}

// readMessage reads a message with a type.
func readMessage(r io.Reader) (kind byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 || length > longestMessage {
		return 0, nil, errProtocol
	}
	content = make([]byte, length-4)
	_, err = io.ReadFull(r, content)
	return head[0], content, err
}

func message(kind byte, content []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content)+4))
	return append(b, content...)
}

// refusal is the reason for which a login fails, in the words of the service.
type refusal struct{ code, text string }

func (e *refusal) Error() string { return e.text }

func refusef(code, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// message is the ErrorResponse that a client is sent.
func (e *refusal) message() []byte {
	var content []byte
	for _, field := range []string{"SFATAL", "VFATAL", "C" + e.code, "M" + e.text} {
		content = append(append(content, field...), 0)
	}
	return message('E', append(content, 0))
}
