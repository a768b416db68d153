package spool_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/internal/audit/spool"
)

// deadSpool returns the directory of a spool whose process has died after count records, and its segments.
func deadSpool(t testing.TB, count int) (dir string, segments []string) {
	t.Helper()
	dir = t.TempDir()
	s, err := spool.Open(spool.Config{Dir: dir, SegmentSize: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for n := range count {
		appendRecord(t, s, record(n))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err = filepath.Glob(filepath.Join(dir, s.Stream(), "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(segments)
	return dir, segments
}

// change applies a function to a file's content.
func change(t testing.TB, path string, apply func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, apply(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// offsets returns where the records of an intact segment begin, and where the last one ends.
func offsets(data []byte) []int {
	at := []int{64}
	for {
		last := at[len(at)-1]
		if last+8 > len(data) {
			return at
		}
		length := int(binary.LittleEndian.Uint32(data[last:]))
		if length == 0 {
			return at
		}
		at = append(at, last+(8+length+7)&^7)
	}
}

func TestTornLastRecordIsCutOffAndReported(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		tear func(data []byte, last, end int) []byte
	}{
		{"the length is missing", func(d []byte, last, _ int) []byte { clear(d[last : last+4]); return d }},
		{"the end of the bytes is missing", func(d []byte, _, end int) []byte { clear(d[end-16 : end]); return d }},
		{"the file ends within the record", func(d []byte, _, end int) []byte { return d[:end-16] }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, segments := deadSpool(t, 100)
			last := segments[len(segments)-1]
			offset := 0
			change(t, last, func(d []byte) []byte {
				at := offsets(d)
				offset = at[len(at)-2]
				return c.tear(d, offset, at[len(at)-1])
			})
			lines, damage := drain(t, adopted(t, open(t, spool.Config{Dir: dir})))
			if len(lines) != 99 {
				t.Errorf("%d records, want 99", len(lines))
			}
			if len(damage) != 1 || damage[0].File != filepath.Base(last) || damage[0].Offset != int64(offset) || damage[0].Lost != 0 {
				t.Errorf("damage %+v, want one at %d of %s", damage, offset, last)
			}
		})
	}
}

func TestDamageInTheMiddleIsOwnedUpTo(t *testing.T) {
	t.Parallel()
	dir, segments := deadSpool(t, 100)
	var before, after int // records of the damaged segment before and from the damage on
	change(t, segments[1], func(d []byte) []byte {
		at := offsets(d)
		before = len(at) / 2
		after = len(at) - 1 - before
		d[at[before]+12] ^= 1
		return d
	})
	s := open(t, spool.Config{Dir: dir})
	q := adopted(t, s)
	lines, damage := drain(t, q)
	if len(lines) != 100-after {
		t.Errorf("%d records, want %d", len(lines), 100-after)
	}
	if len(damage) != 1 || damage[0].Lost != uint64(after) || damage[0].File != filepath.Base(segments[1]) {
		t.Errorf("damage %+v, want %d lost in %s", damage, after, segments[1])
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*")); len(kept) != 1 {
		t.Errorf("the damaged segment was not kept: %v", kept)
	}
}

func TestUnreadableSegmentIsKeptAside(t *testing.T) {
	t.Parallel()
	dir, segments := deadSpool(t, 100)
	var inside int
	change(t, segments[1], func(d []byte) []byte {
		inside = len(offsets(d)) - 1
		d[3] ^= 1
		d[35] ^= 1
		return d
	})
	s := open(t, spool.Config{Dir: dir})
	lines, damage := drain(t, adopted(t, s))
	if len(lines) != 100-inside || len(damage) == 0 {
		t.Errorf("%d records, want %d; damage %+v", len(lines), 100-inside, damage)
	}
	if err := s.Recover(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pending(); err != nil {
		t.Fatal(err)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "damaged-*")); len(kept) != 1 {
		t.Errorf("the unreadable segment was not kept: %v", kept)
	}
}

func TestOneIntactCopyOfTheHeaderIsEnough(t *testing.T) {
	t.Parallel()
	for _, flip := range []int{0, 12, 20, 40, 55} {
		dir, segments := deadSpool(t, 50)
		change(t, segments[1], func(d []byte) []byte { d[flip] ^= 4; return d })
		if lines, damage := drain(t, adopted(t, open(t, spool.Config{Dir: dir}))); len(lines) != 50 || len(damage) != 0 {
			t.Errorf("flip at %d: %d records, damage %v", flip, len(lines), damage)
		}
	}
}

func TestLostPositionOnlyMeansDeliveringAgain(t *testing.T) {
	t.Parallel()
	dir, segments := deadSpool(t, 50)
	first := open(t, spool.Config{Dir: dir})
	batch, err := adopted(t, first).ReadBatch(7, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := adopted(t, first).Ack(batch.Cursor); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, filepath.Join(filepath.Dir(segments[0]), "acked"), func(d []byte) []byte { d[8] ^= 1; return d })
	for _, q := range pending(t, open(t, spool.Config{Dir: dir}), 2) {
		if q.Stream() == filepath.Base(filepath.Dir(segments[0])) {
			if lines, _ := drain(t, q); len(lines) != 50 {
				t.Errorf("%d records", len(lines))
			}
		}
	}
}

// FuzzRecovery damages one segment by cutting it and flipping bits. No record before the damage may be
// lost, none after it in other segments, and none may come back changed.
func FuzzRecovery(f *testing.F) {
	f.Add(uint8(0), uint16(70), uint8(1), uint16(0xffff))
	f.Add(uint8(1), uint16(0), uint8(0x80), uint16(0xffff))
	f.Add(uint8(2), uint16(2000), uint8(3), uint16(2001))
	f.Add(uint8(9), uint16(4095), uint8(0), uint16(10))
	f.Add(uint8(9), uint16(64), uint8(0xff), uint16(0))
	const count = 60
	f.Fuzz(func(t *testing.T, which uint8, flipAt uint16, flip uint8, size uint16) {
		dir, segments := deadSpool(t, count)
		target := int(which) % len(segments)
		safe, total := 0, 0 // records before the damage, and of all segments before
		for _, path := range segments[:target] {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			total += len(offsets(data)) - 1
		}
		var inside int
		change(t, segments[target], func(d []byte) []byte {
			at := offsets(d)
			inside = len(at) - 1
			d = d[:min(len(d), int(size))]
			damagedFrom := len(d)
			if i := int(flipAt); i < len(d) && flip != 0 {
				d[i] ^= flip
				damagedFrom = min(damagedFrom, i)
				if i < 64 { // the header has two copies
					damagedFrom = len(d)
				}
			}
			if len(d) < 32 || len(d) < 64 && int(flipAt) < 32 && flip != 0 {
				damagedFrom = 0
			}
			for _, end := range at[1:] {
				if end <= damagedFrom {
					safe++
				}
			}
			return d
		})
		q := adopted(t, open(t, spool.Config{Dir: dir}))
		got := make(map[uint64][]byte)
		for {
			batch, err := q.ReadBatch(10, 1<<10)
			if err != nil {
				t.Fatal(err)
			}
			if len(batch.Lines) == 0 {
				break
			}
			for i, line := range batch.Lines {
				got[batch.FirstSeq+uint64(i)] = bytes.Clone(line)
			}
		}
		for n := range count {
			line, ok := got[uint64(n)]
			if ok && !bytes.Equal(line, record(n)) {
				t.Fatalf("record %d came back as %q", n, line)
			}
			if mustBeThere := n < total+safe || n >= total+inside; mustBeThere && !ok {
				t.Fatalf("record %d is lost; damaged is segment %d with records %d to %d, of which %d are whole", n, target, total, total+inside, safe)
			}
		}
	})
}
