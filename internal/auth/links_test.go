package auth_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/store"
)

// meddler is a store that lets something happen after it has done what a test waits for.
type meddler struct {
	store.Store
	after func(operation, key string)
}

func (m *meddler) Delete(ctx context.Context, key string, revision uint64) error {
	err := m.Store.Delete(ctx, key, revision)
	m.after("delete", key)
	return err
}

func (m *meddler) Get(ctx context.Context, key string) (store.Item, error) {
	item, err := m.Store.Get(ctx, key)
	m.after("get", key)
	return item, err
}

// meddle returns a world in whose store something happens once, at the first operation on a key with the prefix after
// arm was called.
func meddle(t *testing.T, operation, prefix string, act func(*world)) (w *world, arm func()) {
	t.Helper()
	var armed atomic.Bool
	m := &meddler{after: func(op, key string) {
		if op == operation && strings.HasPrefix(key, prefix) && armed.CompareAndSwap(true, false) {
			act(w)
		}
	}}
	w = newWorld(t, func(cfg *auth.Config) {
		m.Store = cfg.Store
		cfg.Store = m
	})
	return w, func() { armed.Store(true) }
}

func TestOfManyWhoUseALinkAtOnceOneSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice")
	for _, token := range []string{w.invite("bob"), w.reset("alice")} { // an invite and a reset
		invite, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: token, ClientAddress: "192.0.2.50:1"})
		if err != nil {
			t.Fatal(err)
		}
		p := &person{w: w, name: invite.GetUser(), secret: invite.GetTotpSecret()}
		var used atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			acceptance := p.acceptance(token)
			all.Go(func() {
				_, err := w.proxy.Login.AcceptInvite(t.Context(), acceptance)
				switch {
				case err == nil:
					used.Add(1)
				case !fault.Is(err, fault.NotFound):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := used.Load(); n != 1 {
			t.Errorf("the link of %s was used %d times", p.name, n)
		}
	}
}

func TestAResetAndDeletionEndEarlierLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	links := []string{w.invite("alice"), w.reset("alice"), w.reset("alice")}
	for i, token := range links {
		_, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: token, ClientAddress: source("alice")})
		if last := i == len(links)-1; fault.Is(err, fault.NotFound) == last {
			t.Errorf("link %d: %v", i+1, err)
		}
	}
	w.remove("user", "alice")
	_, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: links[2], ClientAddress: source("alice")})
	wantKind(t, err, fault.NotFound, "unknown, was used or has expired")
}

// TestALinkThatIsBeingUsedEndsWithAReset resets a user between the use of a link and what it was used for.
func TestALinkThatIsBeingUsedEndsWithAReset(t *testing.T) {
	t.Parallel()
	w, arm := meddle(t, "delete", "/user_link/", func(w *world) { w.reset("alice") })
	token := w.invite("alice")
	invite, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: token, ClientAddress: source("alice")})
	if err != nil {
		t.Fatal(err)
	}
	alice := &person{w: w, name: "alice", secret: invite.GetTotpSecret()}
	arm()
	_, err = w.proxy.Login.AcceptInvite(t.Context(), alice.acceptance(token))
	wantKind(t, err, fault.NotFound, "unknown, was used or has expired")
	w.clock.Advance(30 * time.Second)
	if _, err := alice.login("alice", password, alice.code()); err == nil {
		t.Error("the password of before the reset works")
	}
}

// TestALoginDuringAResetIsVoid resets a user after its password was read.
func TestALoginDuringAResetIsVoid(t *testing.T) {
	t.Parallel()
	w, arm := meddle(t, "get", "/user_auth/alice", func(w *world) { w.reset("alice") })
	w.mustApply("kind: cluster_auth_preference\nversion: v2\nspec: {second_factor: \"off\"}\n")
	token := w.invite("alice")
	alice := &person{w: w, name: "alice"}
	if _, err := w.proxy.Login.AcceptInvite(t.Context(), &sallyportv1.AcceptInviteRequest{Token: token, Password: password, ClientAddress: source("alice")}); err != nil {
		t.Fatal(err)
	}
	arm()
	res, err := alice.login("alice", password, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.as(certificate(t, res.GetCertificate())).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
	wantKind(t, err, fault.Unauthenticated, "reset or changed")
}
