package agent_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// stayer is an engine whose sessions last until somebody ends them, and which tells its client why.
type stayer struct{}

func (stayer) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	_, err := s.Open(ctx, session.Want{User: "postgres", Name: "postgres"})
	if text := fault.Message(err); !strings.Contains(text, "allowed") {
		_, _ = io.WriteString(client, text)
		return err
	}
	<-ctx.Done()
	_, _ = io.WriteString(client, fault.Message(context.Cause(ctx)))
	return context.Cause(ctx)
}

// guest is a visitor of the database orders.
type guest struct {
	mu   sync.Mutex
	left bool
	said string // what it was told at the end
}

func (r *running) enter(t *testing.T, visits *sync.WaitGroup, id *identity.Identity) *guest {
	g := &guest{}
	visits.Go(func() {
		said := r.visit(t, "orders", id)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.left, g.said = true, said
	})
	return g
}

// is tells of a guest who is not, or is no longer, where it should be; ended is what it is told, and empty while it stays.
func (g *guest) is(t *testing.T, when, ended string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left != (ended != "") || !strings.Contains(g.said, ended) {
		t.Errorf("%s: gone is %v and it was told %q; want %q", when, g.left, g.said, ended)
	}
}

const (
	role  = "kind: role\nversion: v7\nmetadata: {name: NAME}\nspec:\n  options: {lock: MODE}\n  allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}\n"
	stale = "locks cannot be checked because the auth server is away, and your roles demand that; try again later"
)

// TestStrictUsersNeedAKnownViewOfLocks takes the auth server away: after five minutes nobody knows whether there is a lock
// on a user.
func TestStrictUsersNeedAKnownViewOfLocks(t *testing.T) {
	for name, c := range map[string]struct {
		cluster string // locking mode
		role    string
		roles   []string
		stays   bool
	}{
		"a role that is strict":                         {"best_effort", "strict", []string{"it"}, false},
		"a role that is strict, beside one that is not": {"best_effort", "strict", []string{"other", "it"}, false},
		"a role that does its best":                     {"best_effort", "best_effort", []string{"it"}, true},
		"a role that says nothing":                      {"best_effort", "''", []string{"it"}, true},
		"a cluster that is strict":                      {"strict", "''", []string{"it"}, false},
		"a cluster that is strict, a role that is not":  {"strict", "best_effort", []string{"it"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority(t)
				a.store(t, strings.NewReplacer("NAME", "it", "MODE", c.role).Replace(role)+"---\n"+
					strings.NewReplacer("NAME", "other", "MODE", "''").Replace(role)+
					"---\nkind: cluster_auth_preference\nversion: v2\nmetadata: {name: cluster-auth-preference}\nspec: {type: local, second_factor: otp, locking_mode: "+c.cluster+"}\n")
				var cut []string
				a.submit = func(req *sallyportv1.SubmitEventsRequest) error { // called under the authority's lock
					for _, event := range req.GetEvents() {
						if strings.Contains(string(event), `"client.disconnect"`) {
							cut = append(cut, string(event))
						}
					}
					return nil
				}
				r := a.start(t, func(cfg *agent.Config) { cfg.Engines["postgres"] = agent.Protocol{Engine: stayer{}} }, database(t, "orders", nil))
				time.Sleep(time.Second) // it is served
				var visits sync.WaitGroup
				defer visits.Wait()
				defer r.stop()
				alice := alice("orders", c.roles...)
				early := r.enter(t, &visits, alice)
				time.Sleep(time.Minute)
				a.set(func() { close(a.away) })
				time.Sleep(5*time.Minute - 30*time.Second)
				late := r.enter(t, &visits, alice)
				time.Sleep(5 * time.Second)
				early.is(t, "a session, before five minutes", "")
				late.is(t, "one that came meanwhile", "")
				time.Sleep(time.Minute)
				later := r.enter(t, &visits, alice)
				time.Sleep(10 * time.Second)
				if c.stays {
					early.is(t, "a session, after five minutes", "")
					late.is(t, "one that came meanwhile", "")
					later.is(t, "one that comes then", "")
					return
				}
				early.is(t, "a session, after five minutes", stale)
				late.is(t, "one that came meanwhile", stale)
				later.is(t, "one that comes then", stale)
				a.set(func() {
					if len(cut) != 2 || !strings.Contains(cut[0], stale) || !strings.Contains(cut[1], stale) {
						t.Errorf("the log has of two sessions that were cut: %q", cut)
					}
					a.away = make(chan struct{})
				})
				time.Sleep(time.Minute)
				again := r.enter(t, &visits, alice)
				time.Sleep(time.Second)
				again.is(t, "when the auth server is back", "")
			})
		})
	}
}

// TestSessionsLastAsLongAsTheCertificateWhereTheRoleSaysSo has certificates that are valid for an hour.
func TestSessionsLastAsLongAsTheCertificateWhereTheRoleSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		a.store(t, strings.NewReplacer("NAME", "it", "lock: MODE", "disconnect_expired_cert: true").Replace(role)+"---\n"+
			strings.NewReplacer("NAME", "other", "lock: MODE", "disconnect_expired_cert: false").Replace(role))
		r := a.start(t, func(cfg *agent.Config) { cfg.Engines["postgres"] = agent.Protocol{Engine: stayer{}} }, database(t, "orders", nil))
		time.Sleep(time.Second) // it is served
		var visits sync.WaitGroup
		defer visits.Wait()
		defer r.stop()
		bound, free, both := r.enter(t, &visits, alice("orders", "it")), r.enter(t, &visits, alice("orders", "other")), r.enter(t, &visits, alice("orders", "it", "other"))
		expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		time.Sleep(time.Hour - time.Second)
		bound.is(t, "a second before the end", "")
		both.is(t, "a second before the end, of two roles", "")
		time.Sleep(3 * time.Second)
		bound.is(t, "two seconds after the end", "your certificate expired at "+expires+"; log in again with tsh login")
		both.is(t, "two seconds after the end, of two roles", "your certificate expired at "+expires)
		free.is(t, "two seconds after the end, of a role that does not mind", "")
	})
}
