package audit

import (
	"encoding/base64"
	"unicode/utf8"
)

// LargeValues is beyond how many bytes of values an event has those in base64 that escapes would swell: so it is hardly
// larger than what it tells of, whatever bytes that has.
const LargeValues = 1 << 20

// Size returns about how many bytes an event has that tells of something large, and too little of a small one: it is for
// those who have to know what an event takes before it is encoded.
func Size(event Event) int {
	if v, ok := event.(sized); ok {
		return v.size() + longHead
	}
	return longHead
}

// sized is an event that may tell of something large.
type sized interface{ size() int }

func (v *DatabaseQuery) size() int {
	return textSize(v.Query) + valuesSize(v.Parameters) + textSize(v.Script)
}

func (v *PostgresParse) size() int    { return textSize(v.Query) }
func (v *PostgresBind) size() int     { return textSize(v.Query) + valuesSize(v.Parameters) }
func (v *PostgresFunction) size() int { return valuesSize(v.Args) }
func (v *MySQLPrepare) size() int     { return textSize(v.Query) }
func (v *MySQLExecute) size() int     { return valuesSize(v.Parameters) }
func (v *MySQLBulkExecute) size() int { return textSize(v.Query) + valuesSize(v.Parameters) }
func (v *MySQLLongData) size() int    { return base64Size(len(v.Data)) }
func (v *MySQLCommand) size() int     { return textSize(v.Argument) }
func (v *MySQLSchema) size() int      { return textSize(v.Name) }
func (v *MalformedPacket) size() int  { return base64Size(len(v.Payload)) }

func base64Size(n int) int { return base64.StdEncoding.EncodedLen(n) + len(`"",`) }

// textSize is for what appendPrinted appends; a text that is not long is not looked at.
func textSize(text []byte) int {
	if len(text) <= longText {
		return len(text)
	}
	if size, ok := printable(text); ok {
		return size
	}
	return base64Size(len(text)) + 6*longHead
}

// valuesSize is for what parameters appends; values that are few bytes together are not looked at.
func valuesSize(values []Parameter) (n int) {
	total := lenOf(values)
	if total+place*len(values) <= longText {
		return total
	}
	for i := range values {
		n += values[i].Size(total)
	}
	return n
}

const place = len(`1234567,`) // of a value in the list of those that are not printed as texts

// Size returns about how many bytes a value takes in an event, among others that have so many bytes in all.
func (v *Parameter) Size(total int) int {
	const null = len(`null,`)
	switch {
	case v.Null, v.Long:
		return null + place
	case v.inBase64(total):
		return base64Size(len(v.Value)) + place
	case len(v.Value) > longText:
		return textSize(v.Value) + null
	}
	size, exact := quotedLen(v.Value)
	if !exact {
		size += base64Size(len(v.Value))
	}
	return size + len(",")
}

// lenOf returns how many bytes the values have together.
func lenOf(values []Parameter) (total int) {
	for i := range values {
		total += len(values[i].Value)
	}
	return total
}

// inBase64 reports whether a value is printed in base64 alone, among others of so many bytes in all.
func (v *Parameter) inBase64(total int) bool {
	return v.Binary || total > LargeValues && len(v.Value) <= longText && Swells(v.Value) // of a longer one the head is shown
}

// Swells reports whether text is not to be printed within a large event: it is not valid UTF-8, or escaping would make it
// longer by half.
func Swells(text []byte) bool {
	left := 16 + len(text)/2 // bytes that escapes may add; a short text is not worth the place of a long one
	for i := 0; i < len(text); {
		i += plainLen(text[i:])
		if i == len(text) {
			break
		}
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			n := runeLen(text[i:])
			if n == 0 {
				return true
			}
			i += n
			continue
		case c == '"', c == '\\', c == '\n', c == '\r', c == '\t':
			left--
		default:
			left -= len(`\u0000`) - 1
		}
		if i++; left < 0 {
			return true
		}
	}
	return false
}
