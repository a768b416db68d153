package mysqlwire_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"sallyport/internal/mysqlwire"
)

// lengthAt returns the length at the beginning of a row and how many bytes say it; ok is false for NULL and for what says none.
func lengthAt(row []byte) (n uint64, head int, ok bool) {
	wide := append(append([]byte{}, row[1:]...), make([]byte, 8)...)
	switch {
	case row[0] < 0xfb:
		return uint64(row[0]), 1, true
	case row[0] == 0xfc:
		return uint64(binary.LittleEndian.Uint16(wide)), 3, true
	case row[0] == 0xfd:
		return uint64(binary.LittleEndian.Uint32(append(wide[:3:3], 0))), 4, true
	case row[0] == 0xfe:
		return binary.LittleEndian.Uint64(wide), 9, true
	}
	return 0, 0, false
}

// FuzzFirstText checks that the first value of a row is just the bytes that its length says, or is not read at all.
func FuzzFirstText(f *testing.F) {
	f.Add([]byte("\x0falice@localhost"))
	f.Add([]byte("\x0a@localhost\x01x"))
	f.Add([]byte("\x00"))
	f.Add([]byte("\xfb"))
	f.Add([]byte("\xff"))
	f.Add([]byte("\x05shor"))
	f.Add([]byte("\xfc"))
	f.Add(append([]byte{0xfc, 0xfb, 0}, strings.Repeat("x", 0xfb)...))
	f.Add([]byte("\xfd\x02\x00\x00ab"))
	f.Add([]byte("\xfe\xff\xff\xff\xff\xff\xff\xff\xffab"))
	f.Fuzz(func(t *testing.T, row []byte) {
		text, ok := mysqlwire.FirstText(row)
		if len(row) == 0 {
			if ok {
				t.Fatal("an empty row has a value")
			}
			return
		}
		n, head, said := lengthAt(row)
		whole := said && head <= len(row) && n <= uint64(len(row)-head)
		if ok != whole {
			t.Fatalf("read: %t, of %d bytes of which %d say that there are %d", ok, len(row), head, n)
		}
		if ok && text != string(row[head:head+int(n)]) {
			t.Fatalf("%q was read in %q", text, row)
		}
	})
}
