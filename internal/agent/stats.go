package agent

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/health"
	"sallyport/internal/session"
)

// Stats are an agent's numbers at one moment.
type Stats struct {
	Sessions     map[string]int            // that run, by protocol: all that are served
	Ended        map[Ended]int64           // since the start
	Commands     map[string]*session.Tally // since the start, by protocol: all that are served; must not be changed
	Healths      map[string]map[string]int // databases that are served, by protocol and status of their health
	Checks       map[health.Count]int64    // of their health that have ended, since the start
	Refused      int64                     // connections closed before a session, since the start
	AuditBacklog uint64                    // events of this process that the audit log does not have yet
	AuditOutage  time.Duration             // for how long delivering has failed; 0 while it works
	SpoolError   error                     // why events cannot be kept; nil while they can
}

// Ended is what sessions that ended are counted by.
type Ended struct{ Protocol, Result string }

// Results of sessions.
const (
	resultEnded   = "ended"   // by the client or the database
	resultRefused = "refused" // before the database was reached
	resultCut     = "cut"     // by us
	resultError   = "error"
)

// counters count what has happened. The zero value is ready; safe for concurrent use.
type counters struct {
	refused atomic.Int64

	mu    sync.Mutex
	ended map[Ended]int64 // guarded by mu
}

func (c *counters) end(protocol, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(map[Ended]int64)
	}
	c.ended[Ended{protocol, result}]++
}

// Stats returns the agent's numbers.
func (a *Agent) Stats() Stats {
	a.counters.mu.Lock()
	ended := maps.Clone(a.counters.ended)
	a.counters.mu.Unlock()
	return Stats{
		Sessions: a.sessionsByProtocol(), Ended: ended, Commands: a.tallies, Refused: a.counters.refused.Load(),
		Healths: a.health.Statuses(), Checks: a.health.Counts(),
		AuditBacklog: a.delivered.missing(uint64(a.Spool.End())), AuditOutage: a.delivered.outage(a.Now()), SpoolError: a.Spool.Err(),
	}
}

func (a *Agent) sessionsByProtocol() map[string]int {
	running := make(map[string]int)
	for protocol := range a.Engines {
		running[protocol] = 0
	}
	for _, l := range a.sessions.snapshot() {
		running[l.session.Database().Spec.Protocol]++
	}
	return running
}
