package engine

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
)

// LargeMessage is how many bytes a message of a client has at least that takes room out of a Budget.
const LargeMessage = 1 << 20

// ErrBusy is that other sessions have taken the room for large messages.
var ErrBusy = errors.New("busy with other large messages")

// Budget bounds the bytes of the large messages that all sessions of an engine together have under way. It is safe for
// concurrent use.
type Budget struct {
	room *semaphore.Weighted
	most int
	wait time.Duration
}

// NewBudget returns a budget of so many bytes, 0 meaning 256 MiB. A message that finds no room waits so long for it, 0
// meaning 30 seconds.
func NewBudget(most int, wait time.Duration) *Budget {
	if most == 0 {
		most = 256 << 20
	}
	if wait == 0 {
		wait = 30 * time.Second
	}
	return &Budget{semaphore.NewWeighted(int64(most)), most, wait}
}

// Share is what one session has taken out of a budget. It is used by one goroutine at a time.
type Share struct{ taken int64 }

// Grow makes the share so many bytes large, or as large as the whole budget, if it is smaller. Before it waits for room
// it calls flush, which sends on what was read before the message, and may give the share back. It returns ErrBusy when
// there was no room in time, and the cause when the context ends.
func (b *Budget) Grow(ctx context.Context, share *Share, size int, flush func() error) error {
	want := int64(min(size, b.most))
	if want <= share.taken {
		return nil
	}
	if more := want - share.taken; b.room.TryAcquire(more) {
		share.taken = want
		return nil
	}
	if err := flush(); err != nil {
		return err
	}
	more := want - share.taken
	patient, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	if err := b.room.Acquire(patient, more); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return ErrBusy
	}
	share.taken = want
	return nil
}

// Release gives the share back.
func (b *Budget) Release(share *Share) {
	if share.taken > 0 {
		b.room.Release(share.taken)
		share.taken = 0
	}
}
