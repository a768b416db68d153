package mongowire

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// textSize is how long the text of a value is at most, without the texts, bytes and documents in it.
var textSize = [256]int{
	Double: 29, Undefined: 19, ObjectID: 35, Boolean: 5, DateTime: 49, Null: 4, Int32: 11, Timestamp: 49, Int64: 20, Decimal128: 66,
	MaxKey: 13, MinKey: 13, Binary: 41, Regex: 48, DBPointer: 66, JavaScript: 10, Symbol: 12, CodeWithScope: 20,
}

// TextSize returns a bound of the bytes that AppendJSON appends for the message, without making the text: there are values
// of two bytes whose text has fifty.
func (m *Msg) TextSize() int { return style{}.messageSize(m) }

// LargeTextSize is the same for AppendLargeJSON.
func (m *Msg) LargeTextSize() int { return style{large: true}.messageSize(m) }

func (w style) messageSize(m *Msg) int {
	n := w.fieldsSize(m.Body)
	for _, s := range m.Sequences {
		n += quotedSize(s.Name) + len(":[],")
		s.Each(func(d Document) { n += w.fieldsSize(d) + len(",") })
	}
	return n
}

// fieldsSize is for the fields of a document, with its braces.
func (w style) fieldsSize(d Document) int {
	n := len("{}")
	for rest := d[4 : len(d)-1]; len(rest) > 0; {
		e, after, err := next(rest)
		if err != nil {
			return n // it was checked
		}
		rest = after
		n += quotedSize(e.Key) + len(":,") + w.valueSize(e)
	}
	return n
}

func (w style) arraySize(d Document) int {
	n := len("[]")
	for rest := d[4 : len(d)-1]; len(rest) > 0; {
		e, after, err := next(rest)
		if err != nil {
			return n
		}
		rest = after
		n += len(",") + w.valueSize(e)
	}
	return n
}

func (w style) valueSize(e Element) int {
	n, v := textSize[e.Type], e.Data
	switch e.Type {
	case Embedded:
		return w.fieldsSize(Document(v))
	case Array:
		return w.arraySize(Document(v))
	case Binary:
		return n + len(v)*4/3
	case String:
		text := v[4 : len(v)-1]
		if w.large && swells(text) {
			return len(binaryHead) + base64.StdEncoding.EncodedLen(len(text)) + len(`","subType":"text"}}`)
		}
		return quotedSize(text)
	case JavaScript, Symbol:
		return n + quotedSize(v[4:len(v)-1])
	case Regex:
		return n + quotedSize(v)
	case DBPointer:
		return n + quotedSize(v[4:len(v)-13])
	case CodeWithScope:
		end := 8 + int(binary.LittleEndian.Uint32(v[4:]))
		return n + quotedSize(v[8:end-1]) + w.fieldsSize(Document(v[end:]))
	}
	return n
}

// quotedSize is for bytes as text, with quotes.
func quotedSize(text []byte) int {
	n := len(text) + 2
	for _, c := range text {
		switch {
		case c < ' ':
			n += 5
		case c == '"' || c == '\\':
			n++
		}
	}
	return n
}

// swells reports whether a text of a large message is recorded in base64: as text it would be longer by half in an event,
// where what escapes it here is escaped again.
func swells(text []byte) bool {
	left := 64 + len(text)/2 // bytes that escapes may add; what stands around base64 is as long
	if len(text)*6 <= left {
		return false
	}
	for _, c := range text {
		switch {
		case c >= ' ' && c != '"' && c != '\\':
			continue
		case c == '"' || c == '\\':
			left -= 3
		case c == '\n' || c == '\r' || c == '\t':
			left -= 2
		default:
			left -= 6
		}
		if left < 0 {
			return true
		}
	}
	return !utf8.Valid(text)
}
