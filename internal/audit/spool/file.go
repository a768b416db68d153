package spool

// File is one preallocated segment on disk. It is used by one goroutine at a time, except that Sync
// and Check may run beside Put.
type File interface {
	// Put stores a record at an offset that is a multiple of 8: checksum and bytes first, the length last.
	Put(offset int64, sum uint32, line []byte) error
	// PutHeader stores the segment's header.
	PutHeader(header []byte) error
	// Sync returns when everything put so far would survive the loss of power.
	Sync() error
	// Check returns an error if the file is no longer found under its name.
	Check() error
	Close() error
}
