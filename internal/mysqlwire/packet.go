package mysqlwire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Size returns the length of a payload and the sequence number in a packet's header, which has HeaderSize bytes.
func Size(header []byte) (size int, sequence byte) {
	return int(header[0]) | int(header[1])<<8 | int(header[2])<<16, header[3]
}

// AppendPacket appends a payload, shorter than MaxPayload, as one packet.
func AppendPacket(dst []byte, sequence byte, payload []byte) []byte {
	n := len(payload)
	dst = append(dst, byte(n), byte(n>>8), byte(n>>16), sequence)
	return append(dst, payload...)
}

// ReadPacket reads exactly one packet of at most limit bytes, and nothing behind it.
func ReadPacket(r io.Reader, limit int) (payload []byte, sequence byte, err error) {
	var header [HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, 0, err
	}
	size, sequence := Size(header[:])
	if size > limit || size == MaxPayload {
		return nil, 0, fmt.Errorf("packet of %d bytes, where at most %d are expected", size, limit)
	}
	payload = make([]byte, size)
	if _, err = io.ReadFull(r, payload); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return payload, sequence, err
}

// reader takes a payload apart. Once something is missing it is bad, and everything that follows is empty.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) u8() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// length reads an integer whose first byte says how long it is.
func (r *reader) length() uint64 {
	switch first := r.u8(); first {
	case 0xfc:
		return uint64(r.u16())
	case 0xfd:
		if b := r.bytes(3); b != nil {
			return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16
		}
		return 0
	case 0xfe:
		return r.u64()
	case 0xfb, 0xff: // NULL and an error: no numbers
		r.bad, r.rest = true, nil
		return 0
	default:
		return uint64(first)
	}
}

// counted reads a text behind its length.
func (r *reader) counted() []byte {
	n := r.length()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	return r.bytes(int(n))
}

// ended reads a text that ends with a zero.
func (r *reader) ended() []byte {
	for i, b := range r.rest {
		if b == 0 {
			text := r.bytes(i)
			r.bytes(1)
			return text
		}
	}
	r.bad, r.rest = true, nil
	return nil
}

func appendLength(dst []byte, n int) []byte {
	switch {
	case n < 0xfb:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	default:
		return binary.LittleEndian.AppendUint64(append(dst, 0xfe), uint64(n))
	}
}

func appendCounted[T string | []byte](dst []byte, text T) []byte {
	return append(appendLength(dst, len(text)), text...)
}

func appendEnded[T string | []byte](dst []byte, text T) []byte {
	return append(append(dst, text...), 0)
}
