package agent_test

import (
	"errors"
	"testing"

	"connectrpc.com/connect"

	"sallyport/internal/agent"
	"sallyport/internal/resource"
)

// TestAgentThatWasPushedOutAnnouncesItselfAnew has another process of the host withdraw what both have announced.
func TestAgentThatWasPushedOutAnnouncesItselfAnew(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p, address := a.startProxy(t)
	r := a.start(t, func(cfg *agent.Config) { follow(cfg, address) }, database(t, "orders", nil))
	announced := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.servers[resource.KindDatabaseServer+"/orders"] != nil && a.servers[resource.KindDatabaseService+"/"+hostID] != nil
	}
	eventually(t, "the agent announces itself", announced)
	a.set(func() { clear(a.servers) })
	p.end <- connect.NewError(connect.CodeAlreadyExists, errors.New("another process has connected as this host"))
	eventually(t, "it announces itself again", announced)
	p.end <- errors.New("the proxy stops") // the connection was made again
	r.stop()
	if !announced() {
		t.Error("its goodbye withdraws what the other process goes on serving")
	}
}
