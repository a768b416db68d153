package agent_test

import (
	"context"
	"sync"
	"testing"

	"sallyport/internal/agent"
	"sallyport/internal/resource"
)

// permissions have one status for all databases.
type permissions struct {
	ran chan struct{} // closed when Run has ended

	mu      sync.Mutex
	status  int
	changed chan struct{}
}

func (p *permissions) set(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *permissions) Serve(served map[string]*resource.Database) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, db := range served {
		db.Status.AWS.IAMPolicyStatus = p.status
	}
}

func (p *permissions) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *permissions) Run(ctx context.Context) {
	defer close(p.ran)
	<-ctx.Done()
}

// TestStatusOfUpkeepIsTold has each kind of upkeep run beside the agent, and tell what it has to tell.
func TestStatusOfUpkeepIsTold(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(*agent.Config, agent.Upkeep){
		"of permissions": func(c *agent.Config, u agent.Upkeep) { c.Permissions = u },
		"of accounts":    func(c *agent.Config, u agent.Upkeep) { c.Accounts = u },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &permissions{ran: make(chan struct{}), status: resource.IAMPolicyPending, changed: make(chan struct{})}
			a := newAuthority(t)
			r := a.start(t, func(c *agent.Config) { use(c, p) }, database(t, "orders", nil))
			has := func(status int) func() bool {
				return func() bool {
					server := a.server("orders")
					return server != nil && server.Spec.Database.Status.AWS.IAMPolicyStatus == status
				}
			}
			eventually(t, "the database is registered before it is done", has(resource.IAMPolicyPending))
			p.set(resource.IAMPolicySuccess)
			eventually(t, "it is told that it is done", has(resource.IAMPolicySuccess)) // long before the next heartbeat
			r.stop()
			<-p.ran
		})
	}
}
