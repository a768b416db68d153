package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/audit/spool"
	"sallyport/internal/fault"
)

const (
	batchRecords = 2000
	batchBytes   = 1 << 20
	adoptEvery   = 30 * time.Second
	submitWait   = 30 * time.Second
	longestRetry = 5 * time.Second
)

// uploader brings events from the spool to the auth server, in order, and deletes what has arrived.
type uploader struct {
	agent *Agent
	lost  map[string]uint64 // records directly behind the acknowledged ones that were set aside, by stream
}

// run works until the context ends.
func (u *uploader) run(ctx context.Context) {
	wait := 50 * time.Millisecond
	for ctx.Err() == nil {
		err := u.deliver(ctx)
		if err == nil || ctx.Err() != nil {
			wait = 50 * time.Millisecond
			continue
		}
		u.agent.delivered.failed(u.agent.Now())
		u.agent.Logger.Warn("events wait on this host's disk until the auth server takes them", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait = min(2*wait, longestRetry)
	}
}

// deliver brings everything there is, then follows this process's own stream for a while.
func (u *uploader) deliver(ctx context.Context) error {
	s := u.agent.Spool
	queues, err := s.Pending()
	if err != nil {
		return err
	}
	// What dead processes left must not hold up what this one records.
	if err := s.Recover(ctx, u.endLost); err != nil {
		u.agent.Logger.Error("ends of lost sessions were not written; trying again", "error", err)
	}
	for _, q := range queues[1:] {
		err := u.drain(ctx, q)
		if err != nil && ctx.Err() == nil {
			u.agent.Logger.Warn("events of an earlier process wait on this host's disk; trying again", "stream", q.Stream(), "error", err)
		}
		if fault.Is(err, fault.ConnectionProblem) {
			break // others would fare no better, and each may take submitWait
		}
	}
	again := adoptEvery
	if len(queues) > 1 { // which take space until all of it is delivered and deleted
		again = longestRetry
	}
	follow, cancel := context.WithTimeout(ctx, again)
	defer cancel()
	own := queues[0]
	for {
		if err := u.drain(ctx, own); err != nil {
			return err
		}
		u.agent.delivered.works()
		if err := own.Wait(follow); err != nil {
			if follow.Err() != nil {
				return nil
			}
			return err
		}
		u.agent.delivered.linger(follow)
	}
}

// drain submits the records of one stream until there are no more. Of the stream that goes on it leaves those that do not
// fill a batch yet: a busy agent records some more during each call, so that there would always be a few.
func (u *uploader) drain(ctx context.Context, q *spool.Queue) error {
	own := q.Stream() == u.agent.Spool.Stream()
	for {
		batch, err := q.ReadBatch(batchRecords, batchBytes)
		if err == nil {
			err = u.deliverBatch(ctx, q.Stream(), &batch)
		}
		if err != nil {
			return errors.Join(err, q.Rewind())
		}
		if err := q.Ack(batch.Cursor); err != nil {
			return err
		}
		if len(batch.Lines) == 0 {
			return nil
		}
		if own {
			u.agent.delivered.succeeded(batch.FirstSeq + uint64(len(batch.Lines)))
			if !isFull(&batch) {
				return nil
			}
		}
	}
}

// isFull reports whether there are likely to be more records behind a batch.
func isFull(batch *spool.Batch) bool {
	size := 0
	for _, line := range batch.Lines {
		size += len(line)
	}
	return len(batch.Lines) == batchRecords || size > batchBytes/2
}

// deliverBatch submits a batch and records what was found damaged on the way to it, once it is delivered: so it is not
// recorded again and again while the auth server is away.
func (u *uploader) deliverBatch(ctx context.Context, stream string, batch *spool.Batch) error {
	if batch.Lost > 0 {
		missing, err := u.missing(ctx, stream, batch.FirstSeq, batch.Lost)
		if err != nil {
			return err
		}
		batch.Had(batch.Lost - missing)
	}
	lost := u.lost[stream] + batch.Lost
	if len(batch.Lines) > 0 {
		var err error
		if lost, err = u.submit(ctx, stream, batch.FirstSeq, batch.Lines, lost); err != nil {
			return err
		}
	}
	u.lost[stream] = lost
	u.recordDamage(batch.Damage)
	return nil
}

func (u *uploader) recordDamage(damages []spool.Damage) {
	for _, damage := range damages {
		u.agent.Logger.Error("audit spool was damaged", "file", damage.File, "offset", damage.Offset, "lost", damage.Lost, "reason", damage.Reason)
		u.agent.record(&audit.SpoolTorn{
			ServerMeta: u.agent.serverMeta(),
			File:       damage.File, Offset: damage.Offset, Lost: int64(damage.Lost), Reason: damage.Reason,
		})
	}
}

// endLost writes the end of a session whose process died.
func (u *uploader) endLost(open spool.OpenSession) error {
	config, start, err := audit.ResumeConfig(open.Start)
	if err != nil {
		return err
	}
	config.UIDs, config.Next, config.Prev = u.agent.UIDs, open.Next, open.Prev
	chain, err := audit.NewChain(config)
	if err != nil {
		return err
	}
	now := u.agent.Now()
	line, err := chain.Append(nil, &audit.DatabaseSessionEnd{
		ServerMeta: u.agent.serverMeta(),
		Start:      start, Stop: now, Reason: audit.ReasonLost,
	}, now)
	if err != nil {
		return err
	}
	_, err = u.agent.Spool.Append(line)
	return err
}
