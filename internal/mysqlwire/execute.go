package mysqlwire

import "encoding/binary"

// LastStatement is the id by which MariaDB's clients mean the statement that they prepared last.
const LastStatement = 1<<32 - 1

// StatementID returns the statement that a command behind its first byte is about, and false if it names none.
func StatementID(body []byte) (id uint32, ok bool) {
	if len(body) < 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(body), true
}

// Execute is a statement's execution ("COM_STMT_EXECUTE").
type Execute struct {
	Cursor bool     // rows are fetched apart
	Types  []uint16 // of the values, for executions to come that name none
	Values []Value  // parts of the command
}

// ParseExecute reads an execution, without its first byte, of a statement with n parameters. Types are those of the
// execution before; long tells which values were sent in pieces and are not here.
func ParseExecute(body []byte, n int, types []uint16, long func(parameter int) bool) (Execute, error) {
	r := reader{rest: body}
	r.u32() // the statement
	e := Execute{Cursor: r.u8() != 0, Types: types}
	r.u32() // 1, always
	if n == 0 {
		// Some clients send an empty bitmap's rest; nothing in it means anything.
		if r.bad {
			return Execute{}, errValues
		}
		return e, nil
	}
	nulls := r.bytes((n + 7) / 8)
	switch r.u8() {
	case 0:
	case 1:
		e.Types = r.types(n)
	default: // servers take any but 0 for 1
		return Execute{}, errValues
	}
	if r.bad || len(e.Types) != n {
		return Execute{}, errValues
	}
	e.Values = make([]Value, n)
	for i := range e.Values {
		switch {
		case long(i):
			e.Values[i] = Value{Long: true}
		case nulls[i/8]&(1<<(i%8)) != 0:
			e.Values[i] = Value{Null: true}
		default:
			e.Values[i] = r.value(e.Types[i])
		}
	}
	if r.bad || len(r.rest) > 0 {
		return Execute{}, errValues
	}
	return e, nil
}

func (r *reader) types(n int) []uint16 {
	b := r.bytes(2 * n)
	types := make([]uint16, len(b)/2)
	for i := range types {
		types[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return types
}

// Flags and indicators of a bulk execution (MariaDB Knowledge Base, "COM_STMT_BULK_EXECUTE").
const (
	bulkSendTypes = 128

	bulkValue   = 0
	bulkNull    = 1
	bulkDefault = 2
	bulkIgnore  = 3

	leastValues = 64 // for which there is room at once
)

// Bulk is MariaDB's execution of a statement with many rows of values.
type Bulk struct {
	Types  []uint16
	Values []Value // of all rows, one after the other
	Rows   int
}

// ParseBulk reads such an execution, without its first byte, of a statement with n parameters. A value may have one byte, and
// takes far more here: before there is room for so many values room is asked, whose error is returned.
func ParseBulk(body []byte, n int, types []uint16, room func(values int) error) (Bulk, error) {
	r := reader{rest: body}
	r.u32() // the statement
	flags := r.u16()
	b := Bulk{Types: types}
	if flags&bulkSendTypes != 0 {
		b.Types = r.types(n)
	}
	if r.bad || n == 0 || len(b.Types) != n {
		return Bulk{}, errValues
	}
	for len(r.rest) > 0 {
		for _, typ := range b.Types {
			if len(b.Values) == cap(b.Values) {
				more := max(len(b.Values), leastValues)
				if err := room(len(b.Values) + more); err != nil {
					return Bulk{}, err
				}
				b.Values = append(make([]Value, 0, len(b.Values)+more), b.Values...)
			}
			b.Values = append(b.Values, r.indicated(typ))
		}
		b.Rows++
	}
	if r.bad {
		return Bulk{}, errValues
	}
	return b, nil
}

func (r *reader) indicated(typ uint16) Value {
	switch r.u8() {
	case bulkValue:
		return r.value(typ)
	case bulkNull:
		return Value{Null: true}
	case bulkDefault:
		return Value{Default: true}
	case bulkIgnore:
		return Value{Ignored: true}
	default:
		r.bad, r.rest = true, nil
		return Value{}
	}
}

// LongData is a piece of a value ("COM_STMT_SEND_LONG_DATA").
type LongData struct {
	Parameter uint16
	Data      []byte
}

// ParseLongData reads such a piece, without the first byte.
func ParseLongData(body []byte) (LongData, error) {
	r := reader{rest: body}
	r.u32() // the statement
	d := LongData{Parameter: r.u16(), Data: r.rest}
	if r.bad {
		return LongData{}, errValues
	}
	return d, nil
}
