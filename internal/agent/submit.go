package agent

import (
	"bytes"
	"context"
	"fmt"
	"sort"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
)

// submission brings the records of one batch to the audit log. One that the log refuses for good is set aside,
// so that it does not hold up those behind it.
type submission struct {
	*uploader
	stream string
	// lost is how many records directly before the next one the log will never get.
	lost uint64
}

// submit submits records of a stream, directly before which so many are lost. It returns how many records at their end
// the log will never get.
func (u *uploader) submit(ctx context.Context, stream string, first uint64, lines [][]byte, lost uint64) (uint64, error) {
	s := &submission{uploader: u, stream: stream, lost: lost}
	err := s.records(ctx, first, lines)
	return s.lost, err
}

func (s *submission) records(ctx context.Context, first uint64, lines [][]byte) error {
	err := s.send(ctx, first, lines, s.lost)
	if fault.Is(err, fault.CompareFailed) {
		err = s.bridge(ctx, first, lines, err)
	}
	switch {
	case err == nil:
		s.lost = 0
		return nil
	case !s.refusedForGood(ctx, err):
		return err
	case len(lines) == 1:
		return s.setAside(first, lines[0], err)
	}
	half := len(lines) / 2
	if err := s.records(ctx, first, lines[:half]); err != nil {
		return err
	}
	return s.records(ctx, first+uint64(half), lines[half:])
}

func (s *submission) send(ctx context.Context, first uint64, lines [][]byte, lost uint64) error {
	return s.call(ctx, s.stream, first, lines, lost)
}

// call makes one call of the API.
func (u *uploader) call(ctx context.Context, stream string, first uint64, lines [][]byte, lost uint64) error {
	ctx, cancel := context.WithTimeout(ctx, submitWait)
	defer cancel()
	_, err := u.agent.Auth.Audit.SubmitEvents(ctx, &sallyportv1.SubmitEventsRequest{
		Stream: stream, FirstSequence: first, Events: lines, Lost: lost,
	})
	return err
}

// missing returns how many records directly before one the log does not have, at most so many.
func (u *uploader) missing(ctx context.Context, stream string, before, atMost uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(min(atMost, before, 1<<62)), func(n int) bool {
		if failed != nil {
			return true
		}
		// A call without events is refused beyond the place where the log goes on, and only there.
		err := u.call(ctx, stream, before-uint64(n), nil, 0)
		if err != nil && !fault.Is(err, fault.CompareFailed) {
			failed = err
		}
		return err == nil
	})
	return uint64(n), failed
}

// bridge submits records before which the log misses some that it has acknowledged, as after auth was restored
// from a backup. It returns the refusal when nothing is missing.
func (s *submission) bridge(ctx context.Context, first uint64, lines [][]byte, refusal error) error {
	missing, err := s.missing(ctx, s.stream, first, first)
	if err != nil {
		return err
	}
	if missing == 0 {
		return refusal
	}
	if err := s.send(ctx, first, lines, missing); err != nil {
		return err
	}
	if known := s.lost; missing > known { // more than was told already
		s.tell(fmt.Sprintf("the audit log misses %d events before event %d of the stream, which it had acknowledged: it was set back, as by restoring a backup", missing-known, first), "", missing-known)
	}
	return nil
}

// refusedForGood reports whether trying again would not help, because the log takes what this host sends, but
// not this. A host that is locked, say, is refused whatever it sends, and keeps its records.
func (s *submission) refusedForGood(ctx context.Context, err error) bool {
	switch fault.KindOf(err) {
	case fault.BadParameter, fault.AccessDenied, fault.CompareFailed, fault.AlreadyExists:
		return s.send(ctx, 0, nil, 0) == nil
	default:
		return false
	}
}

// setAside keeps a record that the log refuses on this host.
func (s *submission) setAside(sequence uint64, line []byte, refusal error) error {
	name, err := s.agent.Spool.SetAside(s.stream, sequence, line)
	if err != nil {
		return err
	}
	s.lost++
	reason := "the audit log refuses the event: " + fault.Message(refusal)
	if bytes.Contains(line, tornEvent) {
		s.agent.Logger.Error("audit event was set aside", "file", name, "reason", reason) // no event about such an event, without end
		return nil
	}
	s.tell(reason, name, 1)
	return nil
}

var tornEvent = []byte(`"event":"` + (*audit.SpoolTorn)(nil).Type() + `"`)

// tell logs and records that the log does not have events of a stream.
func (s *submission) tell(reason, file string, lost uint64) {
	s.agent.Logger.Error("audit events are missing in the audit log", "stream", s.stream, "file", file, "lost", lost, "reason", reason)
	s.agent.record(&audit.SpoolTorn{
		ServerMeta: s.agent.serverMeta(), Stream: s.stream, File: file, Lost: int64(lost), Reason: reason,
	})
}
