package spool

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// recordState says what stands at a place of a segment.
type recordState int

const (
	complete recordState = iota
	cutOff               // the record goes on after the bytes that were read
	nothing              // no record has been stored here
	changed              // not a record, or no longer one
)

// decodeRecord reads the record at the start of data, which is followed by rest more bytes in the file.
func decodeRecord(data []byte, rest int64) (line []byte, state recordState) {
	if len(data) < recordHeader {
		if rest > 0 {
			return nil, cutOff
		}
		return nil, nothing
	}
	length := binary.LittleEndian.Uint32(data)
	switch size := recordHeader + int64(length); {
	case length == 0:
		return nil, nothing
	case length > maxRecord || size > int64(len(data))+rest:
		return nil, changed
	case recordSize(int(length)) > int64(len(data)) && rest > 0:
		return nil, cutOff
	}
	line = data[recordHeader : recordHeader+int(length) : recordHeader+int(length)]
	if checksum(line) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, changed
	}
	return line, complete
}

// after returns what follows the record of line at the start of data.
func after(data, line []byte) []byte { return data[min(recordSize(len(line)), int64(len(data))):] }

// segmentInfo is a segment on disk.
type segmentInfo struct {
	name   string
	number uint64
	first  uint64 // number of its first record in the stream
}

// listSegments returns the segments of a directory in the order of their records, and the names of those
// whose header cannot be read. Segments that were made and never used are left out.
func listSegments(dir string) (segments []segmentInfo, unreadable []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		base, ok := strings.CutSuffix(entry.Name(), segmentSuffix)
		number, err := strconv.ParseUint(base, 10, 64)
		if !ok || err != nil {
			continue
		}
		header, err := readHeader(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if first, ok := decodeHeader(header); ok {
			segments = append(segments, segmentInfo{entry.Name(), number, first})
		} else if !isZero(header) {
			unreadable = append(unreadable, entry.Name())
		}
	}
	slices.SortFunc(segments, func(a, b segmentInfo) int {
		if a.first != b.first {
			return compare(a.first, b.first)
		}
		return compare(a.number, b.number)
	})
	return segments, unreadable, nil
}

func compare(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

func readHeader(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	header := make([]byte, headerSize)
	n, err := file.ReadAt(header, 0)
	if n < headerSize && n > 0 || err == nil {
		return header[:n], nil
	}
	if n == 0 {
		return nil, nil // cut to nothing
	}
	return nil, err
}

// readAtOnce is how much of a segment eachRecord reads at once.
const readAtOnce = 256 << 10

// eachRecord calls visit with the complete records of a segment, up to the first that is not. A line is valid until visit
// returns: a busy process gives up several segments a second, which are large.
func eachRecord(path string, visit func(line []byte)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	buffer := make([]byte, readAtOnce)
	data, at := buffer[:0], int64(headerSize)
	for {
		line, state := decodeRecord(data, info.Size()-at)
		switch state {
		case complete:
			visit(line)
			data = after(data, line)
		case cutOff:
			if len(data) == len(buffer) {
				buffer = make([]byte, 2*len(buffer))
			}
			kept := copy(buffer, data)
			n, err := file.ReadAt(buffer[kept:], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if n == 0 {
				return nil // it was cut off meanwhile
			}
			data, at = buffer[:kept+n], at+int64(n)
		default:
			return nil
		}
	}
}
