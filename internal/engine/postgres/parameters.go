package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"sallyport/internal/audit"
)

// Object ids of types whose binary form is shown as text (PostgreSQL, pg_type.dat).
const (
	oidBool        = 16
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOID         = 26
	oidJSON        = 114
	oidXML         = 142
	oidFloat4      = 700
	oidFloat8      = 701
	oidUnknown     = 705
	oidBPChar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

// show returns the values with those in binary form turned into text where their type is known. What cannot be
// turned stays as it is on the wire. The result is valid until the next call.
func (p *portal) show(types []uint32) []audit.Parameter {
	p.shown = append(p.shown[:0], p.parameters...)
	p.converted = p.converted[:0]
	for i := range p.shown {
		value := &p.shown[i]
		if value.Null || !value.Binary || i >= len(types) {
			continue
		}
		from := len(p.converted)
		if text, ok := appendText(p.converted, types[i], value.Value); ok {
			p.converted = text
			value.Value, value.Binary = text[from:], false
		}
	}
	return p.shown
}

// appendText appends the text form of a value in binary form.
func appendText(dst []byte, oid uint32, value []byte) ([]byte, bool) {
	switch oid {
	case oidText, oidVarchar, oidBPChar, oidName, oidChar, oidJSON, oidXML, oidUnknown:
		return append(dst, value...), true
	case oidJSONB:
		if len(value) == 0 || value[0] != 1 {
			return dst, false
		}
		return append(dst, value[1:]...), true
	case oidNumeric:
		return appendNumeric(dst, value)
	}
	if len(value) != sizes[oid] {
		return dst, false
	}
	switch oid {
	case oidBool:
		return strconv.AppendBool(dst, value[0] != 0), true
	case oidInt2:
		return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(value))), 10), true
	case oidInt4:
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(value))), 10), true
	case oidInt8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(value)), 10), true
	case oidOID:
		return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(value)), 10), true
	case oidFloat4:
		return appendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(value))), 32, 1e6), true
	case oidFloat8:
		return appendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(value)), 64, 1e15), true
	case oidUUID:
		return appendUUID(dst, value), true
	case oidDate:
		return appendDate(dst, int32(binary.BigEndian.Uint32(value)))
	case oidTimestamp:
		return appendTime(dst, int64(binary.BigEndian.Uint64(value)))
	case oidTimestampTZ:
		dst, ok := appendTime(dst, int64(binary.BigEndian.Uint64(value)))
		if ok {
			dst = append(dst, "+00"...)
		}
		return dst, ok
	}
	return dst, false
}

// sizes are the lengths of the types that have one. For all others there is 0, which their values have not.
var sizes = map[uint32]int{
	oidBool: 1, oidInt2: 2, oidInt4: 4, oidInt8: 8, oidOID: 4, oidFloat4: 4, oidFloat8: 8, oidUUID: 16,
	oidDate: 4, oidTimestamp: 8, oidTimestampTZ: 8,
}

// appendFloat appends the shortest text that stands for the number, from the limit on with an exponent.
func appendFloat(dst []byte, number float64, bits int, limit float64) []byte {
	size := math.Abs(number)
	switch {
	case math.IsInf(number, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(number, -1):
		return append(dst, "-Infinity"...)
	case size == 0, size >= 1e-4 && size < limit:
		return strconv.AppendFloat(dst, number, 'f', -1, bits)
	default: // also what is not a number
		return strconv.AppendFloat(dst, number, 'e', -1, bits)
	}
}

func appendUUID(dst, value []byte) []byte {
	for i, part := range [][]byte{value[0:4], value[4:6], value[6:8], value[8:10], value[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const maxYear = 9999 // beyond, Go and PostgreSQL print years differently

// appendDate appends days since 2000; the infinite ones stay as they are.
func appendDate(dst []byte, days int32) ([]byte, bool) {
	day := epoch.AddDate(0, 0, int(days))
	if day.Year() < 1 || day.Year() > maxYear {
		return dst, false
	}
	return day.AppendFormat(dst, time.DateOnly), true
}

// appendTime appends microseconds since 2000.
func appendTime(dst []byte, micros int64) ([]byte, bool) {
	const perSecond = 1_000_000
	at := time.Unix(epoch.Unix()+micros/perSecond, micros%perSecond*1000).UTC()
	if at.Year() < 1 || at.Year() > maxYear {
		return dst, false
	}
	return at.AppendFormat(dst, "2006-01-02 15:04:05.999999"), true
}

// appendNumeric appends a number of base 10,000 (PostgreSQL, "numeric_send").
func appendNumeric(dst, value []byte) ([]byte, bool) {
	const (
		headSize    = 8
		digitSize   = 2
		perDigit    = 4
		negative    = 0x4000
		maxDecimals = 16383
	)
	if len(value) < headSize {
		return dst, false
	}
	count, weight := int(binary.BigEndian.Uint16(value)), int(int16(binary.BigEndian.Uint16(value[2:])))
	sign, decimals := binary.BigEndian.Uint16(value[4:]), int(binary.BigEndian.Uint16(value[6:]))
	digits := value[headSize:]
	if len(digits) != count*digitSize || sign != 0 && sign != negative || decimals > maxDecimals || weight > maxDecimals {
		return dst, false // also infinity and what is not a number
	}
	digit := func(i int) int {
		if i < 0 || i >= count {
			return 0
		}
		return int(binary.BigEndian.Uint16(digits[i*digitSize:]))
	}
	for i := range count {
		if digit(i) > 9999 {
			return dst, false
		}
	}
	if sign == negative {
		dst = append(dst, '-')
	}
	first := 0
	for first < weight && digit(first) == 0 {
		first++
	}
	if weight < 0 {
		dst = append(dst, '0')
	}
	for i := first; i <= weight; i++ {
		dst = appendDigits(dst, digit(i), i == first)
	}
	if decimals == 0 {
		return dst, true
	}
	dst = append(dst, '.')
	point := len(dst)
	for i := weight + 1; len(dst)-point < decimals; i++ {
		dst = appendDigits(dst, digit(i), false)
	}
	return dst[:point+decimals], true
}

// appendDigits appends four decimal digits, without leading zeros if short.
func appendDigits(dst []byte, digit int, short bool) []byte {
	if short {
		return strconv.AppendInt(dst, int64(digit), 10)
	}
	return append(dst, byte('0'+digit/1000), byte('0'+digit/100%10), byte('0'+digit/10%10), byte('0'+digit%10))
}
