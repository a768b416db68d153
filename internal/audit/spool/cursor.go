package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// Cursor is a place between two records of a queue.
type Cursor struct {
	file   string // name of the segment; empty before the first one
	number uint64 // of the segment
	offset int64
	seq    uint64 // number of the next record
	ended  bool   // the segment has no more records
}

// ackedName is the file that says how far a directory's records are acknowledged. It is not synced: the
// worst that follows is that records are delivered twice, which their numbers make harmless.
const ackedName = "acked"

const ackedSize = 40

func (c Cursor) encode() []byte {
	b := make([]byte, 0, ackedSize)
	b = binary.LittleEndian.AppendUint64(b, c.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.offset))
	b = binary.LittleEndian.AppendUint64(b, c.seq)
	ended := uint64(0)
	if c.ended {
		ended = 1
	}
	b = binary.LittleEndian.AppendUint64(b, ended)
	return binary.LittleEndian.AppendUint64(b, uint64(crc32.Checksum(b, castagnoli)))
}

func (c Cursor) save(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, ackedName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(c.encode(), 0)
	return errors.Join(err, file.Close())
}

// loadCursor reads what save wrote. Without an intact file everything is delivered again.
func loadCursor(dir string) (Cursor, error) {
	b, err := os.ReadFile(filepath.Join(dir, ackedName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Cursor{}, err
	}
	if len(b) != ackedSize || binary.LittleEndian.Uint64(b[32:]) != uint64(crc32.Checksum(b[:32], castagnoli)) {
		return Cursor{}, nil
	}
	number := binary.LittleEndian.Uint64(b)
	return Cursor{
		file:   segmentName(number),
		number: number,
		offset: int64(binary.LittleEndian.Uint64(b[8:])),
		seq:    binary.LittleEndian.Uint64(b[16:]),
		ended:  b[24] == 1,
	}, nil
}

func segmentName(number uint64) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }
