package mongowire

import "encoding/binary"

// textSize is how long the text of a value is at most, without the texts, bytes and documents in it.
var textSize = [256]int{
	Double: 29, Undefined: 19, ObjectID: 35, Boolean: 5, DateTime: 49, Null: 4, Int32: 11, Timestamp: 49, Int64: 20, Decimal128: 66,
	MaxKey: 13, MinKey: 13, Binary: 41, Regex: 48, DBPointer: 66, JavaScript: 10, Symbol: 12, CodeWithScope: 20,
}

// TextSize returns a bound of the bytes that AppendJSON appends for the message, without making the text: there are values
// of two bytes whose text has fifty.
func (m *Msg) TextSize() int {
	n := fieldsSize(m.Body)
	for _, s := range m.Sequences {
		n += quotedSize(s.Name) + len(":[],")
		s.Each(func(d Document) { n += fieldsSize(d) + len(",") })
	}
	return n
}

// fieldsSize is for the fields of a document, with its braces.
func fieldsSize(d Document) int {
	n := len("{}")
	for rest := d[4 : len(d)-1]; len(rest) > 0; {
		e, after, err := next(rest)
		if err != nil {
			return n // it was checked
		}
		rest = after
		n += quotedSize(e.Key) + len(":,") + valueTextSize(e)
	}
	return n
}

func arraySize(d Document) int {
	n := len("[]")
	for rest := d[4 : len(d)-1]; len(rest) > 0; {
		e, after, err := next(rest)
		if err != nil {
			return n
		}
		rest = after
		n += len(",") + valueTextSize(e)
	}
	return n
}

func valueTextSize(e Element) int {
	n, v := textSize[e.Type], e.Data
	switch e.Type {
	case Embedded:
		return fieldsSize(Document(v))
	case Array:
		return arraySize(Document(v))
	case Binary:
		return n + len(v)*4/3
	case String, JavaScript, Symbol:
		return n + quotedSize(v[4:len(v)-1])
	case Regex:
		return n + quotedSize(v)
	case DBPointer:
		return n + quotedSize(v[4:len(v)-13])
	case CodeWithScope:
		end := 8 + int(binary.LittleEndian.Uint32(v[4:]))
		return n + quotedSize(v[8:end-1]) + fieldsSize(Document(v[end:]))
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
