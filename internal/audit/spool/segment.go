package spool

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// A segment is a header followed by records. All numbers are little endian.
//
//	header   two copies of: magic [8]byte, first uint64, version uint32, CRC32C uint32 of the 20 bytes
//	         before, 8 bytes of zero
//	record   length uint32, CRC32C uint32 of the bytes begun with the length instead of 0, the bytes,
//	         zeros to a multiple of 8
//
// A length of zero ends the records. The length is stored last, so that a record that was cut short
// by the death of the process is never taken for a complete one.
const (
	magic         = "SPSPOOL\x00"
	formatVersion = 1
	headerCopy    = 32
	headerSize    = 2 * headerCopy
	recordHeader  = 8
	maxRecord     = math.MaxInt32

	segmentSuffix = ".seg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers a record's length and its bytes.
func checksum(line []byte) uint32 { return crc32.Update(uint32(len(line)), castagnoli, line) }

// recordSize returns how much of a segment a record of so many bytes takes.
func recordSize(length int) int64 { return (recordHeader + int64(length) + 7) &^ 7 }

// encodeHeader returns a segment's header; first is the number of its first record in the stream.
func encodeHeader(first uint64) []byte {
	h := make([]byte, 0, headerSize)
	for range 2 {
		start := len(h)
		h = append(h, magic...)
		h = binary.LittleEndian.AppendUint64(h, first)
		h = binary.LittleEndian.AppendUint32(h, formatVersion)
		h = binary.LittleEndian.AppendUint32(h, crc32.Checksum(h[start:], castagnoli))
		h = append(h, make([]byte, 8)...)
	}
	return h
}

// decodeHeader reads the number of the first record from whichever copy of the header is intact.
func decodeHeader(h []byte) (first uint64, ok bool) {
	for ; len(h) >= headerCopy; h = h[headerCopy:] {
		intact := string(h[:8]) == magic && binary.LittleEndian.Uint32(h[16:]) == formatVersion &&
			binary.LittleEndian.Uint32(h[20:]) == crc32.Checksum(h[:20], castagnoli)
		if intact {
			return binary.LittleEndian.Uint64(h[8:]), true
		}
	}
	return 0, false
}

// isZero reports whether all bytes are zero.
func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
