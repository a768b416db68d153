package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Hash is the SHA-256 of an event's bytes, under a prefix that no other use of the hash shares.
type Hash [sha256.Size]byte

const hashDomain = "sallyport.event.v1\x00"

// HashOf returns the hash that the next event of the session carries as "prev".
func HashOf(line []byte) (sum Hash) {
	h := newHasher()
	h.hash(line, &sum)
	return sum
}

// hasher is HashOf without an allocation per event.
type hasher struct {
	digest hash.Hash
	domain []byte
}

func newHasher() hasher { return hasher{sha256.New(), []byte(hashDomain)} }

func (h *hasher) hash(line []byte, sum *Hash) {
	h.digest.Reset()
	h.digest.Write(h.domain)
	h.digest.Write(line)
	h.digest.Sum(sum[:0])
}

// String returns the hash in lower-case hexadecimal, as in "prev".
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ChainConfig says what every event of a session carries. ClusterName, UIDs and Session.SID must be set.
type ChainConfig struct {
	ClusterName string
	UIDs        *UIDs
	User        UserMeta
	Session     SessionMeta
	Database    DatabaseMeta

	// Next and Prev continue the chain of a session that another process left open: the index after its
	// last event, and the hash of that event.
	Next int64
	Prev Hash
}

// Chain encodes the events of one session, each linked to the one before. It is not safe for
// concurrent use.
type Chain struct {
	cluster  string
	uids     *UIDs
	user     UserMeta
	session  SessionMeta
	database DatabaseMeta

	name   string // logical database of events that name none themselves
	base   []byte // the encoded groups that all events share, beginning with '{'
	hasher hasher
	enc    encoder

	next     int64
	prev     Hash
	previous Hash // prev before the last event
}

// NewChain begins a session's chain, or continues one when the config says where.
func NewChain(config ChainConfig) (*Chain, error) {
	if config.ClusterName == "" || config.UIDs == nil {
		return nil, errors.New("an event chain needs a cluster name and a source of ids")
	}
	if _, err := uuid.Parse(config.Session.SID); err != nil {
		return nil, fmt.Errorf("session id %q: %w", config.Session.SID, err)
	}
	c := &Chain{
		cluster: config.ClusterName, uids: config.UIDs,
		user: config.User, session: config.Session, database: config.Database,
		hasher: newHasher(), next: config.Next, prev: config.Prev, name: config.Database.Name,
	}
	c.encodeBase()
	return c, nil
}

// SetDatabase changes the database account and the logical database of the events to come.
func (c *Chain) SetDatabase(user, name string) {
	c.name = name
	c.use(user, name)
}

// inDatabase is an event that may name its logical database itself, where that differs from one event to the next.
type inDatabase interface{ logicalDatabase() string }

func (c *Chain) use(user, name string) {
	if user == c.database.User && name == c.database.Name {
		return
	}
	c.database.User, c.database.Name = user, name
	c.encodeBase()
}

// SetName changes the logical database of the events to come.
func (c *Chain) SetName(name string) { c.SetDatabase(c.database.User, name) }

func (c *Chain) encodeBase() {
	e := encoder{append(c.base[:0], '{')}
	c.user.appendName(&e)
	c.session.appendTo(&e)
	c.database.appendTo(&e)
	c.base = e.b
}

// SID returns the session's id.
func (c *Chain) SID() string { return c.session.SID }

// Next returns the index that the next event will have.
func (c *Chain) Next() int64 { return c.next }

// Append encodes the session's next event and appends it, one line without its end, to dst.
func (c *Chain) Append(dst []byte, event SessionEvent, now time.Time) ([]byte, error) {
	uid, err := c.uids.Next()
	if err != nil {
		return dst, err
	}
	name := c.name
	if in, ok := event.(inDatabase); ok && in.logicalDatabase() != "" {
		name = in.logicalDatabase()
	}
	c.use(c.database.User, name)
	h := header{index: c.next, uid: uid, time: now, cluster: c.cluster}
	if c.next > 0 {
		h.prev = &c.prev
	}
	if size := Size(event); size > longText {
		dst = slices.Grow(dst, size+len(c.base)+longHead) // at once, instead of by and by
	}
	start := len(dst)
	c.enc.b = dst
	c.enc.header(&h, event)
	c.enc.b = append(append(c.enc.b, ','), c.base[1:]...)
	if c.next == 0 {
		c.enc.texts("user_roles", c.user.Roles)
	}
	event.appendFields(&c.enc)
	line := append(c.enc.b, '}')
	c.enc.b = nil // the buffer is the caller's

	c.previous = c.prev
	c.hasher.hash(line[start:], &c.prev)
	c.next++
	return line, nil
}

// Rewind takes back the last Append, whose line could not be stored, so that the chain has no hole.
// Only one step can be taken back.
func (c *Chain) Rewind() {
	c.next--
	c.prev = c.previous
}

// Encoder encodes events outside sessions. It is safe for concurrent use.
type Encoder struct {
	cluster string
	uids    *UIDs
}

// NewEncoder returns an encoder for the cluster's events.
func NewEncoder(clusterName string, uids *UIDs) *Encoder {
	return &Encoder{cluster: clusterName, uids: uids}
}

// Resume continues the chain of a session with ids of the encoder.
func (n *Encoder) Resume(config ChainConfig) (*Chain, error) {
	config.UIDs = n.uids
	return NewChain(config)
}

// Append encodes an event that is not a SessionEvent and appends it, one line without its end, to dst.
func (n *Encoder) Append(dst []byte, event Event, now time.Time) ([]byte, error) {
	if _, ok := event.(SessionEvent); ok {
		return dst, fmt.Errorf("a %s event needs its session's chain", event.Type())
	}
	uid, err := n.uids.Next()
	if err != nil {
		return dst, err
	}
	h := header{uid: uid, time: now, cluster: n.cluster}
	e := encoder{dst}
	e.header(&h, event)
	event.appendFields(&e)
	return append(e.b, '}'), nil
}
