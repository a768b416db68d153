package mysql

import (
	"crypto/rand"
	"encoding/binary"
	"sync"

	"sallyport/internal/cancelkey"
	"sallyport/internal/fault"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

// thread is a connection of a client under the number that we gave it in the greeting, before the database gave it
// one. Clients stop a running statement with KILL QUERY and that number, on another connection, which may have come to
// another agent.
type thread struct {
	shown   uint32
	owner   owner
	session *session.Session
	all     *threads

	relay   *relay           // nil before the login; guarded by all.mu, like what follows
	recent  cancelkey.Recent // requests to kill
	running sync.WaitGroup   // kills under way; added to under all.mu
}

// threads are the connections of all sessions of this engine. It is safe for concurrent use.
type threads struct {
	mu      sync.Mutex
	byShown map[uint32]*thread // guarded by mu
}

const (
	firstShown = mysqlwire.FirstShown
	shownMask  = firstShown - 1
	shownTries = 20
)

// isShown reports whether a number may be one that some agent or proxy gave out.
func isShown(number uint64) bool { return number >= firstShown && number < 2*firstShown }

// add gives a new session its number.
func (t *threads) add(s *session.Session) (*thread, error) {
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
			n := &thread{shown: shown, owner: ownerOf(s), session: s, all: t}
			t.byShown[shown] = n
			return n, nil
		}
	}
	return nil, fault.New(fault.LimitExceeded, "the agent has too many sessions; try again later")
}

// claim is add for a client that was greeted with a number already.
func (t *threads) claim(shown uint32, s *session.Session) (*thread, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byShown == nil {
		t.byShown = make(map[uint32]*thread)
	}
	if !isShown(uint64(shown)) || t.byShown[shown] != nil {
		return nil, fault.New(fault.LimitExceeded, "the number of the connection cannot be used; connect again")
	}
	n := &thread{shown: shown, owner: ownerOf(s), session: s, all: t}
	t.byShown[shown] = n
	return n, nil
}

// remove forgets a session, and returns when no kill uses it any more.
func (t *threads) remove(n *thread) {
	t.mu.Lock()
	delete(t.byShown, n.shown)
	t.mu.Unlock()
	n.running.Wait()
}

// set notes that a session is logged in.
func (n *thread) set(r *relay) {
	n.all.mu.Lock()
	defer n.all.mu.Unlock()
	n.relay = r
}

// numberOf returns the database's own number for one of ours, which must be of the same user at the same database. Of others
// nobody learns whether they are there.
func (t *threads) numberOf(shown uint32, asks owner) (number uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byShown[shown]
	if n == nil || n.relay == nil || n.owner != asks {
		return 0, false
	}
	return n.relay.number, true
}

// busy reports whether a session of the user at the database has a statement running.
func (t *threads) busy(asks owner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.byShown {
		if n.relay != nil && n.owner == asks && n.relay.isWorking() {
			return true
		}
	}
	return false
}

// take returns the session that a request to kill is about, to be released with running.Done, or nil. Again says that
// the same request has come before, by way of another proxy.
func (t *threads) take(key cancelkey.Key) (n *thread, how killing, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n = t.byShown[key.ProcessID]; n == nil || n.relay == nil {
		return nil, 0, false
	}
	if how = n.owner.asks(key.Secret); how == 0 {
		return nil, 0, false
	}
	n.running.Add(1)
	return n, how, n.recent.Seen(key.Request)
}
