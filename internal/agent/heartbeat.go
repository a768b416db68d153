package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const (
	heartbeatLife  = 10 * time.Minute
	heartbeatEvery = 4 * time.Minute
	retryAfter     = 5 * time.Second
	stopGrace      = 2 * time.Second
)

func (a *Agent) heartbeatEvery(now time.Time) time.Duration {
	if a.twin.exists(now) {
		return twinHeartbeat
	}
	return heartbeatEvery
}

func (a *Agent) putServer(ctx context.Context, db *resource.Database, health resource.TargetHealth) error {
	r, err := resource.New(resource.KindDatabaseServer)
	if err != nil {
		return err
	}
	server := r.(*resource.DatabaseServer)
	expires := a.Now().Add(heartbeatLife).UTC()
	server.Metadata.Name, server.Metadata.Expires = db.GetName(), &expires
	server.Spec = resource.DatabaseServerSpec{Version: a.Version, Hostname: a.Hostname, HostID: a.HostID, Database: db}
	server.Status.TargetHealth = health
	return a.put(ctx, server)
}

// announce tells the cluster of this service and its selectors, and reports whether it could.
func (a *Agent) announce(ctx context.Context) bool {
	r, err := resource.New(resource.KindDatabaseService)
	if err == nil {
		service := r.(*resource.DatabaseService)
		expires := a.Now().Add(heartbeatLife).UTC()
		service.Metadata.Name, service.Metadata.Expires = a.HostID, &expires
		service.Spec = resource.DatabaseServiceSpec{Hostname: a.Hostname, Resources: a.Selectors}
		err = a.put(ctx, service)
	}
	if err != nil {
		a.Logger.Warn("this service was not announced; trying again", "error", err)
	}
	return err == nil
}

func (a *Agent) put(ctx context.Context, r resource.Resource) error {
	json, err := resource.Encode(r)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := answered(ctx, 10*time.Second)
	defer cancel()
	_, err = a.Auth.Resources.PutResource(ctx, &sallyportv1.PutResourceRequest{
		Resource: &sallyportv1.Resource{Kind: r.GetKind(), Name: r.GetName(), Json: json},
	})
	return err
}

// answered returns a context for a call that must not be left in the middle: when the agent is told to stop,
// the answer is waited for a little longer, so that what follows does not overtake the call.
func answered(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-call.Done():
		case <-time.After(stopGrace):
			cancel()
		}
	})
	return call, func() { stop(); cancel() }
}

func (a *Agent) removeServer(ctx context.Context, name string) {
	if err := a.remove(ctx, resource.KindDatabaseServer, name+"/"+a.HostID); err != nil {
		a.Logger.Warn("database could not be unregistered; its registration runs out by itself", "db", name, "error", err)
	}
}

// remove removes a heartbeat.
func (a *Agent) remove(ctx context.Context, kind, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := a.Auth.Resources.DeleteResource(ctx, &sallyportv1.DeleteResourceRequest{Kind: kind, Name: name})
	if fault.Is(err, fault.NotFound) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// deregister says goodbye.
func (a *Agent) deregister(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a.databases.mu.RLock()
	names := slices.Collect(maps.Keys(a.databases.known))
	a.databases.mu.RUnlock()
	for _, name := range names {
		if ctx.Err() == nil && strings.TrimSpace(name) != "" {
			a.removeServer(ctx, name)
		}
	}
	if err := a.remove(ctx, resource.KindDatabaseService, a.HostID); err != nil && ctx.Err() == nil {
		a.Logger.Warn("this service could not be withdrawn; its announcement runs out by itself", "error", err)
	}
}
