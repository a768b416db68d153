package mongowire

import (
	"encoding/binary"
	"math/big"
	"strconv"
)

// appendDecimal appends a number of 128 bits in the decimal format of IEEE 754 with its coefficient in binary, as text
// (MongoDB specification "BSON Decimal128").
func appendDecimal(b []byte, high, low uint64) []byte {
	const (
		bias  = 6176
		plain = -6 // exponents below this one are written out
	)
	if high>>58&0x1f == 0x1f {
		return append(b, "NaN"...)
	}
	if high>>63 != 0 {
		b = append(b, '-')
	}
	if high>>58&0x1f == 0x1e {
		return append(b, "Infinity"...)
	}
	exponent := int(high>>49&0x3fff) - bias
	if high>>61&3 == 3 { // its coefficient would be out of range, and counts as zero
		exponent, high, low = int(high>>47&0x3fff)-bias, 0, 0
	}
	var coefficient [16]byte
	binary.BigEndian.PutUint64(coefficient[:], high&(1<<49-1))
	binary.BigEndian.PutUint64(coefficient[8:], low)
	digits := new(big.Int).SetBytes(coefficient[:]).String()
	adjusted := exponent + len(digits) - 1
	switch {
	case exponent > 0 || adjusted < plain:
		b = append(b, digits[0])
		if len(digits) > 1 {
			b = append(append(b, '.'), digits[1:]...)
		}
		b = append(b, 'E')
		if adjusted >= 0 {
			b = append(b, '+')
		}
		return strconv.AppendInt(b, int64(adjusted), 10)
	case exponent == 0:
		return append(b, digits...)
	case adjusted >= 0: // the point is among the digits
		point := len(digits) + exponent
		return append(append(append(b, digits[:point]...), '.'), digits[point:]...)
	default:
		b = append(b, "0."...)
		for range -adjusted - 1 {
			b = append(b, '0')
		}
		return append(b, digits...)
	}
}
