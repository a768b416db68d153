package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
)

// mappedFile is a segment mapped into memory: a record survives the death of the process as soon as
// it is copied, without a system call.
type mappedFile struct {
	file   *os.File
	info   os.FileInfo
	memory []byte
}

// CreateFile makes a segment of size bytes, all zero and all allocated: running out of space is an
// error here, not a fault when the memory is written.
func CreateFile(path string, size int64) (File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &mappedFile{file: file}
	if err := f.allocate(size); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return f, nil
}

func (f *mappedFile) allocate(size int64) (err error) {
	fd := int(f.file.Fd())
	for {
		if err = unix.Fallocate(fd, 0, 0, size); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("allocating %d bytes for %s: %w", size, f.file.Name(), err)
	}
	if f.info, err = f.file.Stat(); err != nil {
		return err
	}
	f.memory, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", f.file.Name(), err)
	}
	return nil
}

// Put implements File.
func (f *mappedFile) Put(offset int64, sum uint32, line []byte) error {
	return f.guard(func() {
		record := f.memory[offset : offset+recordSize(len(line))]
		binary.LittleEndian.PutUint32(record[4:], sum)
		copy(record[recordHeader:], line)
		// The offset is a multiple of 8 and the mapping begins on a page, so the length is aligned. Its
		// bytes are little endian whatever the machine's are.
		var length [4]byte
		binary.LittleEndian.PutUint32(length[:], uint32(len(line)))
		atomic.StoreUint32((*uint32)(unsafe.Pointer(&record[0])), binary.NativeEndian.Uint32(length[:]))
	})
}

// PutHeader implements File.
func (f *mappedFile) PutHeader(header []byte) error {
	return f.guard(func() { copy(f.memory, header) })
}

// guard turns a fault of the mapped memory into an error: the disk may fail, and somebody may cut the file.
func (f *mappedFile) guard(store func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("writing %s: %v", f.file.Name(), r)
		}
	}()
	store()
	return nil
}

// Sync implements File. On Linux fdatasync covers pages that were dirtied through a shared mapping.
func (f *mappedFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.file.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("syncing %s: %w", f.file.Name(), err)
		}
		return nil
	}
}

// Check implements File.
func (f *mappedFile) Check() error { return durable.CheckName(f.file.Name(), f.info) }

// Close implements File.
func (f *mappedFile) Close() error {
	err := unix.Munmap(f.memory)
	f.memory = nil
	return errors.Join(err, f.file.Close())
}
