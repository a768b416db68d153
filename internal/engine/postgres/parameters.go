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
	oidBytea       = 17
	oidCIDR        = 650
	oidInet        = 869
	oidTime        = 1083
	oidInterval    = 1186
	oidTimeTZ      = 1266
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

// show returns the values with those in binary form turned into text where their type is known. What cannot be
// turned, or would take far more room as text, stays as it is on the wire. The result is valid until the next call.
func (p *portal) show(types []uint32) []audit.Parameter {
	p.shown = append(p.shown[:0], p.parameters...)
	p.converted = p.converted[:0]
	for i := range p.shown {
		value := &p.shown[i]
		if value.Null || !value.Binary || i >= len(types) || len(p.converted) > mostText(len(p.values)) {
			continue
		}
		if isText(types[i]) {
			value.Binary = false // the binary form is the text
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

// mostText is how long the text of so many bytes may be. That of ordinary values has at most four times as many; but a number of
// 8 bytes may have 16,383 zeros behind its point.
func mostText(size int) int { return 64<<10 + 4*size }

// appendText appends the text form of a value in binary form.
func appendText(dst []byte, oid uint32, value []byte) ([]byte, bool) {
	if isText(oid) {
		return append(dst, value...), true
	}
	switch oid {
	case oidJSONB:
		if len(value) == 0 || value[0] != 1 {
			return dst, false
		}
		return append(dst, value[1:]...), true
	case oidNumeric:
		return appendNumeric(dst, value)
	case oidInet, oidCIDR:
		return appendNetwork(dst, value)
	}
	if element, ok := elements[oid]; ok {
		return appendArray(dst, element, value)
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
		micros := int64(binary.BigEndian.Uint64(value))
		dst, ok := appendTime(dst, micros)
		if ok && micros != math.MaxInt64 && micros != math.MinInt64 {
			dst = append(dst, "+00"...)
		}
		return dst, ok
	case oidTime:
		return appendClock(dst, int64(binary.BigEndian.Uint64(value)))
	case oidTimeTZ:
		return appendClockTZ(dst, int64(binary.BigEndian.Uint64(value)), int32(binary.BigEndian.Uint32(value[8:])))
	case oidInterval:
		return appendInterval(dst, int64(binary.BigEndian.Uint64(value)), int32(binary.BigEndian.Uint32(value[8:])), int32(binary.BigEndian.Uint32(value[12:]))), true
	}
	return dst, false
}

// isText reports whether a type's binary form is its text.
func isText(oid uint32) bool {
	switch oid {
	case oidText, oidVarchar, oidBPChar, oidName, oidChar, oidJSON, oidXML, oidUnknown:
		return true
	}
	return false
}

// sizes are the lengths of the types that have one. For all others there is 0, which their values have not.
var sizes = map[uint32]int{
	oidBool: 1, oidInt2: 2, oidInt4: 4, oidInt8: 8, oidOID: 4, oidFloat4: 4, oidFloat8: 8, oidUUID: 16,
	oidDate: 4, oidTimestamp: 8, oidTimestampTZ: 8, oidTime: 8, oidTimeTZ: 12, oidInterval: 16,
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

const perSecond = 1_000_000 // microseconds

const maxYear = 9999 // beyond, Go and PostgreSQL print years differently

const (
	infinity      = "infinity"
	minusInfinity = "-infinity"
)

// appendDate appends days since 2000.
func appendDate(dst []byte, days int32) ([]byte, bool) {
	switch days {
	case math.MaxInt32:
		return append(dst, infinity...), true
	case math.MinInt32:
		return append(dst, minusInfinity...), true
	}
	day := epoch.AddDate(0, 0, int(days))
	if day.Year() < 1 || day.Year() > maxYear {
		return dst, false
	}
	return day.AppendFormat(dst, time.DateOnly), true
}

// appendTime appends microseconds since 2000.
func appendTime(dst []byte, micros int64) ([]byte, bool) {
	switch micros {
	case math.MaxInt64:
		return append(dst, infinity...), true
	case math.MinInt64:
		return append(dst, minusInfinity...), true
	}
	at := time.Unix(epoch.Unix()+micros/perSecond, micros%perSecond*1000).UTC()
	if at.Year() < 1 || at.Year() > maxYear {
		return dst, false
	}
	return at.AppendFormat(dst, "2006-01-02 15:04:05.999999"), true
}
