package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/auth"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

func TestALockOnAJoinTokenStopsHostsThatJoinedWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, other := w.token("db"), w.token("db")
	join := func(token string) (*sallyportv1.JoinResponse, error) { return w.join(token, uuid.NewString(), "Db") }
	res, err := join(token)
	if err != nil {
		t.Fatal(err)
	}
	agent := w.as(certificate(t, res.GetIdentity().GetCertificate()))
	w.mustApply("kind: lock\nversion: v2\nmetadata: {name: 33333333-3333-4333-8333-333333333333}\nspec: {target: {join_token: " + token + "}, expires: 2100-01-02T03:04:05Z}\n")
	if w.events("lock.created", `"expires":"2100-01-02T03:04:05.000Z"`, `"target":{"join_token":"`) != 1 || w.events("lock.created", token) != 0 {
		t.Error("the event of the lock does not say what it locks, and until when, or says the token")
	}
	_, err = agent.Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
	wantKind(t, err, fault.AccessDenied, "lock targeting JoinToken")
	_, err = join(token)
	wantKind(t, err, fault.AccessDenied, "not accepted")
	if _, err := join(other); err != nil {
		t.Errorf("with another token: %v", err)
	}
	lock, err := w.admin.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "lock", Name: "33333333-3333-4333-8333-333333333333"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock.GetResource().GetJson()), token) {
		t.Error("the lock holds the token")
	}
	if _, err := w.admin.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{Resource: lock.GetResource()}); err != nil {
		t.Fatal(err)
	}
	_, err = agent.Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
	wantKind(t, err, fault.AccessDenied, "lock targeting JoinToken")
}

func TestALockOnADeviceStopsLoginsWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	_, device, _ := strings.Cut(search(t, w.admin, &sallyportv1.SearchEventsRequest{Types: []string{"mfa.add"}}), `"mfa_device_uuid":"`)
	w.mustApply("kind: lock\nversion: v2\nmetadata: {name: 44444444-4444-4444-8444-444444444444}\nspec: {target: {mfa_device: " + device[:36] + "}}\n")
	_, err := alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "lock targeting MFADevice")
}

func TestTwinsAreRefusedHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice")
	const twin = `{"kind":"user","version":"v2","metadata":{"name":"ALICE"},"spec":{"roles":["access"]}}`
	wire := &sallyportv1.Resource{Kind: "user", Json: []byte(twin)}
	_, err := w.admin.Resources.CreateResource(t.Context(), &sallyportv1.CreateResourceRequest{Resource: wire})
	wantKind(t, err, fault.AlreadyExists, `user "alice" already exists`)
	_, err = w.admin.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{Resource: wire})
	wantKind(t, err, fault.AlreadyExists, `user "alice" already exists`)
	w.mustApply("kind: user\nversion: v2\nmetadata: {name: alice}\nspec: {roles: []}\n")
}

func TestAnAdministratorUnblocksByWritingTheStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	for range 5 {
		_, err := alice.login("alice", "wrong wrong wrong", "1")
		wantKind(t, err, fault.AccessDenied, "wrong")
	}
	_, err := alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "wrong")
	w.mustApply("kind: user\nversion: v2\nmetadata: {name: alice}\nspec: {roles: [access], status: {is_locked: false}}\n")
	if _, err := alice.login("alice", password, alice.code()); err != nil {
		t.Errorf("after she was unblocked: %v", err)
	}
}

// TestFailedLoginsDoNotShortenAnAdministratorsLock has strangers fail at a user whom an administrator has locked for good.
func TestFailedLoginsDoNotShortenAnAdministratorsLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	for name, expires := range map[string]string{"for good": "", "for ten minutes": ", lock_expires: '" + w.clock.Now().Add(10*time.Minute).UTC().Format(time.RFC3339) + "'"} {
		w.mustApply("kind: user\nversion: v2\nmetadata: {name: alice}\nspec: {roles: [access], status: {is_locked: true, locked_message: leave" + expires + "}}\n")
		for range 5 {
			_, _ = alice.login("alice", "wrong wrong wrong", "1")
		}
		user, err := w.admin.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: resource.KindUser, Name: "alice"})
		if err != nil || !strings.Contains(string(user.GetResource().GetJson()), `"locked_message":"leave"`) {
			t.Errorf("%s: %s, %v", name, user.GetResource().GetJson(), err)
		}
	}
}

// TestWhoAcceptsALinkIsNotLockedOut has strangers fail at a name before its link is used.
func TestWhoAcceptsALinkIsNotLockedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply(passwordOnly)
	link := w.invite("alice")
	stranger := &person{w: w, name: "alice"}
	for range 5 {
		_, _ = stranger.login("alice", "wrong wrong wrong", "")
	}
	if _, err := w.proxy.Login.AcceptInvite(t.Context(), &sallyportv1.AcceptInviteRequest{Token: link, Password: password}); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.login("alice", password, ""); err != nil {
		t.Errorf("after the link was used: %v", err)
	}
}

// lockout is the first lock after five failures.
const lockout = 20 * time.Minute

func TestLoginsThatComeAtOnceAreLockedOutToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	try := func(user string, i int) error {
		_, err := w.proxy.Login.Login(t.Context(), &sallyportv1.LoginRequest{User: user, Password: "wrong wrong wrong", TotpCode: "1", PublicKey: public, ClientAddress: fmt.Sprintf("198.51.100.%d:1", i)})
		return err
	}
	const attempts = 30
	for _, user := range []string{"alice", "nobody"} {
		answers := make([]error, attempts)
		var wg sync.WaitGroup
		for i := range attempts {
			wg.Go(func() { answers[i] = try(user, i) })
		}
		wg.Wait()
		for _, err := range answers {
			if !fault.Is(err, fault.AccessDenied) || fault.Message(err) != "the user name, password or one-time code is wrong" {
				t.Errorf("%s: %v", user, err)
			}
		}
	}
	// Those that came while the name was being locked did not count again, so the lock did not double.
	user, err := w.admin.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "user", Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if until := w.clock.Now().Add(lockout).UTC().Format("2006-01-02T15:04:05"); !strings.Contains(string(user.GetResource().GetJson()), `"lock_expires":"`+until) {
		t.Errorf("not locked until %s: %s", until, user.GetResource().GetJson())
	}
	w.clock.Advance(lockout)
	if _, err := alice.login("alice", password, alice.code()); err != nil {
		t.Errorf("after the lockout: %v", err)
	}
}

// hookedStore runs something once, when a key is read for the first time.
type hookedStore struct {
	store.Store
	key string
	run func()
}

func (s *hookedStore) Get(ctx context.Context, key string) (store.Item, error) {
	if run := s.run; run != nil && key == s.key {
		s.run = nil
		run()
	}
	return s.Store.Get(ctx, key)
}

func TestALockoutHoldsForLoginsThatBeganBeforeIt(t *testing.T) {
	t.Parallel()
	hooked := &hookedStore{key: "/user_auth/alice"}
	w := newWorld(t, func(c *auth.Config) {
		hooked.Store = c.Store
		c.Store = hooked
	})
	alice := w.person("alice")
	hooked.run = func() { // while a login is under way
		for range 5 {
			_, err := alice.login("alice", "wrong wrong wrong", "1")
			wantKind(t, err, fault.AccessDenied, "wrong")
		}
	}
	_, err := alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "the user name, password or one-time code is wrong")
	// Nor did it count as a login that succeeded, which would forget the lock: the next one is longer.
	w.clock.Advance(lockout)
	for range 5 {
		_, err := alice.login("alice", "wrong wrong wrong", "1")
		wantKind(t, err, fault.AccessDenied, "wrong")
	}
	w.clock.Advance(lockout)
	_, err = alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "wrong")
}
