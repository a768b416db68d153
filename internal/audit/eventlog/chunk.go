package eventlog

import "time"

// A chunk is some neighbouring lines of one file. Its limits keep a search from reading much more than it
// looks for; a line larger than a chunk has one of its own.
const (
	chunkLines = 1000
	chunkBytes = 512 << 10
	chunkSpan  = int64(10 * time.Minute / time.Millisecond) // between the times of its events
)

type chunk struct {
	id        int64 // log index of its first line
	next      int64 // log index after its last line
	low, high int64 // the earliest and the latest time, Unix milliseconds
	name      string
	offset    int64
	length    int64
}

// add makes the chunk longer by a line, unless that belongs into the next chunk.
func (c *chunk) add(r *row) bool {
	low, high := min(c.low, r.time), max(c.high, r.time)
	fits := c.name == r.at.name && c.offset+c.length == r.at.offset && c.next-c.id < chunkLines &&
		c.length+int64(r.at.length) <= chunkBytes && high-low <= chunkSpan
	if !fits {
		return false
	}
	c.low, c.high, c.next = low, high, r.index+1
	c.length += int64(r.at.length)
	return true
}

func newChunk(r *row) *chunk {
	return &chunk{id: r.index, next: r.index + 1, low: r.time, high: r.time, name: r.at.name, offset: r.at.offset, length: int64(r.at.length)}
}
