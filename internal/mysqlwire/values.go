package mysqlwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Value is a value bound to a statement, in a form for people.
type Value struct {
	Text   []byte
	Null   bool
	Binary bool // Text is bytes rather than text
	Long   bool // it was sent before, in pieces
	// Default and Ignored are what MariaDB's bulk execution knows in place of a value.
	Default, Ignored bool
}

// Types of values ("Protocol::ColumnType"), with a flag for numbers without sign.
const (
	typeDecimal    = 0
	typeTiny       = 1
	typeShort      = 2
	typeLong       = 3
	typeFloat      = 4
	typeDouble     = 5
	typeNull       = 6
	typeTimestamp  = 7
	typeLongLong   = 8
	typeInt24      = 9
	typeDate       = 10
	typeTime       = 11
	typeDatetime   = 12
	typeYear       = 13
	typeVarchar    = 15
	typeBit        = 16
	typeJSON       = 245
	typeNewDecimal = 246
	typeEnum       = 247
	typeSet        = 248
	typeTinyBlob   = 249
	typeBlob       = 252
	typeVarString  = 253
	typeString     = 254
	typeGeometry   = 255

	unsigned = 1 << 15
)

var errValues = errors.New("values that cannot be read")

// value reads one value of a type in the binary form ("Binary Protocol Value").
func (r *reader) value(typ uint16) Value {
	signed := typ&unsigned == 0
	switch kind := typ & 0xff; kind {
	case typeNull:
		return Value{Null: true}
	case typeTiny:
		return integer(uint64(r.u8()), 8, signed)
	case typeShort, typeYear:
		return integer(uint64(r.u16()), 16, signed)
	case typeLong, typeInt24:
		return integer(uint64(r.u32()), 32, signed)
	case typeLongLong:
		return integer(r.u64(), 64, signed)
	case typeFloat:
		return Value{Text: strconv.AppendFloat(nil, float64(math.Float32frombits(r.u32())), 'g', -1, 32)}
	case typeDouble:
		return Value{Text: strconv.AppendFloat(nil, math.Float64frombits(r.u64()), 'g', -1, 64)}
	case typeDate, typeDatetime, typeTimestamp:
		return r.date()
	case typeTime:
		return r.time()
	case typeDecimal, typeNewDecimal, typeVarchar, typeVarString, typeString, typeEnum, typeSet, typeJSON:
		return Value{Text: r.counted()}
	case typeBit, typeTinyBlob, typeTinyBlob + 1, typeTinyBlob + 2, typeBlob, typeGeometry:
		return Value{Text: r.counted(), Binary: true}
	default:
		r.bad, r.rest = true, nil
		return Value{}
	}
}

func integer(bits uint64, size uint, signed bool) Value {
	if !signed {
		return Value{Text: strconv.AppendUint(nil, bits, 10)}
	}
	shift := 64 - size
	return Value{Text: strconv.AppendInt(nil, int64(bits<<shift)>>shift, 10)}
}

func (r *reader) date() Value {
	b := r.bytes(int(r.u8()))
	switch len(b) {
	case 0:
		return Value{Text: []byte("0000-00-00")}
	case 4, 7, 11:
	default:
		r.bad, r.rest = true, nil
		return Value{}
	}
	text := fmt.Appendf(nil, "%04d-%02d-%02d", binary.LittleEndian.Uint16(b), b[2], b[3])
	if len(b) >= 7 {
		text = fmt.Appendf(text, " %02d:%02d:%02d", b[4], b[5], b[6])
	}
	if len(b) == 11 {
		text = fmt.Appendf(text, ".%06d", binary.LittleEndian.Uint32(b[7:]))
	}
	return Value{Text: text}
}

func (r *reader) time() Value {
	b := r.bytes(int(r.u8()))
	switch len(b) {
	case 0:
		return Value{Text: []byte("00:00:00")}
	case 8, 12:
	default:
		r.bad, r.rest = true, nil
		return Value{}
	}
	sign := ""
	if b[0] != 0 {
		sign = "-"
	}
	hours := uint64(binary.LittleEndian.Uint32(b[1:]))*24 + uint64(b[5])
	text := fmt.Appendf(nil, "%s%02d:%02d:%02d", sign, hours, b[6], b[7])
	if len(b) == 12 {
		text = fmt.Appendf(text, ".%06d", binary.LittleEndian.Uint32(b[8:]))
	}
	return Value{Text: text}
}

// FirstText returns the first value of a row of a text result, and false for one that is NULL or cannot be read ("Text Resultset Row").
func FirstText(row []byte) (string, bool) {
	if len(row) == 0 || row[0] == 0xfb {
		return "", false
	}
	r := reader{rest: row}
	text := r.counted()
	return string(text), !r.bad
}
