package postgres

import (
	"io"
	"sync"
)

const (
	smallBuffer = 1 << 10
	largeBuffer = 64 << 10
)

// buffers are the large buffers that sessions take while they have much to read.
type buffers struct{ pool sync.Pool }

func (b *buffers) take() []byte {
	if buf, ok := b.pool.Get().(*[largeBuffer]byte); ok {
		return buf[:]
	}
	return new([largeBuffer]byte)[:]
}

func (b *buffers) give(buf []byte) {
	if cap(buf) == largeBuffer {
		b.pool.Put((*[largeBuffer]byte)(buf[:largeBuffer]))
	}
}

// inbox is what was read from one side and not yet sent to the other. It is used by one goroutine. While
// nothing is under way it holds a small buffer only.
//
//	0 … start … scanned … end … len(buf)
//	     to be sent   to be looked at
type inbox struct {
	buffers *buffers
	buf     []byte // small, or a large one
	small   [smallBuffer]byte
	want    int // length of the message under way, if it is known
	start   int
	scanned int
	end     int
}

// fill reads once, and returns how much. If a message is under way then more is sure to come, and a large
// buffer is used.
func (b *inbox) fill(r io.Reader, underWay bool) (int, error) {
	if underWay {
		b.makeRoom()
	} else if b.start == b.end {
		b.release()
	}
	n, err := r.Read(b.buf[b.end:])
	b.end += n
	b.want = 0
	return n, err
}

// release gives a large buffer back. Nothing may be in it.
func (b *inbox) release() {
	b.swap(b.small[:])
	b.start, b.scanned, b.end = 0, 0, 0
}

// makeRoom sees to it that something can be read. The buffer grows by doubling with what has arrived, so
// that a length alone costs nothing.
func (b *inbox) makeRoom() {
	held := b.buf[b.start:b.end]
	target := b.buf
	switch {
	case len(b.buf) == smallBuffer, len(b.buf) > largeBuffer && len(held) < largeBuffer:
		target = b.buffers.take()
	case len(held) == len(b.buf):
		target = make([]byte, b.grown())
	case b.start == 0:
		return
	}
	copy(target, held)
	b.scanned, b.end, b.start = b.scanned-b.start, len(held), 0
	b.swap(target)
}

// expect says how long the message is that begins at what is to be looked at.
func (b *inbox) expect(total int) { b.want = total }

// grown returns the size of the next buffer: no more than the message needs.
func (b *inbox) grown() int {
	twice := 2 * len(b.buf)
	if need := b.scanned - b.start + b.want; need > len(b.buf) && need < twice {
		return need
	}
	return twice
}

func (b *inbox) swap(target []byte) {
	if len(b.buf) == largeBuffer && len(target) != largeBuffer {
		b.buffers.give(b.buf)
	}
	b.buf = target
}

// pending returns what is to be sent.
func (b *inbox) pending() []byte { return b.buf[b.start:b.scanned] }

// sent notes that everything that was pending has been sent.
func (b *inbox) sent() { b.start = b.scanned }

// brimful reports whether the last read filled the small buffer, so that there is most likely more to come.
func (b *inbox) brimful() bool { return b.end == smallBuffer && len(b.buf) == smallBuffer }
