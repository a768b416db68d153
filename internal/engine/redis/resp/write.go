package resp

import (
	"strconv"
	"strings"
)

func appendHeader(b []byte, typ byte, n int) []byte {
	b = append(b, typ)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}

// AppendBulk appends a string of any bytes.
func AppendBulk[T string | []byte](b []byte, text T) []byte {
	b = appendHeader(b, Bulk, len(text))
	b = append(b, text...)
	return append(b, '\r', '\n')
}

// AppendInteger appends a number.
func AppendInteger(b []byte, n int64) []byte {
	b = strconv.AppendInt(append(b, Integer), n, 10)
	return append(b, '\r', '\n')
}

// AppendArray appends the beginning of an array, which so many elements follow.
func AppendArray(b []byte, elements int) []byte { return appendHeader(b, Array, elements) }

// AppendSimple appends a status such as OK.
func AppendSimple(b []byte, text string) []byte {
	b = append(b, Simple)
	b = append(b, oneLine(text)...)
	return append(b, '\r', '\n')
}

// AppendError appends an error: a code in upper case, and a text, which is put on one line.
func AppendError(b []byte, code, text string) []byte {
	b = append(b, Error)
	b = append(b, code...)
	b = append(b, ' ')
	b = append(b, oneLine(text)...)
	return append(b, '\r', '\n')
}

func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}
