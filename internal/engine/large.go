package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// LargeMessage is how many bytes a message of a client has at least that takes room out of a Budget.
const LargeMessage = 1 << 20

// ErrBusy is that other sessions have taken the room for large messages.
var ErrBusy = errors.New("busy with other large messages")

// Budget bounds the bytes of the large messages that all sessions of an engine together have under way, and lets those of one
// user have half of it: what they have begun and do not go on with holds up nobody else. It is safe for concurrent use.
type Budget struct {
	room *semaphore.Weighted
	most int // for one user
	wait time.Duration

	mu    sync.Mutex
	users map[string]*portion // who have or want something; guarded by mu
}

// portion is what the sessions of one user may take.
type portion struct {
	room   *semaphore.Weighted
	shares int // guarded by the budget's mu
}

// NewBudget returns a budget of so many bytes, 0 meaning 384 MiB. A message that finds no room waits so long for it, 0
// meaning 30 seconds.
func NewBudget(bytes int, wait time.Duration) *Budget {
	if bytes == 0 {
		bytes = 384 << 20
	}
	if wait == 0 {
		wait = 30 * time.Second
	}
	return &Budget{room: semaphore.NewWeighted(int64(bytes)), most: bytes / 2, wait: wait, users: make(map[string]*portion)}
}

// Share is what one session has taken out of a budget. It is used by one goroutine at a time.
type Share struct {
	User  string // whose session it is
	taken int64
	of    *portion // nil while nothing is taken or wanted
}

// Grow makes the share so many bytes large, or as large as a user may have, if that is less. What is an eighth more than the share has is
// had at once and not counted: whoever waits for a little more while holding the rest would hold up those that wait for the rest.
// Before Grow waits for room it calls flush, which sends on what was read before the message, and may give the share back. It returns ErrBusy when
// there was no room in time, and the cause when the context ends.
func (b *Budget) Grow(ctx context.Context, share *Share, size int, flush func() error) error {
	want := int64(min(size, b.most))
	if want <= share.taken+share.taken/8 {
		return nil
	}
	b.join(share)
	if more := want - share.taken; share.of.room.TryAcquire(more) {
		if b.room.TryAcquire(more) {
			share.taken = want
			return nil
		}
		share.of.room.Release(more)
	}
	if err := flush(); err != nil {
		b.leave(share)
		return err
	}
	b.join(share)
	patient, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	if err := b.acquire(patient, share, want-share.taken); err != nil {
		b.leave(share)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return ErrBusy
	}
	share.taken = want
	return nil
}

func (b *Budget) acquire(ctx context.Context, share *Share, more int64) error {
	if err := share.of.room.Acquire(ctx, more); err != nil {
		return err
	}
	if err := b.room.Acquire(ctx, more); err != nil {
		share.of.room.Release(more)
		return err
	}
	return nil
}

// Release gives the share back.
func (b *Budget) Release(share *Share) {
	if share.taken > 0 {
		b.room.Release(share.taken)
		share.of.room.Release(share.taken)
		share.taken = 0
	}
	b.leave(share)
}

// join finds the user's portion.
func (b *Budget) join(share *Share) {
	if share.of != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if share.of = b.users[share.User]; share.of == nil {
		share.of = &portion{room: semaphore.NewWeighted(int64(b.most))}
		b.users[share.User] = share.of
	}
	share.of.shares++
}

// leave forgets it once nobody has any of it.
func (b *Budget) leave(share *Share) {
	if share.of == nil || share.taken > 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if share.of.shares--; share.of.shares == 0 {
		delete(b.users, share.User)
	}
	share.of = nil
}
