// Package spool keeps audit events on the agent's own disk until the audit log has them.
//
// Each process writes its own directory of segments, named by a random process-start id, and numbers its
// records from 0 without holes: the id and the number name a record for good. Append makes a record
// survive the death of the process, Sync makes it survive the loss of power. What a dead process left
// is adopted by the next one. When nothing can be stored, everything fails until it can: no event is dropped.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/bell"
	"sallyport/internal/durable"
	"sallyport/internal/fault"
)

// ErrFull is returned when a record would make the spools of this host larger than their limit.
var ErrFull = fault.New(fault.LimitExceeded,
	"the audit spool of the database service is full because events could not be delivered; ask an administrator to check the connection to the auth service")

// Config says where and how much. Only Dir must be set.
type Config struct {
	Dir         string        // the spool directory of the host; made if missing
	SegmentSize int64         // default 16 MiB; larger records get a segment of their own
	Limit       int64         // of all segments of all processes; default 1 GiB
	SyncDelay   time.Duration // how long a record waits for a sync that nobody asked for; default 150 ms

	// Create makes segments; default CreateFile.
	Create func(path string, size int64) (File, error)
}

// Pos says how far a stream has got: the number of the record after the one it was returned for.
type Pos uint64

// Spool is this process's part of the spool. It is safe for concurrent use.
type Spool struct {
	config Config
	stream string
	path   string
	dir    *os.File // holds the lock

	mu      sync.Mutex
	current *segment      // nil while the spool is poisoned, or could not make its first one
	spare   *segment      // the next one, made ahead of time
	sealed  []*segment    // full, and not synced yet
	number  int           // of the next segment's file
	next    uint64        // number of the next record
	synced  Pos           // what is known to survive the loss of power
	lost    []span        // what was appended to segments that were given up
	refuse  []*segment    // given up, and not closed yet because a sync may be using them
	failed  error         // why nothing can be appended
	syncing chan struct{} // closed when the sync that is under way ends
	changed bell.Bell     // rings when more can be delivered

	reserve sync.Mutex // held while the reserve is made or used; taken after mu

	own     *Queue            // like all that follows owned by the goroutine that delivers
	adopted map[string]*Queue // of dead processes, by stream
	written map[string]bool   // sessions whose lost end this process has written
}

// segment is a file being written.
type segment struct {
	file   File
	number int
	size   int64
	end    int64 // where the next record goes
}

// span is a range of positions, from excluded, to included, that will never be durable, and why.
type span struct {
	from, to Pos
	cause    error
}

// Open makes this process's directory and its first segment. Run must run for as long as it is used. Without
// space for the segment the spool opens all the same and refuses events: only delivering what earlier
// processes left may make that space.
func Open(config Config) (*Spool, error) {
	if config.SegmentSize == 0 {
		config.SegmentSize = 16 << 20
	}
	if config.Limit == 0 {
		config.Limit = 1 << 30
	}
	if config.SyncDelay == 0 {
		config.SyncDelay = 150 * time.Millisecond
	}
	if config.Create == nil {
		config.Create = CreateFile
	}
	if config.SegmentSize < headerSize+recordSize(1) {
		return nil, fmt.Errorf("a spool segment of %d bytes has no room for a record", config.SegmentSize)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	s := &Spool{
		config: config, stream: id.String(), path: filepath.Join(config.Dir, id.String()),
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the audit spool: %w", err)
	}
	if s.dir, err = makeDir(config.Dir, s.stream); err != nil {
		return nil, fmt.Errorf("opening the audit spool: %w", err)
	}
	s.own = &Queue{spool: s, stream: s.stream, path: s.path}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.rotate(config.SegmentSize); err != nil && !noSpace(err) {
		return nil, errors.Join(err, s.dir.Close())
	}
	return s, nil
}

// Stream returns the process-start id.
func (s *Spool) Stream() string { return s.stream }

// End returns how far this process's own stream has got.
func (s *Spool) End() Pos {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Pos(s.next)
}

// Err returns why nothing can be appended now, or nil.
func (s *Spool) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Append stores one event so that it survives the death of the process. The line is copied. After an
// error nothing was stored; errors are faults for the user, and end when Run could repair the cause.
func (s *Spool) Append(line []byte) (Pos, error) {
	if len(line) == 0 || len(line) > maxRecord {
		return 0, fmt.Errorf("an audit record of %d bytes", len(line))
	}
	sum := checksum(line)
	size := recordSize(len(line))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	if s.current.end+size > s.current.size {
		if err := s.rotate(max(s.config.SegmentSize, headerSize+size)); err != nil {
			return 0, err
		}
	}
	if err := s.current.file.Put(s.current.end, sum, line); err != nil {
		s.poison(err)
		return 0, s.failed
	}
	s.current.end += size
	s.next++
	return Pos(s.next), nil
}

// rotate goes on in a new segment of the size. Called with mu held. A failure to make one of the usual
// size makes the spool fail; a single record may be too large for what is left.
func (s *Spool) rotate(size int64) error {
	next := s.spare
	if next == nil || next.size < size {
		made, err := s.create(s.number, size)
		if err != nil {
			err = s.refusal(err)
			if size == s.config.SegmentSize {
				s.failed = err
			}
			return err
		}
		s.number++
		next = made
	} else {
		s.spare = nil
	}
	if err := next.file.PutHeader(encodeHeader(s.next)); err != nil {
		s.poison(errors.Join(err, next.file.Close()))
		return s.failed
	}
	if s.current != nil {
		s.sealed = append(s.sealed, s.current)
	}
	s.current = next
	return nil
}

// create makes the file of a segment whose name is durable.
func (s *Spool) create(number int, size int64) (*segment, error) {
	if err := s.keepReserve(); err != nil {
		return nil, err
	}
	total, err := usage(s.config.Dir)
	if err != nil {
		return nil, err
	}
	if total+size > s.config.Limit {
		return nil, ErrFull
	}
	path := filepath.Join(s.path, segmentName(uint64(number)))
	file, err := s.config.Create(path, size)
	if err != nil {
		return nil, err
	}
	if err := durable.SyncDir(s.path); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return &segment{file: file, number: number, size: size, end: headerSize}, nil
}

// noSpace reports whether an error ends once something is delivered or deleted.
func noSpace(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// refusal words the reason why nothing can be stored for the user.
func (s *Spool) refusal(cause error) error {
	switch {
	case errors.Is(cause, ErrFull):
		return ErrFull
	case noSpace(cause):
		return fault.Wrap(fault.LimitExceeded, cause,
			"the database service cannot store audit events because its disk is full; ask an administrator to free space")
	case errors.Is(cause, fs.ErrNotExist):
		return fault.Wrap(fault.Internal, cause,
			"the database service cannot store audit events because its audit directory is gone; ask an administrator to restart it")
	default:
		return fault.Wrap(fault.Internal, cause,
			"the database service cannot store audit events; ask an administrator to check its disk and its log")
	}
}

// poison gives up the current segment, and all that is not synced, after an error of the disk. What was
// appended may still be read and delivered, but is never called durable. Called with mu held.
func (s *Spool) poison(cause error) {
	s.failed = s.refusal(cause)
	if s.synced < Pos(s.next) {
		s.lost = append(s.lost, span{s.synced, Pos(s.next), s.failed})
		s.synced = Pos(s.next)
	}
	s.refuse = append(s.refuse, s.sealed...)
	if s.current != nil {
		s.refuse = append(s.refuse, s.current)
	}
	s.sealed, s.current = nil, nil
	if s.syncing == nil {
		s.closeRefused()
	}
	s.changed.Ring() // what will not be synced is delivered all the same
}

func (s *Spool) closeRefused() {
	for _, segment := range s.refuse {
		segment.file.Close() //nolint:errcheck // it is given up already
	}
	s.refuse = nil
}

// Close syncs, and leaves to a later process what is not delivered yet. Nothing else may be under way.
func (s *Spool) Close() error {
	err := s.Sync(context.Background(), s.End())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, segment := range append(s.sealed, s.current, s.spare) {
		if segment != nil {
			err = errors.Join(err, segment.file.Close())
		}
	}
	s.failed = errors.New("the audit spool is closed")
	s.current, s.spare, s.sealed = nil, nil, nil
	return errors.Join(err, s.closeQueues(), s.dir.Close())
}
