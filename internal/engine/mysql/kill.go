package mysql

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
)

// thread is a connection of a client under the number that we gave it in the greeting, before the database gave it
// one. Clients stop a running statement with KILL QUERY and that number, on another connection.
type thread struct {
	shown    uint32
	database string
	owner    *threads
	real     uint32 // guarded by owner.mu
}

// threads are the connections of all sessions of this engine.
type threads struct {
	mu      sync.Mutex
	byShown map[uint32]*thread // guarded by mu
}

const (
	firstShown = 1 << 30 // far from the numbers that servers give, which count from 1
	shownMask  = firstShown - 1
	shownTries = 20
)

// add gives a new session its number.
func (t *threads) add(db *resource.Database) (*thread, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byShown == nil {
		t.byShown = make(map[uint32]*thread)
	}
	for range shownTries {
		var random [4]byte
		if _, err := rand.Read(random[:]); err != nil {
			return nil, err
		}
		shown := firstShown | binary.LittleEndian.Uint32(random[:])&shownMask
		if t.byShown[shown] == nil {
			n := &thread{shown: shown, database: db.GetName(), owner: t}
			t.byShown[shown] = n
			return n, nil
		}
	}
	return nil, fault.New(fault.LimitExceeded, "the agent has too many sessions; try again later")
}

func (t *threads) remove(n *thread) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byShown, n.shown)
}

func (n *thread) set(real uint32) {
	n.owner.mu.Lock()
	defer n.owner.mu.Unlock()
	n.real = real
}

// find returns the database's own number for one of ours, if it is of the same database.
func (t *threads) find(shown uint64, database string) (real uint32, ok bool) {
	if shown < firstShown || shown >= 2*firstShown {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byShown[uint32(shown)]
	if n == nil || n.database != database || n.real == 0 {
		return 0, false
	}
	return n.real, true
}

// stopDatabase ends what the database does for a session that is over: it would not notice.
func (r *relay) stopDatabase() {
	r.session.Abort()
	ctx, cancel := context.WithTimeout(r.lasting, goodbyeTime)
	defer cancel()
	b, err := r.again(ctx)
	if err != nil {
		r.engine.cfg.Logger.Warn("a statement may go on after its session", "sid", r.session.ID(), "error", err)
		return
	}
	defer b.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = b.conn.SetDeadline(time.Unix(1, 0)) })()
	kill := fmt.Appendf([]byte{byte(mysqlwire.ComQuery)}, "KILL %d", r.number)
	if _, err := b.conn.Write(mysqlwire.AppendPacket(nil, 0, kill)); err != nil {
		return // the database is gone, and the statement with it
	}
	_, _, _ = mysqlwire.ReadPacket(b.conn, loginPacket) // whatever it says, the thread is not there any more
}

// killText is a statement that kills, in the forms that clients send by themselves and people type.
var killText = regexp.MustCompile(`(?i)^(\s*KILL\s+(?:(?:HARD|SOFT)\s+)?(?:(?:QUERY|CONNECTION|/\*!50000 QUERY \*/)\s+)?)([0-9]{10})(\s*;?\s*)$`)

const maxKill = 100 // bytes of such a statement

// translateKill returns a statement that kills one of our numbers with the database's number in its place. Whether
// the account may do it is for the database to decide.
func (t *threads) translateKill(text []byte, database string) (translated []byte, ok bool) {
	if len(text) > maxKill {
		return nil, false
	}
	parts := killText.FindSubmatch(text)
	if parts == nil {
		return nil, false
	}
	shown, err := strconv.ParseUint(string(parts[2]), 10, 64)
	if err != nil {
		return nil, false
	}
	real, ok := t.find(shown, database)
	if !ok {
		return nil, false
	}
	translated = strconv.AppendUint(append(translated, parts[1]...), uint64(real), 10)
	return append(translated, parts[3]...), true
}
