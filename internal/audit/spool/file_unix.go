//go:build unix && !linux

package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"sallyport/internal/durable"
)

// plainFile is a segment written with a system call per record.
type plainFile struct {
	file   *os.File
	info   os.FileInfo
	buffer []byte
}

// CreateFile makes a segment of size bytes, all written as zeros so that they are allocated.
func CreateFile(path string, size int64) (File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &plainFile{file: file}
	if err := f.allocate(size); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return f, nil
}

func (f *plainFile) allocate(size int64) (err error) {
	zeros := make([]byte, 64<<10)
	for done := int64(0); done < size; {
		n, err := f.file.WriteAt(zeros[:min(int64(len(zeros)), size-done)], done)
		if err != nil {
			return fmt.Errorf("allocating %d bytes: %w", size, err)
		}
		done += int64(n)
	}
	f.info, err = f.file.Stat()
	return err
}

// Put implements File. A write that is cut short leaves a record whose checksum is wrong.
func (f *plainFile) Put(offset int64, sum uint32, line []byte) error {
	f.buffer = binary.LittleEndian.AppendUint32(f.buffer[:0], uint32(len(line)))
	f.buffer = binary.LittleEndian.AppendUint32(f.buffer, sum)
	f.buffer = append(f.buffer, line...)
	_, err := f.file.WriteAt(f.buffer, offset)
	return err
}

// PutHeader implements File.
func (f *plainFile) PutHeader(header []byte) error {
	_, err := f.file.WriteAt(header, 0)
	return err
}

// Sync implements File.
func (f *plainFile) Sync() error { return f.file.Sync() }

// Check implements File.
func (f *plainFile) Check() error { return durable.CheckName(f.file.Name(), f.info) }

// Close implements File.
func (f *plainFile) Close() error { return f.file.Close() }
