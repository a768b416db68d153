package mongowire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"
)

// AppendJSON appends a checked document as MongoDB's Extended JSON, version 2 relaxed. Texts keep their bytes, also where
// those are not UTF-8.
func AppendJSON(b []byte, d Document) []byte { return style{}.document(b, d) }

// style is how JSON is written.
type style struct {
	large bool // of much, see Msg.AppendLargeJSON
}

func (w style) document(b []byte, d Document) []byte {
	b = append(b, '{')
	b = w.fields(b, d)
	return append(b, '}')
}

// AppendJSON appends a message as one document: sequences are arrays in it, as they are to the server.
func (m *Msg) AppendJSON(b []byte) []byte { return style{}.message(b, m) }

// AppendLargeJSON appends it so that texts do not swell: one, of more than a few bytes, that is not UTF-8 or that escapes
// would make longer by half is in base64, as {"$binary":{"base64":"…","subType":"text"}}, which no binary value is.
func (m *Msg) AppendLargeJSON(b []byte) []byte { return style{large: true}.message(b, m) }

func (w style) message(b []byte, m *Msg) []byte {
	b = append(b, '{')
	b = w.fields(b, m.Body)
	for _, s := range m.Sequences {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(appendText(b, s.Name), ':', '[')
		first := true
		s.Each(func(d Document) {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = w.document(b, d)
		})
		b = append(b, ']')
	}
	return append(b, '}')
}

func (w style) fields(b []byte, d Document) []byte {
	first := true
	for rest := d[4 : len(d)-1]; len(rest) > 0; {
		e, after, err := next(rest)
		if err != nil {
			return b // it was checked
		}
		if rest = after; !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendText(b, e.Key), ':')
		b = w.value(b, e)
	}
	return b
}

func (w style) array(b []byte, d Document) []byte {
	b = append(b, '[')
	first := true
	for rest := d[4 : len(d)-1]; len(rest) > 0; {
		e, after, err := next(rest)
		if err != nil {
			break
		}
		if rest = after; !first {
			b = append(b, ',')
		}
		first = false
		b = w.value(b, e)
	}
	return append(b, ']')
}

func (w style) value(b []byte, e Element) []byte {
	le, v := binary.LittleEndian, e.Data
	switch e.Type {
	case Double:
		return appendDouble(b, math.Float64frombits(le.Uint64(v)))
	case String:
		text := v[4 : len(v)-1]
		if w.large && swells(text) {
			b = base64.StdEncoding.AppendEncode(append(b, binaryHead...), text)
			return append(b, `","subType":"text"}}`...)
		}
		return appendText(b, text)
	case Embedded:
		return w.document(b, Document(v))
	case Array:
		return w.array(b, Document(v))
	case Binary:
		return appendBinary(b, v)
	case Undefined:
		return append(b, `{"$undefined":true}`...)
	case ObjectID:
		b = append(b, `{"$oid":"`...)
		return append(hex.AppendEncode(b, v), `"}`...)
	case Boolean:
		return strconv.AppendBool(b, v[0] != 0)
	case DateTime:
		return appendDate(b, int64(le.Uint64(v)))
	case Null:
		return append(b, "null"...)
	case Regex:
		pattern, rest, _ := cString(v)
		options, _, _ := cString(rest)
		b = append(appendText(append(b, `{"$regularExpression":{"pattern":`...), pattern), `,"options":`...)
		return append(appendText(b, options), "}}"...)
	case DBPointer:
		n := len(v) - 12
		b = append(appendText(append(b, `{"$dbPointer":{"$ref":`...), v[4:n-1]), `,"$id":{"$oid":"`...)
		return append(hex.AppendEncode(b, v[n:]), `"}}}`...)
	case JavaScript:
		return append(appendText(append(b, `{"$code":`...), v[4:len(v)-1]), '}')
	case Symbol:
		return append(appendText(append(b, `{"$symbol":`...), v[4:len(v)-1]), '}')
	case CodeWithScope:
		n := 4 + int(le.Uint32(v[4:]))
		b = append(appendText(append(b, `{"$code":`...), v[8:4+n-1]), `,"$scope":`...)
		return append(w.document(b, Document(v[4+n:])), '}')
	case Int32:
		return strconv.AppendInt(b, int64(int32(le.Uint32(v))), 10)
	case Timestamp:
		b = strconv.AppendUint(append(b, `{"$timestamp":{"t":`...), uint64(le.Uint32(v[4:])), 10)
		return append(strconv.AppendUint(append(b, `,"i":`...), uint64(le.Uint32(v)), 10), "}}"...)
	case Int64:
		return strconv.AppendInt(b, int64(le.Uint64(v)), 10)
	case Decimal128:
		b = append(b, `{"$numberDecimal":"`...)
		return append(appendDecimal(b, le.Uint64(v[8:]), le.Uint64(v)), `"}`...)
	case MaxKey:
		return append(b, `{"$maxKey":1}`...)
	default:
		return append(b, `{"$minKey":1}`...)
	}
}

func appendDouble(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `{"$numberDouble":"NaN"}`...)
	case math.IsInf(f, 1):
		return append(b, `{"$numberDouble":"Infinity"}`...)
	case math.IsInf(f, -1):
		return append(b, `{"$numberDouble":"-Infinity"}`...)
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'G', -1, 64)
	for _, c := range b[start:] {
		if c == '.' || c == 'E' {
			return b
		}
	}
	return append(b, ".0"...) // or it would read as a whole number
}

const binaryHead = `{"$binary":{"base64":"`

func appendBinary(b, v []byte) []byte {
	subtype, data := v[4], v[5:]
	if subtype == 0x02 {
		data = data[4:]
	}
	b = append(b, binaryHead...)
	b = base64.StdEncoding.AppendEncode(b, data)
	b = append(b, `","subType":"`...)
	return append(hex.AppendEncode(b, []byte{subtype}), `"}}`...)
}

func appendDate(b []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	if ms < 0 || t.Year() > 9999 {
		b = strconv.AppendInt(append(b, `{"$date":{"$numberLong":"`...), ms, 10)
		return append(b, `"}}`...)
	}
	return append(t.AppendFormat(append(b, `{"$date":"`...), "2006-01-02T15:04:05.999Z07:00"), `"}`...)
}

const hexDigits = "0123456789abcdef"

func appendText(b, text []byte) []byte {
	b = append(b, '"')
	plain := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, text[plain:]...), '"')
}
