package audit

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// timeLayout is RFC 3339 with exactly milliseconds. Times are in UTC before they are formatted.
const timeLayout = "2006-01-02T15:04:05.000Z"

// encoder appends one JSON object to a buffer. Keys come from this package and need no escaping.
type encoder struct{ b []byte }

// always appends a key that is printed whatever its value is.
func (e *encoder) always(key string) {
	if last := e.b[len(e.b)-1]; last != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, key...)
	e.b = append(e.b, '"', ':')
}

// plain appends a constant of this package, which needs no escaping.
func (e *encoder) plain(key, value string) {
	e.always(key)
	e.b = append(e.b, '"')
	e.b = append(e.b, value...)
	e.b = append(e.b, '"')
}

// text appends a string, or nothing when it is empty.
func (e *encoder) text(key, value string) {
	if value != "" {
		appendText(e, key, value)
	}
}

// statement appends a text of the client, empty or not.
func (e *encoder) statement(key string, value []byte) { appendText(e, key, value) }

func appendText[T string | []byte](e *encoder, key string, value T) {
	e.always(key)
	var exact bool
	if e.b, exact = appendPrinted(e.b, value); exact {
		return
	}
	e.base64(key+"_base64", []byte(value))
}

// base64 appends bytes, or nothing when there are none.
func (e *encoder) base64(key string, value []byte) {
	if len(value) == 0 {
		return
	}
	e.always(key)
	e.b = appendBase64(e.b, value)
}

func appendBase64(b, value []byte) []byte {
	if len(value) > longText {
		b = slices.Grow(b, base64.StdEncoding.EncodedLen(len(value))+longHead)
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// integer appends a number, zero or not.
func (e *encoder) integer(key string, value int64) {
	e.always(key)
	e.b = strconv.AppendInt(e.b, value, 10)
}

// number appends a number other than zero.
func (e *encoder) number(key string, value int64) {
	if value != 0 {
		e.integer(key, value)
	}
}

// duration appends a duration in microseconds; its key ends in "_us".
func (e *encoder) duration(key string, value time.Duration) { e.integer(key, value.Microseconds()) }

// boolean appends a truth value, false or not.
func (e *encoder) boolean(key string, value bool) {
	e.always(key)
	e.b = strconv.AppendBool(e.b, value)
}

// flag appends a truth value, or nothing when it is false.
func (e *encoder) flag(key string, value bool) {
	if value {
		e.boolean(key, true)
	}
}

// time appends a time that is not zero.
func (e *encoder) time(key string, value time.Time) {
	if value.IsZero() {
		return
	}
	e.always(key)
	e.b = append(e.b, '"')
	e.b = value.UTC().AppendFormat(e.b, timeLayout)
	e.b = append(e.b, '"')
}

// texts appends a list of strings unless it is empty. The exact bytes of those that are not valid
// UTF-8 stand at the same place of a second list, which has null for the others.
func (e *encoder) texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	e.always(key)
	exact := true
	for i, value := range values {
		e.element(i)
		var ok bool
		e.b, ok = appendQuoted(e.b, value)
		exact = exact && ok
	}
	e.b = append(e.b, ']')
	if exact {
		return
	}
	e.always(key + "_base64")
	for i, value := range values {
		e.element(i)
		if utf8.ValidString(value) {
			e.b = append(e.b, "null"...)
		} else {
			e.b = appendBase64(e.b, []byte(value))
		}
	}
	e.b = append(e.b, ']')
}

// element begins the i-th element of a list.
func (e *encoder) element(i int) {
	if i == 0 {
		e.b = append(e.b, '[')
	} else {
		e.b = append(e.b, ',')
	}
}

// object appends a nested object that fields fills, or nothing when it fills in nothing.
func (e *encoder) object(key string, fields func()) {
	start := len(e.b)
	e.always(key)
	e.b = append(e.b, '{')
	inside := len(e.b)
	fields()
	if len(e.b) == inside {
		e.b = e.b[:start]
		return
	}
	e.b = append(e.b, '}')
}

// labels appends an object of strings in the order of its keys, unless it is empty.
func (e *encoder) labels(key string, values map[string]string) {
	e.object(key, func() {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			e.name(name)
			var exact bool
			if e.b, exact = appendQuoted(e.b, values[name]); !exact {
				e.name(name + "_base64")
				e.b = appendBase64(e.b, []byte(values[name]))
			}
		}
	})
}

// lists appends an object of lists of strings in the order of its keys, unless it is empty.
func (e *encoder) lists(key string, values map[string][]string) {
	e.object(key, func() {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if len(values[name]) == 0 {
				continue
			}
			e.name(name)
			e.b = append(e.b, '[')
			for i, value := range values[name] {
				if i > 0 {
					e.b = append(e.b, ',')
				}
				e.b, _ = appendQuoted(e.b, value)
			}
			e.b = append(e.b, ']')
		}
	})
}

// name appends a key that comes from outside.
func (e *encoder) name(name string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b, _ = appendQuoted(e.b, name)
	e.b = append(e.b, ':')
}

func (e *encoder) uuid(key string, id uuid.UUID) {
	e.always(key)
	e.b = append(e.b, '"')
	e.b = hex.AppendEncode(e.b, id[0:4])
	e.b = append(e.b, '-')
	e.b = hex.AppendEncode(e.b, id[4:6])
	e.b = append(e.b, '-')
	e.b = hex.AppendEncode(e.b, id[6:8])
	e.b = append(e.b, '-')
	e.b = hex.AppendEncode(e.b, id[8:10])
	e.b = append(e.b, '-')
	e.b = hex.AppendEncode(e.b, id[10:])
	e.b = append(e.b, '"')
}

func (e *encoder) hash(key string, h *Hash) {
	e.always(key)
	e.b = append(e.b, '"')
	e.b = hex.AppendEncode(e.b, h[:])
	e.b = append(e.b, '"')
}
