// Package resp reads and writes what clients and servers of Redis say to each other: RESP2, RESP3, and commands typed
// in a line (https://redis.io/docs/latest/develop/reference/protocol-spec/).
//
// It is stricter than the server: a number has one spelling, and each line ends in CR LF. What it reads, the server
// reads in the same way; what it does not read is not to be passed on.
package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// Types of what comes, by its first byte.
const (
	Array      = '*'
	Bulk       = '$'
	Simple     = '+'
	Error      = '-'
	Integer    = ':'
	Null       = '_'
	Boolean    = '#'
	Double     = ','
	BigNumber  = '('
	BlobError  = '!'
	Verbatim   = '='
	Map        = '%'
	Set        = '~'
	Attributes = '|'
	Push       = '>'
)

// ErrProtocol is what all errors about malformed input are.
var ErrProtocol = errors.New("not part of the protocol")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// line returns what stands between the first byte of data and the CR LF that must end it, and the size of both. It
// returns size 0 when the end has not arrived.
func line(data []byte, limit int) (text []byte, size int, err error) {
	end := bytes.IndexByte(data[:min(len(data), limit)], '\n')
	if end < 0 {
		if len(data) >= limit {
			return nil, 0, malformed("a line of more than %d bytes", limit)
		}
		return nil, 0, nil
	}
	if end < 2 || data[end-1] != '\r' || bytes.IndexByte(data[1:end-1], '\r') >= 0 {
		return nil, 0, malformed("a line that does not end in CR LF")
	}
	return data[1 : end-1], end + 1, nil
}

// errNumber does not say what stands in place of the number: in a command it may be part of a password.
var errNumber = malformed("a number that is not written in decimal digits alone")

// number reads a decimal number in its only spelling: no sign but for a minus, no zeros before it.
func number(text []byte) (int64, error) {
	digits := text
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 1 && digits[0] == '0' || negative && digits[0] == '0' {
		return 0, errNumber
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, errNumber
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, nil
}

// short returns the beginning of a text for an error.
func short(text []byte) []byte { return text[:min(len(text), 32)] }

const maxNumberLine = 24 // type, sign, 20 digits, CR LF
