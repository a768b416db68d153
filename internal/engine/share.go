package engine

import (
	"context"
	"net"
	"slices"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/inbox"
)

// Share is what one session has taken out of a Budget. It is used by one goroutine at a time.
//
// A session that has room for a large message must go on with it, by LargeMessage bytes in each time that the budget says. If
// the client sends less then its session ends, whether others wait or not: it has no reason to pause within a message. If the
// database takes less then the session ends only if others wait. It may be busy with what it was sent before, such as a statement that
// waits for a lock, with the next ones sent ahead, and that is nobody's fault; but a database that hangs must not hold up the
// clients of all others.
type Share struct {
	budget *Budget
	user   string
	end    context.CancelCauseFunc

	taken int64 // by the goroutine that uses the share, or on its behalf while that waits
	moved int64 // bytes of the message, since it last went on

	beyond int64       // part of what is taken that is not the budget's; guarded by the budget's mu, like what follows
	timer  *time.Timer // goes off when it is overdue
	due    time.Time   // when it has to have gone on
	reads  bool        // from the client
}

// Grow makes the share so many bytes large, or as large as that of a user can be, if that is less. What is an eighth more than the share has is
// had at once and not counted.
// Before Grow waits for room it calls flush, which sends on what was read before the message, and may give the share back. It returns ErrBusy when
// there was no room in time, and the cause when the context ends.
func (s *Share) Grow(ctx context.Context, size int, flush func() error) error {
	b := s.budget
	want := int64(min(size, b.most))
	if want <= s.taken+s.taken/8 {
		return nil
	}
	b.mu.Lock()
	granted := b.grant(s, want)
	b.mu.Unlock()
	if granted {
		return nil
	}
	if err := flush(); err != nil {
		return err
	}
	return b.wants(ctx, s, want)
}

// Release gives the share back.
func (s *Share) Release() {
	if s.taken > 0 {
		s.budget.release(s)
	}
}

// Fill reads once from the client into the inbox, as that says. When nothing is under way, nothing large is left, and the share is given back.
func (s *Share) Fill(in *inbox.Inbox, client net.Conn, underWay bool) (int, error) {
	if !underWay {
		s.Release()
	}
	if s.taken == 0 {
		return in.Fill(client, underWay)
	}
	s.reading(true)
	n, err := in.Fill(client, true)
	s.reading(false)
	if s.moved += int64(n); s.moved >= LargeMessage {
		s.goesOn()
	}
	return n, err
}

// Write sends the database what was read.
func (s *Share) Write(database net.Conn, message []byte) (n int, err error) {
	if s.taken == 0 {
		return database.Write(message)
	}
	s.goesOn()
	for piece := range slices.Chunk(message, LargeMessage) {
		var written int
		written, err = database.Write(piece)
		if n += written; err != nil {
			return n, err
		}
		s.goesOn()
	}
	return n, nil
}

// reading notes whether it is the client that does not go on. One that was held up by something else has its time from now on.
func (s *Share) reading(reads bool) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.reads = reads; reads && s.overdue() {
		s.budget.goesOn(s)
	}
}

func (s *Share) goesOn() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.goesOn(s)
}

// goesOn gives a share with room time to go on. The caller holds mu.
func (b *Budget) goesOn(share *Share) {
	b.holders[share] = struct{}{}
	share.moved, share.due = 0, time.Now().Add(b.pace)
	if share.timer == nil {
		share.timer = time.AfterFunc(b.pace, b.lookAfter)
		return
	}
	share.timer.Reset(b.pace)
}

// pause has a share not go on for a reason of our own, or at all. The caller holds mu.
func (b *Budget) pause(share *Share) {
	delete(b.holders, share)
	if share.timer != nil {
		share.timer.Stop()
	}
}

// overdue is called with the budget's mu held.
func (s *Share) overdue() bool { return !time.Now().Before(s.due) }

func (b *Budget) lookAfter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endOverdue()
}

// endOverdue ends the sessions that have room and did not go on. The caller holds mu.
func (b *Budget) endOverdue() {
	for share := range b.holders {
		switch {
		case !share.overdue():
		case share.reads:
			share.end(fault.New(fault.LimitExceeded, "less than 1 MiB of a large message came from the client in %s, while the agent keeps memory free for it; send it again without a pause, or in pieces", b.pace))
		case len(b.waiting) > 0:
			share.end(fault.New(fault.LimitExceeded, "a large message went on by less than 1 MiB in %s, and others need the memory that it has in the agent; try again when the database is less busy", b.pace))
		}
	}
}
