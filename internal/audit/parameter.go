package audit

import "strconv"

// Parameter is one value bound to a statement, as it was on the wire.
type Parameter struct {
	Value  []byte
	Null   bool // SQL NULL, printed as null
	Binary bool // no text, such as one in the type's binary format: printed in base64
	Long   bool // sent in pieces, which have events of their own: printed as null
}

// parameters appends bound values unless there are none. The places of values printed in base64 are
// listed under the key with the suffix "_binary", those sent in pieces with "_long"; texts that are not valid UTF-8 are kept as texts keeps them.
// Among many bytes of values, see LargeValues, those that swell are printed in base64 too.
func (e *encoder) parameters(key string, values []Parameter) {
	if len(values) == 0 {
		return
	}
	e.always(key)
	exact, binary, long, total := true, false, false, lenOf(values)
	for i := range values {
		e.element(i)
		switch v := &values[i]; {
		case v.Null, v.Long:
			long = long || v.Long
			e.b = append(e.b, "null"...)
		case v.inBase64(total):
			binary = true
			e.b = appendBase64(e.b, v.Value)
		default:
			var ok bool
			e.b, ok = appendPrinted(e.b, v.Value)
			exact = exact && ok
		}
	}
	e.b = append(e.b, ']')
	if binary {
		e.places(key+"_binary", values, func(v *Parameter) bool { return !v.Null && !v.Long && v.inBase64(total) })
	}
	if long {
		e.places(key+"_long", values, func(v *Parameter) bool { return v.Long })
	}
	if !exact {
		e.inexact(key+"_base64", values, total)
	}
}

func (e *encoder) places(key string, values []Parameter, of func(*Parameter) bool) {
	e.always(key)
	n := 0
	for i := range values {
		if of(&values[i]) {
			e.element(n)
			e.b = strconv.AppendInt(e.b, int64(i), 10)
			n++
		}
	}
	e.b = append(e.b, ']')
}

func (e *encoder) inexact(key string, values []Parameter, total int) {
	e.always(key)
	for i := range values {
		e.element(i)
		v := &values[i]
		_, exact := printable(v.Value)
		if v.Null || v.Long || exact || v.inBase64(total) {
			e.b = append(e.b, "null"...)
		} else {
			e.b = appendBase64(e.b, v.Value)
		}
	}
	e.b = append(e.b, ']')
}
