package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/resource"
)

func TestSessionsOfAnAgentThatDoesNotComeBackEndAsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone, here := w.host(resource.RoleDb), w.host(resource.RoleDb)
	lost, running := uuid.NewString(), uuid.NewString()
	for id, sid := range map[string]string{gone.Name: lost, here.Name: running} {
		host := gone
		if id == here.Name {
			host = here
		}
		if err := heartbeat(t, w, host, id, "db-"+sid); err != nil {
			t.Fatal(err)
		}
		if err := w.submit(host, string(start(id, sid, "alice"))); err != nil {
			t.Fatal(err)
		}
	}
	ends := func() string {
		t.Helper()
		if err := w.auth.EndLostSessions(t.Context()); err != nil {
			t.Fatal(err)
		}
		return search(t, w.admin, &sallyportv1.SearchEventsRequest{Types: []string{"db.session.end"}})
	}
	w.clock.Advance(14 * time.Minute) // within the life of the heartbeats
	if found := ends(); found != "" {
		t.Fatalf("while agents are there: %s", found)
	}
	w.clock.Advance(2 * time.Minute) // the heartbeats have run out
	here.Expires = w.clock.Now().Add(time.Hour)
	if _, err := w.as(here).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		found := ends()
		if strings.Count(found, "\n") != 1 || !strings.Contains(found, lost) || !strings.Contains(found, `"reason":"lost"`) || !strings.Contains(found, `"user":"alice"`) {
			t.Fatalf("ends are %s", found)
		}
	}
	// It was only away, and delivers an end of its own.
	gone.Expires = w.clock.Now().Add(time.Hour)
	end := strings.Replace(event("db.session.end", `,"cluster_name":"test.local","sid":"`+lost+`","reason":"the client closed the session"`), `"ei":0`, `"ei":1`, 1)
	if err := w.submit(gone, end); err != nil {
		t.Fatal(err)
	}
	if found := ends(); strings.Count(found, "\n") != 1 || !strings.Contains(found, `"reason":"lost"`) {
		t.Errorf("ends are %s", found)
	}
	if n := w.events("audit.late_end", "the client closed the session"); n != 1 {
		t.Errorf("%d late ends are kept", n)
	}
}

func TestAfterARestartEveryAgentHasTimeToComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent, sid := w.host(resource.RoleDb), uuid.NewString()
	if err := w.submit(agent, string(start(agent.Name, sid, "alice"))); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(50 * time.Minute)
	restarted := w.restart()
	lost := func() int {
		if err := restarted.EndLostSessions(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.events("db.session.end", sid)
	}
	if lost() != 0 {
		t.Error("the session ended at once")
	}
	w.clock.Advance(61 * time.Second)
	if lost() != 1 {
		t.Error("the session did not end after a minute")
	}
}
