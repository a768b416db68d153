// Package inbox holds what a relay has read from one side and not yet sent to the other.
package inbox

import (
	"io"
	"sync"
)

// Sizes of buffers in bytes.
const (
	Small = 1 << 10 // of one that an idle session keeps
	Large = 64 << 10
)

// Pool holds the large buffers that sessions take while they have much to read. It is safe for concurrent use.
type Pool struct{ pool sync.Pool }

func (p *Pool) take() []byte {
	if buf, ok := p.pool.Get().(*[Large]byte); ok {
		return buf[:]
	}
	return new([Large]byte)[:]
}

func (p *Pool) give(buf []byte) {
	if cap(buf) == Large {
		p.pool.Put((*[Large]byte)(buf[:Large]))
	}
}

// Inbox is a buffer that is used by one goroutine. While nothing is under way it is a small one. What is in it is to be
// looked at in order, by moving Scanned on, and then to be sent.
//
//	0 … Start … Scanned … End … len(Buf)
//	     to be sent   to be looked at
type Inbox struct {
	pool    *Pool
	Buf     []byte // small, or a large one
	small   [Small]byte
	want    int // length of the message under way, if it is known
	Start   int
	Scanned int
	End     int
}

// New returns an empty inbox whose large buffers are those of the pool.
func New(pool *Pool) *Inbox {
	b := &Inbox{pool: pool}
	b.Buf = b.small[:]
	return b
}

// Fill reads once, and returns how much. If a message is under way then more is sure to come, and a large
// buffer is used.
func (b *Inbox) Fill(r io.Reader, underWay bool) (int, error) {
	if underWay {
		b.makeRoom()
	} else if b.Start == b.End {
		b.Release()
	}
	n, err := r.Read(b.Buf[b.End:])
	b.End += n
	b.want = 0
	return n, err
}

// Release gives a large buffer back. Nothing may be in it.
func (b *Inbox) Release() {
	b.swap(b.small[:])
	b.Start, b.Scanned, b.End = 0, 0, 0
}

// makeRoom sees to it that something can be read. The buffer grows by doubling with what has arrived, so
// that a length alone costs nothing.
func (b *Inbox) makeRoom() {
	held := b.Buf[b.Start:b.End]
	target := b.Buf
	switch {
	case len(b.Buf) == Small, len(b.Buf) > Large && len(held) < Large:
		target = b.pool.take()
	case len(held) == len(b.Buf):
		target = make([]byte, b.grown())
	case b.Start == 0:
		return
	}
	copy(target, held)
	b.Scanned, b.End, b.Start = b.Scanned-b.Start, len(held), 0
	b.swap(target)
}

// Expect says how long the message is that begins at what is to be looked at.
func (b *Inbox) Expect(total int) { b.want = total }

// grown returns the size of the next buffer: no more than the message needs.
func (b *Inbox) grown() int {
	twice := 2 * len(b.Buf)
	if need := b.Scanned - b.Start + b.want; need > len(b.Buf) && need < twice {
		return need
	}
	return twice
}

func (b *Inbox) swap(target []byte) {
	if len(b.Buf) == Large && len(target) != Large {
		b.pool.give(b.Buf)
	}
	b.Buf = target
}

// Skip passes over bytes that need no look, at most so many, and returns how many those are.
func (b *Inbox) Skip(most int64) int64 {
	n := min(most, int64(b.End-b.Scanned))
	b.Scanned += int(n)
	return n
}

// Pending returns what is to be sent.
func (b *Inbox) Pending() []byte { return b.Buf[b.Start:b.Scanned] }

// Sent notes that everything that was pending has been sent.
func (b *Inbox) Sent() { b.Start = b.Scanned }

// Brimful reports whether the last read filled the small buffer, so that there is most likely more to come.
func (b *Inbox) Brimful() bool { return b.End == Small && len(b.Buf) == Small }
