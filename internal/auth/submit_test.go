package auth_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
)

// event is a line of an event with further fields.
func event(typ, fields string) string {
	return fmt.Sprintf(`{"v":1,"ei":0,"event":"%s","code":"T","uid":"%s","time":"2026-01-02T03:04:05.000Z"%s}`, typ, uuid.NewString(), fields)
}

func (w *world) submit(id *identity.Identity, lines ...string) error {
	w.t.Helper()
	req := &sallyportv1.SubmitEventsRequest{Stream: uuid.NewString()}
	for _, line := range lines {
		req.Events = append(req.Events, []byte(line))
	}
	_, err := w.as(id).Audit.SubmitEvents(w.t.Context(), req)
	return err
}

func TestHostsDeliverTheirOwnKindsOfEventsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db, proxy, admin := w.host(resource.RoleDb), w.host(resource.RoleProxy), w.host(resource.RoleAdmin)
	const here = `,"cluster_name":"test.local"`
	from := func(id *identity.Identity) string { return `,"server_id":"` + id.Name + `"` }
	session := `,"sid":"` + uuid.NewString() + `"`
	prev := `,"prev":"` + fmt.Sprintf("%064d", 1) + `"`
	for name, c := range map[string]struct {
		id   *identity.Identity
		line string
		ok   bool
	}{
		"a statement":                     {db, event("db.session.query", here+session), true},
		"a statement of no session":       {db, event("db.session.query", here), false},
		"a statement of another cluster":  {db, event("db.session.query", `,"cluster_name":"other"`+session), false},
		"a statement of no cluster":       {db, event("db.session.query", session), false},
		"a disconnected client":           {db, event("client.disconnect", here+from(db)), true},
		"a rejected session":              {db, event("session.rejected", here+from(db)), true},
		"a refused certificate":           {db, event("auth", here+from(db)), true},
		"a torn spool":                    {db, event("audit.spool.torn", here+from(db)), true},
		"an event of no host":             {db, event("auth", here), false},
		"an event that passes as chained": {db, event("auth", here+from(db)+session+prev), false},
		"a login":                         {db, event("user.login", here+from(db)), false},
		"a login within a chain":          {db, event("user.login", here+from(db)+session+prev), false},
		"a new role":                      {db, event("role.created", here+from(db)), false},
		"an end set aside":                {db, event("audit.late_end", here+from(db)), false},
		"a statement from a proxy":        {proxy, event("db.session.query", here+`,"sid":"`+uuid.NewString()+`"`), false},
		"a refused certificate of it":     {proxy, event("auth", here+from(proxy)), false},
		"a statement from an admin":       {admin, event("db.session.query", here+`,"sid":"`+uuid.NewString()+`"`), false},
	} {
		if err := w.submit(c.id, c.line); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.events("user.login", "") != 0 {
		t.Error("a forged login is in the log")
	}
}

func TestNoHostWritesIntoAnothersSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, other := w.host(resource.RoleDb), w.host(resource.RoleDb)
	sid := uuid.NewString()
	if err := w.submit(mine, string(start(mine.Name, sid, "alice"))); err != nil {
		t.Fatal(err)
	}
	err := w.submit(other, event("db.session.query", `,"cluster_name":"test.local","sid":"`+sid+`"`))
	wantKind(t, err, fault.AccessDenied, "another host's")
}
