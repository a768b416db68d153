package postgres

import (
	"encoding/binary"
	"strconv"
)

// appendNumeric appends a number of base 10,000 (PostgreSQL, "numeric_send").
func appendNumeric(dst, value []byte) ([]byte, bool) {
	const (
		headSize    = 8
		digitSize   = 2
		perDigit    = 4
		negative    = 0x4000
		notANumber  = 0xC000
		positiveInf = 0xD000
		negativeInf = 0xF000
		maxDecimals = 16383
	)
	if len(value) < headSize {
		return dst, false
	}
	count, weight := int(binary.BigEndian.Uint16(value)), int(int16(binary.BigEndian.Uint16(value[2:])))
	sign, decimals := binary.BigEndian.Uint16(value[4:]), int(binary.BigEndian.Uint16(value[6:]))
	switch sign {
	case notANumber:
		return append(dst, "NaN"...), true
	case positiveInf:
		return append(dst, "Infinity"...), true
	case negativeInf:
		return append(dst, "-Infinity"...), true
	}
	digits := value[headSize:]
	if len(digits) != count*digitSize || sign != 0 && sign != negative || decimals > maxDecimals || weight > maxDecimals {
		return dst, false
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
