package postgres

import (
	"encoding/hex"
	"net/netip"
	"strconv"
)

// appendClock appends microseconds since midnight.
func appendClock(dst []byte, micros int64) ([]byte, bool) {
	const day = 24 * 3600 * perSecond
	if micros < 0 || micros > day { // 24:00:00 is a time
		return dst, false
	}
	return appendHours(dst, micros), true
}

// appendHours appends hours, minutes, seconds and their fraction.
func appendHours(dst []byte, micros int64) []byte {
	seconds := micros / perSecond
	dst = appendTwo(dst, seconds/3600)
	dst = appendTwo(append(dst, ':'), seconds/60%60)
	dst = appendTwo(append(dst, ':'), seconds%60)
	if fraction := micros % perSecond; fraction != 0 {
		dst = append(dst, '.')
		for limit := int64(perSecond / 10); fraction > 0; limit /= 10 {
			dst = append(dst, byte('0'+fraction/limit))
			fraction %= limit
		}
	}
	return dst
}

// appendTwo appends a number with at least two digits.
func appendTwo(dst []byte, n int64) []byte {
	if n < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendClockTZ appends a time with its zone, in seconds west of Greenwich.
func appendClockTZ(dst []byte, micros int64, west int32) ([]byte, bool) {
	dst, ok := appendClock(dst, micros)
	east := -int64(west)
	if !ok || east < -24*3600 || east > 24*3600 {
		return dst, false
	}
	sign := byte('+')
	if east < 0 {
		sign, east = '-', -east
	}
	dst = appendTwo(append(dst, sign), east/3600)
	if east%3600 != 0 {
		dst = appendTwo(append(dst, ':'), east/60%60)
	}
	if east%60 != 0 {
		dst = appendTwo(append(dst, ':'), east%60)
	}
	return dst, true
}

// appendInterval appends an interval in the style "postgres" (PostgreSQL documentation, "Interval Output").
func appendInterval(dst []byte, micros int64, days, months int32) []byte {
	empty, negative := true, false
	part := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if !empty {
			dst = append(dst, ' ')
		}
		if negative && n > 0 {
			dst = append(dst, '+')
		}
		dst = append(append(strconv.AppendInt(dst, n, 10), ' '), unit...)
		if n != 1 {
			dst = append(dst, 's')
		}
		empty, negative = false, n < 0
	}
	part(int64(months/12), "year")
	part(int64(months%12), "mon")
	part(int64(days), "day")
	if micros == 0 && !empty {
		return dst
	}
	if !empty {
		dst = append(dst, ' ')
	}
	switch {
	case micros < 0:
		dst = append(dst, '-')
	case negative:
		dst = append(dst, '+')
	}
	if micros < 0 {
		// One microsecond at a time for the least of all numbers, which has no opposite.
		seconds, fraction := micros/perSecond, micros%perSecond
		return appendHoursOf(dst, -seconds, -fraction)
	}
	return appendHours(dst, micros)
}

func appendHoursOf(dst []byte, seconds, fraction int64) []byte {
	dst = appendTwo(dst, seconds/3600)
	minute := appendHours(nil, seconds%3600*perSecond+fraction)
	return append(dst, minute[len("00"):]...)
}

// appendNetwork appends an address or a network (PostgreSQL, "network_send").
func appendNetwork(dst, value []byte) ([]byte, bool) {
	const (
		family4, family6 = 2, 3
		headSize         = 4
	)
	if len(value) < headSize {
		return dst, false
	}
	family, bits, isNetwork := value[0], int(value[1]), value[2] != 0
	addr, ok := netip.AddrFromSlice(value[headSize:])
	if !ok || int(value[3]) != len(value)-headSize || addr.Is4() != (family == family4) || family != family4 && family != family6 || bits > addr.BitLen() {
		return dst, false
	}
	dst = addr.AppendTo(dst)
	if isNetwork || bits != addr.BitLen() {
		dst = strconv.AppendInt(append(dst, '/'), int64(bits), 10)
	}
	return dst, true
}

// elements are the types of arrays' elements (PostgreSQL, pg_type.dat).
var elements = map[uint32]uint32{
	143: oidXML, 199: oidJSON, 651: oidCIDR, 1000: oidBool, 1001: oidBytea, 1002: oidChar, 1003: oidName, 1005: oidInt2,
	1007: oidInt4, 1009: oidText, 1014: oidBPChar, 1015: oidVarchar, 1016: oidInt8, 1021: oidFloat4, 1022: oidFloat8,
	1028: oidOID, 1041: oidInet, 1115: oidTimestamp, 1182: oidDate, 1183: oidTime, 1185: oidTimestampTZ, 1187: oidInterval,
	1231: oidNumeric, 1270: oidTimeTZ, 2951: oidUUID, 3807: oidJSONB,
}

const maxDimensions = 6 // the server's own limit

// appendArray appends an array (PostgreSQL, "array_send") in the form of "Array Input and Output Syntax".
func appendArray(dst []byte, element uint32, value []byte) ([]byte, bool) {
	d := decoder{rest: value}
	dimensions, _, oid := d.uint32(), d.uint32(), d.uint32()
	if d.err != nil || oid != element || dimensions > maxDimensions {
		return dst, false
	}
	if dimensions == 0 {
		return append(dst, "{}"...), len(d.rest) == 0
	}
	var sizes []int
	total, shifted := 1, false
	var bounds []byte
	for range dimensions {
		size, first := int64(int32(d.uint32())), int64(int32(d.uint32()))
		if d.err != nil || size < 1 || size > int64(len(value)) || total > len(value)/int(size) {
			return dst, false
		}
		total *= int(size)
		sizes = append(sizes, int(size))
		shifted = shifted || first != 1
		bounds = strconv.AppendInt(append(bounds, '['), first, 10)
		bounds = append(strconv.AppendInt(append(bounds, ':'), first+size-1, 10), ']')
	}
	if shifted {
		dst = append(append(dst, bounds...), '=')
	}
	dst, ok := appendElements(dst, &d, element, sizes, len(dst)+mostText(len(value)))
	return dst, ok && d.end() == nil
}

// appendElements appends one dimension and those within it, unless dst becomes too long.
func appendElements(dst []byte, d *decoder, element uint32, sizes []int, most int) (_ []byte, ok bool) {
	dst = append(dst, '{')
	for i := range sizes[0] {
		if i > 0 {
			dst = append(dst, ',')
		}
		if len(sizes) > 1 {
			dst, ok = appendElements(dst, d, element, sizes[1:], most)
		} else {
			dst, ok = appendElement(dst, d, element)
		}
		if !ok || len(dst) > most {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

func appendElement(dst []byte, d *decoder, element uint32) ([]byte, bool) {
	n := int32(d.uint32())
	if n == -1 && d.err == nil {
		return append(dst, "NULL"...), true
	}
	value := d.bytes(int(n))
	if d.err != nil {
		return dst, false
	}
	switch element {
	case oidBool:
		if len(value) != 1 {
			return dst, false
		}
		return append(dst, "ft"[min(value[0], 1)]), true
	case oidBytea:
		return append(hex.AppendEncode(append(dst, `"\\x`...), value), '"'), true
	}
	from := len(dst)
	dst, ok := appendText(dst, element, value)
	if !ok {
		return dst, false
	}
	return quoteElement(dst, from), true
}

// quoteElement puts what begins at from into quotes, if it needs some.
func quoteElement(dst []byte, from int) []byte {
	text := dst[from:]
	needs := len(text) == 0 || equalFold(text, "null")

	for _, c := range text {
		switch {
		case c == '"' || c == '\\':

			needs = true
		case c == '{' || c == '}' || c == ',' || isSpace(c):
			needs = true
		}
	}
	if !needs {
		return dst
	}
	plain := append([]byte(nil), text...)
	dst = append(dst[:from], '"')
	for _, c := range plain {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
