package dataplane

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// LDAP is spoken as far as a simple bind goes (RFC 4511): a message is a sequence of a number and an operation.
const (
	tagSequence     = 0x30
	tagInteger      = 0x02
	tagOctets       = 0x04
	tagEnumerated   = 0x0a
	tagBind         = 0x60 // application 0
	tagBindResponse = 0x61
	tagUnbind       = 0x42
	tagSimple       = 0x80 // context 0: the password

	resultSuccess     = 0
	resultInvalid     = 49 // invalidCredentials
	resultUnwilling   = 53 // unwillingToPerform
	longestLDAPString = 64 << 10
)

var errNotLDAP = errors.New("not a simple bind of LDAP")

// element is one BER element.
type element struct {
	tag     byte
	content []byte
}

// readElement reads one element; lengths may be longer than they need be, as clients write them.
func readElement(r io.ByteReader) (element, error) {
	tag, err := r.ReadByte()
	if err != nil {
		return element{}, err
	}
	first, err := r.ReadByte()
	if err != nil {
		return element{}, err
	}
	length := int(first)
	if first >= 0x80 {
		count := int(first & 0x7f)
		if count == 0 || count > 4 {
			return element{}, errNotLDAP
		}
		length = 0
		for range count {
			b, err := r.ReadByte()
			if err != nil {
				return element{}, err
			}
			length = length<<8 | int(b)
		}
	}
	if length > longestLDAPString {
		return element{}, errNotLDAP
	}
	content := make([]byte, 0, min(length, 4096))
	for range length {
		b, err := r.ReadByte()
		if err != nil {
			return element{}, err
		}
		content = append(content, b)
	}
	return element{tag, content}, nil
}

// parts are the elements that another one is made of.
func (e element) parts() ([]element, error) {
	var all []element
	r := strings.NewReader(string(e.content))
	for r.Len() > 0 {
		one, err := readElement(r)
		if err != nil {
			return nil, errNotLDAP
		}
		all = append(all, one)
	}
	return all, nil
}

// encode writes an element with the shortest length.
func (e element) encode() []byte {
	n := len(e.content)
	switch {
	case n < 0x80:
		return append([]byte{e.tag, byte(n)}, e.content...)
	case n < 0x100:
		return append([]byte{e.tag, 0x81, byte(n)}, e.content...)
	}
	return append([]byte{e.tag, 0x82, byte(n >> 8), byte(n)}, e.content...)
}

// bind is a simple bind: message number, name, password.
type bind struct {
	id             []byte
	name, password string
}

// parseMessage reads a message; operation is its tag, and bound is filled in for a bind.
func parseMessage(message element) (operation byte, bound bind, err error) {
	parts, err := message.parts()
	if err != nil || message.tag != tagSequence || len(parts) < 2 || parts[0].tag != tagInteger || len(parts[0].content) > 4 {
		return 0, bound, errNotLDAP
	}
	bound.id = parts[0].content
	if parts[1].tag != tagBind {
		return parts[1].tag, bound, nil
	}
	fields, err := parts[1].parts()
	if err != nil || len(fields) < 3 || fields[1].tag != tagOctets || fields[2].tag != tagSimple {
		return 0, bound, errNotLDAP
	}
	bound.name, bound.password = string(fields[1].content), string(fields[2].content)
	return tagBind, bound, nil
}

func bindResponse(id []byte, result byte) []byte {
	body := element{tagEnumerated, []byte{result}}.encode()
	body = append(body, element{tagOctets, nil}.encode()...) // matched name
	body = append(body, element{tagOctets, nil}.encode()...) // diagnostic message
	content := append(element{tagInteger, id}.encode(), element{tagBindResponse, body}.encode()...)
	return element{tagSequence, content}.encode()
}

// serveLDAP answers the binds of one connection.
func serveLDAP(conn net.Conn, allow func(name, password string) bool) {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // a connection that cannot be bounded ends with the server
	r := bufio.NewReader(conn)
	for {
		message, err := readElement(r)
		if err != nil {
			return
		}
		operation, bound, err := parseMessage(message)
		if err != nil || operation == tagUnbind {
			return
		}
		result := byte(resultUnwilling)
		if operation == tagBind {
			result = resultInvalid
			if allow(bound.name, bound.password) {
				result = resultSuccess
			}
		}
		if _, err := conn.Write(bindResponse(bound.id, result)); err != nil {
			return
		}
	}
}
