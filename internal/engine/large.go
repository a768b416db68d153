package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// LargeMessage is how many bytes a message of a client has at least that takes room out of a Budget.
const LargeMessage = 1 << 20

// ErrBusy is that other sessions have taken the room for large messages.
var ErrBusy = errors.New("busy with other large messages")

// Budget bounds the bytes of the large messages that all sessions of an engine together have under way. As with a Room, the sessions
// of one user may have as much as they leave to others, so that who comes new finds some. What does not fit waits, and is granted
// in order of arrival as soon as it does: what does not fit yet holds up nobody behind it. Who has room has to go on, see
// Share.
//
// Nobody who has room waits for others who wait and have some: one session at a time that needs more than it has, and does not find it, has
// that beyond the budget. So all together have no more than the budget and the largest message. It is safe for concurrent use.
type Budget struct {
	room *Room
	most int // bytes that one user can have, while nobody else has any
	pace time.Duration

	mu      sync.Mutex
	waiting []*waiter           // in order of arrival; guarded by mu
	holders map[*Share]struct{} // who have room, and do not wait for more; guarded by mu
	over    *Share              // who has some beyond the budget; guarded by mu
}

// waiter is a share that waits until it may be so large.
type waiter struct {
	share   *Share
	want    int64
	granted chan struct{}
}

// NewBudget returns a budget of so many bytes, 0 meaning 512 MiB: the largest messages, of 64 MiB, take 192 MiB, which are to fit beside
// those of others. The pace is the time in which a session that has room must go on, 0 meaning 30 seconds. What finds no room waits
// half as long again, so that it outlasts those that do not go on.
func NewBudget(bytes int, pace time.Duration) *Budget {
	if bytes == 0 {
		bytes = 512 << 20
	}
	if pace == 0 {
		pace = 30 * time.Second
	}
	return &Budget{room: NewRoom(bytes), most: bytes / 2, pace: pace, holders: make(map[*Share]struct{})}
}

// Share returns what a new session of a user has: nothing yet. End ends the session with a cause.
func (b *Budget) Share(user string, end context.CancelCauseFunc) *Share {
	return &Share{budget: b, user: user, end: end}
}

// wants waits until the share may be so large.
func (b *Budget) wants(ctx context.Context, share *Share, want int64) error {
	w := &waiter{share, want, make(chan struct{})}
	if b.enqueue(w) {
		return nil
	}
	patient, cancel := context.WithTimeoutCause(ctx, b.pace*3/2, ErrBusy)
	defer cancel()
	select {
	case <-w.granted:
		return nil
	case <-patient.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, w)
	if i < 0 { // it was granted just now
		return nil
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return context.Cause(patient)
}

// enqueue reports true when what is wanted could be had at once.
func (b *Budget) enqueue(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grant(w.share, w.want) {
		return true
	}
	b.pause(w.share)
	b.waiting = append(b.waiting, w)
	b.endOverdue()
	return false
}

// grant makes a share so large, if there is room. The caller holds mu.
func (b *Budget) grant(share *Share, want int64) bool {
	more := want - share.taken
	switch {
	case b.room.take(share.user, more):
	case share.taken > 0 && (b.over == nil || b.over == share):
		b.over = share
		share.beyond += more
	default:
		return false
	}
	share.taken = want
	b.goesOn(share)
	return true
}

// release takes back what a share has, and grants it to those who wait.
func (b *Budget) release(share *Share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pause(share)
	b.room.give(share.user, share.taken-share.beyond)
	if share.taken, share.beyond = 0, 0; b.over == share {
		b.over = nil
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool {
		if !b.grant(w.share, w.want) {
			return false
		}
		close(w.granted)
		return true
	})
}
