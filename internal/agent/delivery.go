package agent

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/bell"
	"sallyport/internal/cache"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// delivery is how far the audit log has this process's events. Safe for concurrent use.
type delivery struct {
	urgent chan struct{} // holds a value while somebody waits for delivery
	bell   bell.Bell     // rings at each success

	mu    sync.Mutex
	upTo  uint64    // records of this process's stream that the log has; guarded by mu
	since time.Time // when delivering began to fail; zero while it works; guarded by mu
}

func newDelivery() delivery { return delivery{urgent: make(chan struct{}, 1)} }

// linger gives events the time to become a batch, unless somebody waits for them.
func (d *delivery) linger(ctx context.Context) {
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.urgent:
	case <-timer.C:
	}
}

// lingerTime is how long an event waits for others at most. Without it, a busy session's every statement
// would become a call of its own, which costs both hosts more than the statement.
const lingerTime = 100 * time.Millisecond

// succeeded notes that the log has the stream's first records.
func (d *delivery) succeeded(upTo uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upTo, d.since = max(d.upTo, upTo), time.Time{}
	d.bell.Ring()
}

// missing returns how many of the stream's first records the log does not have.
func (d *delivery) missing(upTo uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return upTo - min(upTo, d.upTo)
}

// works notes that everything there is was delivered.
func (d *delivery) works() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = time.Time{}
}

// failed notes that the log could not be reached.
func (d *delivery) failed(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		d.since = now
	}
}

// outage returns for how long delivering has failed; 0 while it works.
func (d *delivery) outage(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() {
		return 0
	}
	return now.Sub(d.since)
}

// wait returns when the log has the stream's first upTo records, or with the reason why the context ended.
func (d *delivery) wait(ctx context.Context, upTo uint64) error {
	for {
		changed := d.bell.Changed()
		if d.missing(upTo) == 0 {
			return nil
		}
		select {
		case d.urgent <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// startAtAuthTimeout is how long a session's start may take to reach the auth server where the cluster
// wants it there before the database is dialled.
const startAtAuthTimeout = 10 * time.Second

// recording returns the cluster's rules for audit, or the defaults while they are not known.
func (a *Agent) recording() resource.RecordingConfigSpec {
	if config, ok := cache.Get[*resource.RecordingConfig](a.Cache, resource.KindRecordingConfig, resource.NameRecordingConfig); ok {
		return config.Spec
	}
	return resource.RecordingConfigSpec{StartGate: resource.StartGateLocal, OutageBudget: resource.Duration(resource.DefaultOutageBudget)}
}

// startGate returns what a session's start must wait for besides this host's disk; nil for nothing.
func (a *Agent) startGate() func(context.Context) error {
	if a.recording().StartGate != resource.StartGateAuth {
		return nil
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, startAtAuthTimeout, fault.New(fault.ConnectionProblem,
			"the auth server did not take the start of the session in time, and the cluster wants it there first"))
		defer cancel()
		return a.delivered.wait(ctx, uint64(a.Spool.End()))
	}
}

// auditOutage returns why nothing goes on when events could not be delivered for longer than the cluster
// allows, or nil.
func (a *Agent) auditOutage() error {
	budget := a.recording().OutageBudget.Std()
	if budget <= 0 || a.delivered.outage(a.Now()) <= budget {
		return nil
	}
	return fault.New(fault.LimitExceeded,
		"audit events could not be delivered to the auth server for more than %s, so no session goes on; tell an administrator", budget)
}
