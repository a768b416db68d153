// Package proxyheader reads what a balancer at layer 4 writes in front of a connection: the PROXY protocol, versions 1
// and 2, which says where the client is.
//
// Anybody can write a header. Whether one is asked for and believed is for the caller to decide, by who sends it.
//
// Source: "The PROXY protocol, Versions 1 & 2", HAProxy, section 2.
package proxyheader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// MaxLine bounds a header of version 1, its CR LF included (section 2.1).
	MaxLine = 107
	// MaxBinary bounds one of version 2. Addresses take 52 bytes; what else balancers add (section 2.2.7) is small.
	MaxBinary = 4 << 10

	word       = "PROXY "
	unknown    = word + "UNKNOWN"
	signature  = "\r\n\r\n\x00\r\nQUIT\n"
	fixedSize  = len(signature) + 4 // of version 2: signature, version and command, family, length
	tcpOverIP4 = 0x11
	tcpOverIP6 = 0x21
	unspec     = 0x00
	unixStream = 0x31
	unixPacket = 0x32
)

// ErrNone is wrapped by the error of Read for what does not begin like a header.
var ErrNone = errors.New("it does not begin with a PROXY header")

// Read reads a header and not a byte beyond it. The address is the client's, IPv4 within IPv6 as IPv4; it is not valid
// when the header names none: then the connection is the balancer's own, such as a health check, or of a client
// that the balancer cannot name. The caller sets the deadline.
func Read(r io.Reader) (netip.AddrPort, error) {
	var first [1]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return netip.AddrPort{}, fmt.Errorf("reading a PROXY header: %w", err)
	}
	switch first[0] {
	case word[0]:
		return readLine(r)
	case signature[0]:
		return readBinary(r)
	}
	return netip.AddrPort{}, ErrNone
}

// Begins reports whether what was sent begins like a header. It reads no more after the first byte, which was read
// already, than it takes to tell, and nothing unless that byte begins one.
func Begins(first byte, r io.Reader) bool {
	switch first {
	case word[0]:
		return follows(r, word[1:]) == nil
	case signature[0]:
		return follows(r, signature[1:]) == nil
	}
	return false
}

func follows(r io.Reader, want string) error {
	for i := range len(want) {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return fmt.Errorf("reading a PROXY header: %w", err)
		}
		if b[0] != want[i] {
			return ErrNone
		}
	}
	return nil
}

// readLine reads the rest of a header of version 1.
func readLine(r io.Reader) (none netip.AddrPort, err error) {
	if err := follows(r, word[1:]); err != nil {
		return none, err
	}
	line := make([]byte, len(word), MaxLine)
	copy(line, word)
	for line[len(line)-1] != '\n' {
		if len(line) == MaxLine {
			return none, fmt.Errorf("the PROXY header is longer than %d bytes", MaxLine)
		}
		line = line[:len(line)+1] // byte by byte, because what follows is not to be read
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return none, fmt.Errorf("reading a PROXY header: %w", err)
		}
	}
	text, ended := strings.CutSuffix(string(line), "\r\n")
	if !ended {
		return none, errors.New("the PROXY header does not end in CR LF")
	}
	if text == unknown || strings.HasPrefix(text, unknown+" ") {
		return none, nil
	}
	fields := strings.Split(text, " ")
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return none, errors.New("the PROXY header is malformed")
	}
	client, err := parse(fields[1], fields[2], fields[4])
	if err != nil {
		return none, err
	}
	if _, err := parse(fields[1], fields[3], fields[5]); err != nil {
		return none, err
	}
	return checked(client)
}

func parse(family, address, port string) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() != (family == "TCP4") || ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("the PROXY header has no address of %s where one belongs", family)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(number, 10) != port {
		return netip.AddrPort{}, errors.New("the PROXY header has no port where one belongs")
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}

// readBinary reads the rest of a header of version 2.
func readBinary(r io.Reader) (none netip.AddrPort, err error) {
	if err := follows(r, signature[1:]); err != nil {
		return none, err
	}
	var fixed [fixedSize - len(signature)]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return none, fmt.Errorf("reading a PROXY header: %w", err)
	}
	versionAndCommand, family, size := fixed[0], fixed[1], int(binary.BigEndian.Uint16(fixed[2:]))
	if size > MaxBinary-fixedSize {
		return none, fmt.Errorf("the PROXY header is longer than %d bytes", MaxBinary)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return none, fmt.Errorf("reading a PROXY header: %w", err)
	}
	switch versionAndCommand {
	case 0x20: // LOCAL: addresses, if any, mean nothing
		return none, nil
	case 0x21: // PROXY
	default:
		return none, fmt.Errorf("the PROXY header has the version and command 0x%02x", versionAndCommand)
	}
	length := 0 // of an address
	switch family {
	case unspec, unixStream, unixPacket:
		return none, nil
	case tcpOverIP4:
		length = 4
	case tcpOverIP6:
		length = 16
	default:
		return none, fmt.Errorf("the PROXY header is of family and protocol 0x%02x, which is not TCP", family)
	}
	if size < 2*length+4 {
		return none, errors.New("the PROXY header is too short for its addresses")
	}
	ip, _ := netip.AddrFromSlice(rest[:length]) // of a length that it has
	return checked(netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest[2*length:])))
}

// checked returns a client's address in its canonical form, or an error for what no client can have.
func checked(client netip.AddrPort) (netip.AddrPort, error) {
	ip := client.Addr().Unmap()
	if ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.AddrPort{}, fmt.Errorf("the PROXY header names %s, which is nobody's address", ip)
	}
	return netip.AddrPortFrom(ip, client.Port()), nil
}
