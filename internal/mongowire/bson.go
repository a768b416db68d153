package mongowire

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Type says what an element of a document is.
type Type byte

// The types of BSON.
const (
	Double        Type = 0x01
	String        Type = 0x02
	Embedded      Type = 0x03
	Array         Type = 0x04
	Binary        Type = 0x05
	Undefined     Type = 0x06
	ObjectID      Type = 0x07
	Boolean       Type = 0x08
	DateTime      Type = 0x09
	Null          Type = 0x0a
	Regex         Type = 0x0b
	DBPointer     Type = 0x0c
	JavaScript    Type = 0x0d
	Symbol        Type = 0x0e
	CodeWithScope Type = 0x0f
	Int32         Type = 0x10
	Timestamp     Type = 0x11
	Int64         Type = 0x12
	Decimal128    Type = 0x13
	MaxKey        Type = 0x7f
	MinKey        Type = 0xff
)

// Document is a document of BSON, or the elements of an array as one. What is taken out of it shares its bytes.
type Document []byte

// Element is a field of a document.
type Element struct {
	Key  []byte
	Type Type
	Data []byte // of the value
}

// next cuts the first element off.
func next(b []byte) (e Element, rest []byte, err error) {
	if len(b) == 0 {
		return e, nil, errShort
	}
	e.Type = Type(b[0])
	key, b, ok := cString(b[1:])
	if !ok {
		return e, nil, errShort
	}
	size, err := valueSize(e.Type, b)
	if err != nil {
		return e, nil, err
	}
	e.Key, e.Data = key, b[:size]
	return e, b[size:], nil
}

// valueSize returns how many bytes of b are the value of the type.
func valueSize(t Type, b []byte) (int, error) {
	size, prefix := 0, false
	switch t {
	case Undefined, Null, MinKey, MaxKey:
	case Boolean:
		size = 1
	case Int32:
		size = 4
	case Double, DateTime, Int64, Timestamp:
		size = 8
	case ObjectID:
		size = 12
	case Decimal128:
		size = 16
	case String, JavaScript, Symbol:
		size, prefix = 4, true
	case Binary:
		size, prefix = 5, true
	case DBPointer:
		size, prefix = 16, true
	case Embedded, Array, CodeWithScope:
		prefix = true
	case Regex:
		_, rest, ok := cString(b)
		if ok {
			_, rest, ok = cString(rest)
		}
		if !ok {
			return 0, errShort
		}
		return len(b) - len(rest), nil
	default:
		return 0, fmt.Errorf("an element of type 0x%02x", byte(t))
	}
	if prefix {
		if len(b) < 4 {
			return 0, errShort
		}
		n := int(int32(binary.LittleEndian.Uint32(b)))
		if n < 0 {
			return 0, errShort
		}
		size += n
	}
	if size > len(b) {
		return 0, errShort
	}
	return size, nil
}

// cutDocument cuts a document off the beginning of b. Only its length is looked at.
func cutDocument(b []byte) (doc Document, rest []byte, err error) {
	if len(b) < 5 {
		return nil, nil, errShort
	}
	size := int64(int32(binary.LittleEndian.Uint32(b)))
	if size < 5 || size > maxDocument || size > int64(len(b)) {
		return nil, nil, fmt.Errorf("a document of %d bytes, where there are %d", size, len(b))
	}
	return Document(b[:size]), b[size:], nil
}

// Check reads all of a document and reports what is wrong with it. The methods of a checked document and of what is in it
// do not fail.
func (d Document) Check() error { return check(d, 1) }

func check(d []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("documents within documents, more than %d deep", maxDepth)
	}
	if len(d) < 5 || int64(int32(binary.LittleEndian.Uint32(d))) != int64(len(d)) || d[len(d)-1] != 0 {
		return fmt.Errorf("a document whose length is wrong")
	}
	for b := d[4 : len(d)-1]; len(b) > 0; {
		e, rest, err := next(b)
		if err != nil {
			return err
		}
		if err := checkValue(e.Type, e.Data, depth); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func checkValue(t Type, b []byte, depth int) error {
	switch t {
	case Embedded, Array:
		return check(b, depth+1)
	case String, JavaScript, Symbol:
		return checkString(b)
	case Boolean:
		if b[0] > 1 {
			return fmt.Errorf("a truth value of %d", b[0])
		}
	case DBPointer:
		return checkString(b[:len(b)-12])
	case Binary:
		// The old kind repeats its length.
		if b[4] == 0x02 && (len(b) < 9 || int64(binary.LittleEndian.Uint32(b[5:])) != int64(len(b)-9)) {
			return fmt.Errorf("a binary value whose lengths differ")
		}
	case CodeWithScope:
		if len(b) < 4+5+5 {
			return errShort
		}
		size := int64(4) + int64(int32(binary.LittleEndian.Uint32(b[4:])))
		if size < 5 || size > int64(len(b)-4-5) {
			return errShort
		}
		if err := checkString(b[4 : 4+size]); err != nil {
			return err
		}
		return check(b[4+size:], depth+1)
	}
	return nil
}

// checkString checks a text with its length before it, and a zero at its end.
func checkString(b []byte) error {
	if len(b) < 5 || int64(int32(binary.LittleEndian.Uint32(b))) != int64(len(b)-4) || b[len(b)-1] != 0 {
		return fmt.Errorf("a text whose length is wrong")
	}
	return nil
}

// Elements returns the elements of a checked document in order.
func (d Document) Elements() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for b := d[4 : len(d)-1]; len(b) > 0; {
			e, rest, err := next(b)
			if err != nil || !yield(e) {
				return
			}
			b = rest
		}
	}
}

// Find returns the first element of a checked document with the key.
func (d Document) Find(key string) (Element, bool) {
	for e := range d.Elements() {
		if string(e.Key) == key {
			return e, true
		}
	}
	return Element{}, false
}

// Text returns a value that is a text.
func (e Element) Text() (text []byte, ok bool) {
	if e.Type != String {
		return nil, false
	}
	return e.Data[4 : len(e.Data)-1], true
}

// Document returns a value that is a document.
func (e Element) Document() (Document, bool) { return Document(e.Data), e.Type == Embedded }

// Array returns the values of an array, as those of a document.
func (e Element) Array() (Document, bool) { return Document(e.Data), e.Type == Array }

// Binary returns a value of bytes.
func (e Element) Binary() ([]byte, bool) {
	if e.Type != Binary || e.Data[4] == 0x02 {
		return nil, false
	}
	return e.Data[5:], true
}

// Number returns a value that is a number, cut off to a whole one.
func (e Element) Number() (int64, bool) {
	le := binary.LittleEndian
	switch e.Type {
	case Int32:
		return int64(int32(le.Uint32(e.Data))), true
	case Int64:
		return int64(le.Uint64(e.Data)), true
	case Double:
		f := math.Float64frombits(le.Uint64(e.Data))
		if f >= math.MinInt64 && f < math.MaxInt64 {
			return int64(f), true
		}
	}
	return 0, false
}

// True reports whether a value counts as true: a number other than zero, or the truth value.
func (e Element) True() bool {
	if e.Type == Boolean {
		return e.Data[0] != 0
	}
	n, ok := e.Number()
	return ok && n != 0
}
