package agent

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/engine"
	"sallyport/internal/resource"
)

const (
	scoutEvery  = time.Minute
	scoutAtOnce = 8
)

// scout has engines look at the databases that they serve, each until it has answered once.
func (a *Agent) scout(ctx context.Context) {
	ticker := time.NewTicker(scoutEvery)
	defer ticker.Stop()
	for {
		select {
		case <-a.registered:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		a.lookAtAll(ctx)
	}
}

func (a *Agent) lookAtAll(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(scoutAtOnce)
	for _, db := range a.databases.all() {
		scout, ok := a.Engines[db.Spec.Protocol].Engine.(engine.Scout)
		if !ok {
			continue
		}
		group.Go(func() error {
			if err := scout.Look(ctx, db, a.dialFor(db)); err != nil {
				a.Logger.Debug("a database could not be looked at", "database", db.GetName(), "error", err)
			}
			return nil
		})
	}
	_ = group.Wait()
}

// dialFor returns what dials a database.
func (a *Agent) dialFor(db *resource.Database) func(ctx context.Context, network, address string) (net.Conn, error) {
	if db.InAWS() {
		return a.DialAWS
	}
	return a.Dial
}

// all returns the databases that are served.
func (d *databases) all() []*resource.Database {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Values(d.byRoute))
}
