package dataplane

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" // the protocol's choice
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Flags of the handshake that a front has to know. Source: MySQL documentation, "Capabilities Flags".
const (
	myLongPassword = 1 << 0 // of MariaDB: none of its own flags follow
	myWithDatabase = 1 << 3
	myCompress     = 1 << 5
	myTLS          = 1 << 11
	mySecure       = 1 << 15
	myPluginAuth   = 1 << 19
	myAttributes   = 1 << 20
	myLongAuth     = 1 << 21
	myZstd         = 1 << 26

	myClear  = "mysql_clear_password"
	myNative = "mysql_native_password"

	nonceSize = 20
)

var errMyProtocol = errors.New("not the protocol of MySQL")

// readPacket reads one packet of the handshake.
func readPacket(r io.Reader) (payload []byte, sequence byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, 0, err
	}
	length := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if length > longestMessage {
		return nil, 0, errMyProtocol
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(r, payload)
	return payload, head[3], err
}

func packet(sequence byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}, payload...)
}

// myGreeting is the first packet of a server.
type myGreeting struct {
	version    string
	connection uint32
	nonce      []byte
	flags      uint32
	collation  byte
	status     uint16
	method     string
}

func parseGreeting(payload []byte) (*myGreeting, error) {
	if len(payload) > 0 && payload[0] == 0xff {
		return nil, parseMyError(payload)
	}
	if len(payload) == 0 || payload[0] != 10 {
		return nil, errMyProtocol
	}
	version, rest, ok := cutString(payload[1:])
	if !ok || len(rest) < 44 {
		return nil, errMyProtocol
	}
	g := &myGreeting{version: version, connection: binary.LittleEndian.Uint32(rest), nonce: append(append([]byte{}, rest[4:12]...), rest[31:43]...),
		flags: uint32(binary.LittleEndian.Uint16(rest[13:])) | uint32(binary.LittleEndian.Uint16(rest[18:]))<<16, collation: rest[15],
		status: binary.LittleEndian.Uint16(rest[16:])}
	g.method, _, ok = cutString(rest[44:])
	if !ok || g.flags&(mySecure|myPluginAuth) != mySecure|myPluginAuth {
		return nil, errMyProtocol
	}
	return g, nil
}

func (g *myGreeting) payload() []byte {
	b := append(append([]byte{10}, g.version...), 0)
	b = binary.LittleEndian.AppendUint32(b, g.connection)
	b = append(append(b, g.nonce[:8]...), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(g.flags))
	b = binary.LittleEndian.AppendUint16(append(b, g.collation), g.status)
	b = binary.LittleEndian.AppendUint16(b, uint16(g.flags>>16))
	b = append(append(b, nonceSize+1), make([]byte, 10)...)
	b = append(append(b, g.nonce[8:]...), 0)
	return append(append(b, g.method...), 0)
}

// newNonce is made of letters: it must hold no zero.
func newNonce() []byte { return []byte(rand.Text())[:nonceSize] }

// myLogin is a client's answer to the greeting.
type myLogin struct {
	flags, limit   uint32
	collation      byte
	user, database string
}

const myLoginHead = 32 // bytes; alone, they ask for TLS

func parseMyLogin(payload []byte) (*myLogin, error) {
	if len(payload) < myLoginHead {
		return nil, errMyProtocol
	}
	l := &myLogin{flags: binary.LittleEndian.Uint32(payload), limit: binary.LittleEndian.Uint32(payload[4:]), collation: payload[8]}
	if len(payload) == myLoginHead {
		return l, nil
	}
	user, rest, ok := cutString(payload[myLoginHead:])
	if !ok || len(rest) == 0 || l.flags&mySecure == 0 {
		return nil, errMyProtocol
	}
	if l.user = user; int(rest[0]) >= len(rest) || rest[0] > 250 { // a proof of the first method is short, in one byte of length
		return nil, errMyProtocol
	}
	if rest = rest[1+int(rest[0]):]; l.flags&myWithDatabase != 0 {
		if l.database, _, ok = cutString(rest); !ok {
			return nil, errMyProtocol
		}
	}
	return l, nil
}

// payload proves the password by mysql_native_password.
func (l *myLogin) payload(password string, nonce []byte) []byte {
	flags := l.flags&^(myTLS|myAttributes|myLongAuth) | mySecure | myPluginAuth
	if flags &^= myWithDatabase; l.database != "" {
		flags |= myWithDatabase
	}
	b := binary.LittleEndian.AppendUint32(nil, flags)
	b = append(binary.LittleEndian.AppendUint32(b, l.limit), l.collation)
	b = append(append(append(b, make([]byte, 23)...), l.user...), 0)
	proof := nativeProof(password, nonce)
	b = append(append(b, byte(len(proof))), proof...)
	if l.database != "" {
		b = append(append(b, l.database...), 0)
	}
	return append(append(b, myNative...), 0)
}

func nativeProof(password string, nonce []byte) []byte {
	if password == "" {
		return nil
	}
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	mask := sha1.Sum(append(bytes.Clone(nonce), second[:]...))
	for i := range first {
		first[i] ^= mask[i]
	}
	return first[:]
}

// myRefusal is the reason for which a login fails, in the words of the service.
type myRefusal struct {
	code        uint16
	state, text string
}

func (e *myRefusal) Error() string { return fmt.Sprintf("ERROR %d (%s): %s", e.code, e.state, e.text) }

func (e *myRefusal) payload() []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0xff}, e.code)
	return append(append(append(b, '#'), e.state...), e.text...)
}

// parseMyError turns an error message of a server into a refusal with the same words.
func parseMyError(payload []byte) error {
	if len(payload) < 3 || payload[0] != 0xff {
		return errMyProtocol
	}
	e := &myRefusal{code: binary.LittleEndian.Uint16(payload[1:]), state: "HY000", text: string(payload[3:])}
	if len(e.text) >= 6 && e.text[0] == '#' {
		e.state, e.text = e.text[1:6], e.text[6:]
	}
	return e
}
