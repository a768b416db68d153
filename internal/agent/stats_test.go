package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
)

func TestStatsTellOfSessionsAndUndeliveredEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		log := a.keep()
		r := a.start(t, nil, database(t, "orders", nil))
		time.Sleep(time.Second)
		r.visitAs(t, "alice") // who has no role
		r.visit(t, "nothing", alice("nothing"))
		time.Sleep(time.Second)
		stats := r.Stats()
		if stats.Ended[agent.Ended{Protocol: "postgres", Result: "refused"}] != 1 || stats.Refused != 1 || stats.AuditBacklog != 0 || stats.AuditOutage != 0 {
			t.Errorf("after two visits: %+v", stats)
		}
		log.set(func() {
			log.refuse = func(*sallyportv1.SubmitEventsRequest) error { return fault.New(fault.ConnectionProblem, "away") }
		})
		r.visitAs(t, "bob")
		time.Sleep(time.Minute)
		if stats = r.Stats(); stats.AuditBacklog != 1 || stats.AuditOutage < 50*time.Second || stats.SpoolError != nil {
			t.Errorf("while auth takes nothing: %+v", stats)
		}
		log.set(func() { log.refuse = nil })
		time.Sleep(time.Minute)
		if stats = r.Stats(); stats.AuditBacklog != 0 || stats.AuditOutage != 0 {
			t.Errorf("when auth is back: %+v", stats)
		}
	})
}
