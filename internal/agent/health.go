package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cache"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/health"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

func (a *Agent) newHealth() *health.Keeper {
	return health.New(health.Config{Check: a.lookAt, Tell: a.tellHealth, Now: a.Now, Jitter: func(d time.Duration) time.Duration { return rand.N(d) }})
}

// healthChecks returns how databases are to be checked.
func (a *Agent) healthChecks() []*resource.HealthCheckConfig {
	return cache.List[*resource.HealthCheckConfig](a.Cache, resource.KindHealthCheckConfig)
}

// lookAt finds out whether sessions would get to a database.
func (a *Agent) lookAt(ctx context.Context, db *resource.Database) health.Result {
	r := health.Result{Address: db.Spec.URI, Protocol: resource.HealthTCP}
	protocol, ok := a.Engines[db.Spec.Protocol]
	if !ok {
		r.Err = fault.Wrap(fault.BadParameter, health.ErrNotMade, "it speaks %s, which this version cannot serve", db.Spec.Protocol)
		return r
	}
	var addresses []string
	if r.Err = surviving(func() (err error) { addresses, err = a.addressesOf(ctx, protocol.Engine, db); return err }); r.Err != nil {
		return r
	}
	r.Address = strings.Join(slices.Sorted(slices.Values(addresses)), ",")
	look := session.Glance.Listens
	if shaker, ok := protocol.Engine.(engine.Shaker); ok && shaker.Harmless(db) {
		r.Protocol = resource.HealthTLS
		look = func(g session.Glance, ctx context.Context) error { return g.Shakes(ctx, shaker.AskForTLS) }
	}
	glance := session.Glance{Database: db, Knock: a.Knock, Dial: a.dialFor(db), Trusted: a.Trusted}
	if db.InAWS() {
		glance.Knock = a.KnockAWS
	}
	r.Err = anyOf(ctx, addresses, func(ctx context.Context, address string) error {
		g := glance
		g.Address = address
		return surviving(func() error { return look(g, ctx) })
	})
	if errors.Is(r.Err, session.ErrNotTrusted) {
		r.Err = fmt.Errorf("%w: %w", health.ErrNotMade, r.Err)
	}
	return r
}

// surviving has a panic end what an engine was asked only.
func surviving(ask func() error) error {
	err := engine.Guard("engine", ask)
	if _, panicked := errors.AsType[*engine.Panic](err); panicked {
		return fault.Wrap(fault.Internal, fmt.Errorf("%w: %w", health.ErrNotMade, err), "the check ran into a fault of this program; the log of the agent has it")
	}
	return err
}

// addressesOf returns where a database is.
func (a *Agent) addressesOf(ctx context.Context, e engine.Engine, db *resource.Database) ([]string, error) {
	if db.InAWS() {
		endpoint, err := db.AWSEndpoint()
		if err != nil {
			return nil, fault.Wrap(fault.BadParameter, err, "the uri %q cannot be used: %s", db.Spec.URI, err)
		}
		return []string{endpoint.Address()}, nil
	}
	if seeker, ok := e.(engine.Seeker); ok {
		return seeker.Addresses(ctx, db)
	}
	if _, _, err := net.SplitHostPort(db.Spec.URI); err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the uri %q is not host:port; correct it", db.Spec.URI)
	}
	return []string{db.Spec.URI}, nil
}

// anyOf looks at all addresses side by side, and returns nil as soon as one look has gone well, otherwise what was wrong with the
// first. All looks have ended when it returns.
func anyOf(ctx context.Context, addresses []string, look func(ctx context.Context, address string) error) error {
	if len(addresses) == 1 {
		return look(ctx, addresses[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make(chan error, len(addresses))
	for _, address := range addresses {
		go func() { failures <- look(ctx, address) }()
	}
	var first error
	reached := len(addresses) == 0
	for range addresses {
		switch err := <-failures; {
		case err == nil:
			reached = true
			cancel()
		case first == nil:
			first = err
		}
	}
	if reached {
		return nil
	}
	return first
}

// tellHealth records that a database can no longer be reached, or can again. A fault of ours is for the log only.
func (a *Agent) tellHealth(t health.Transition) {
	db, now := t.Database, t.Now
	if now.Status == resource.HealthUnknown {
		logger := a.Logger.With("db", db.GetName())
		logger.Warn("health of a database cannot be checked", "error", t.Err)
		logPanic(logger, t.Err)
		return
	}
	event := &audit.DatabaseHealth{
		DatabaseMeta: audit.DatabaseMeta{Service: db.GetName(), Protocol: db.Spec.Protocol, URI: db.Spec.URI, Type: db.Type(), Origin: db.Origin()},
		ServerMeta:   a.serverMeta(),
		Address:      now.Address, Protocol: now.Protocol, Health: now.Status, Was: t.Was, Reason: now.TransitionReason,
		Status: audit.Status{Success: now.Status == resource.Healthy, Error: now.TransitionError},
	}
	if event.Success {
		a.Logger.Info("database can be reached again", "db", db.GetName(), "address", now.Address, "reason", now.Message)
	} else {
		a.Logger.Warn("database cannot be reached", "db", db.GetName(), "address", now.Address, "reason", now.Message, "error", now.TransitionError)
	}
	a.record(event)
}
