package agent

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/mtls"
	"sallyport/internal/peer"
	"sallyport/internal/tunnel"
)

const (
	// refusalsEvery is how often one source's refused connections are recorded; those between are counted.
	refusalsEvery = 10 * time.Second
	// maxRefusalSources bounds the memory that strangers can take; what comes from more is counted together.
	maxRefusalSources = 4096
)

// refusals merges the refused connections of one source, so that a flood of them does not fill the audit
// log and yet none is unaccounted for. The zero value is ready for use; safe for concurrent use.
type refusals struct {
	mu       sync.Mutex
	bySource map[string]*refused // by source; "" for all beyond the limit; guarded by mu
}

type refused struct {
	event *audit.AuthFailure // the last one, not yet recorded; nil when there is none
	count int                // that it stands for
	due   time.Time          // when it may be recorded
}

// note takes one refusal and returns what is to be recorded now: nothing, or it with those before it.
func (r *refusals) note(source string, event *audit.AuthFailure, now time.Time) *audit.AuthFailure {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bySource == nil {
		r.bySource = make(map[string]*refused)
	}
	entry := r.bySource[source]
	if entry == nil && len(r.bySource) >= maxRefusalSources {
		source = ""
		entry = r.bySource[source]
	}
	if entry == nil {
		entry = &refused{}
		r.bySource[source] = entry
	}
	entry.event, entry.count = event, entry.count+1
	return entry.take(now)
}

// dueEvents returns what was counted and has not been recorded, of all sources whose time has come, and forgets
// sources that are quiet.
func (r *refusals) dueEvents(now time.Time) []*audit.AuthFailure {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []*audit.AuthFailure
	for source, entry := range r.bySource {
		if event := entry.take(now); event != nil {
			events = append(events, event)
		} else if entry.event == nil && now.After(entry.due) {
			delete(r.bySource, source)
		}
	}
	return events
}

func (e *refused) take(now time.Time) *audit.AuthFailure {
	if e.event == nil || now.Before(e.due) {
		return nil
	}
	event := e.event
	if e.count > 1 {
		event.Error = fmt.Sprintf("%s (%d times since the last event of this source)", event.Error, e.count)
	}
	e.event, e.count, e.due = nil, 0, now.Add(refusalsEvery)
	return event
}

// refuseConnection logs a connection to which nothing can be said, and records it when its certificate, or
// the lack of one, was the reason.
func (a *Agent) refuseConnection(d tunnel.Dispatch, err error) {
	a.counters.refused.Add(1)
	a.Logger.Info("client refused", "client", d.ClientAddress, "error", err)
	if stranger, ok := errors.AsType[*mtls.PeerError](err); ok {
		a.recordRefusal(d, stranger.Name, err)
	}
}

// refuseUser logs and records a connection of somebody who is known, and to whom nothing can be said.
func (a *Agent) refuseUser(d tunnel.Dispatch, user string, err error) {
	a.counters.refused.Add(1)
	a.Logger.Info("client refused", "client", d.ClientAddress, "user", user, "error", err)
	a.recordRefusal(d, user, err)
}

func (a *Agent) recordRefusal(d tunnel.Dispatch, user string, err error) {
	event := &audit.AuthFailure{
		UserMeta:       audit.UserMeta{User: user},
		ServerMeta:     a.serverMeta(),
		ConnectionMeta: audit.ConnectionMeta{LocalAddr: d.ListenerAddress, RemoteAddr: d.ClientAddress},
		Error:          err.Error(),
	}
	if due := a.refused.note(peer.Source(d.ClientAddress), event, a.Now()); due != nil {
		a.record(due)
	}
}

func (a *Agent) serverMeta() audit.ServerMeta {
	return audit.ServerMeta{ID: a.HostID, Hostname: a.Hostname, Version: a.Version}
}
