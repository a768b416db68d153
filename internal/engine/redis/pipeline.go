package redis

import (
	"sallyport/internal/audit"
)

const (
	joinFrom   = 8   // from so many on, neighbours share an event
	maxJoined  = 256 // commands of one event
	longJoined = 1 << 10
	keptJoined = 16 // for which an idle session keeps room
)

// pipeline are the commands that one read has brought and that are still to be recorded, and then to be sent on. Long
// pipelines are the work of programs: an event for each command would cost the audit log more than the command costs the
// database. So neighbours share one, each on a line of its own; but not what stands out, see standsAlone.
type pipeline struct {
	text     []byte // one command on each line
	ends     []int  // of the lines
	requests []request
	event    audit.DatabaseQuery
	broken   error // why commands could not be recorded: nothing more may be sent on
}

// standsAlone reports whether a command has an event of its own wherever it comes: what is no ordinary command about data, and
// what has more to it than a short text.
func standsAlone(q *request, event *audit.DatabaseQuery) bool {
	switch q.role {
	case ordinary, multi, exec, discard:
		return q.notable || event.Masked || len(event.Parameters) > 0 || len(event.Query) > longJoined
	default:
		return true
	}
}

// add notes a command with its text.
func (p *pipeline) add(q *request, text []byte) {
	p.text = append(append(p.text, text...), '\n')
	p.ends = append(p.ends, len(p.text)-1)
	p.requests = append(p.requests, *q)
}

// recordJoined records the commands that were noted. It is called before anything else is recorded, and before they are
// sent on.
func (r *relay) recordJoined() error {
	p := &r.fromClient.joined
	if len(p.requests) == 0 || p.broken != nil {
		return p.broken
	}
	if len(p.requests) < joinFrom {
		p.broken = r.recordEach(p)
	} else {
		p.broken = r.recordTogether(p)
	}
	if p.broken == nil {
		r.push(p.requests...)
	}
	p.reset()
	return p.broken
}

func (r *relay) recordEach(p *pipeline) (err error) {
	start := 0
	for i := range p.requests {
		p.event = audit.DatabaseQuery{Query: p.text[start:p.ends[i]]}
		if p.requests[i].event, err = r.session.Record(r.ctx, &p.event); err != nil {
			return err
		}
		start = p.ends[i] + 1
	}
	return nil
}

func (r *relay) recordTogether(p *pipeline) error {
	p.event = audit.DatabaseQuery{Query: p.text[:len(p.text)-1], Commands: len(p.requests)}
	index, err := r.session.Record(r.ctx, &p.event)
	for i := range p.requests {
		p.requests[i].event, p.requests[i].command = index, i+1
	}
	return err
}

func (p *pipeline) reset() {
	clear(p.requests)
	p.text, p.ends, p.requests = p.text[:0], p.ends[:0], p.requests[:0]
	if cap(p.requests) > 2*keptJoined || cap(p.text) > longJoined {
		p.text, p.ends, p.requests = nil, nil, nil
	}
	p.event = audit.DatabaseQuery{}
}

// recordNow records an event of the client's direction, after the commands before it.
func (r *relay) recordNow(event audit.SessionEvent) (index int64, err error) {
	if err := r.recordJoined(); err != nil {
		return 0, err
	}
	return r.session.Record(r.ctx, event)
}
