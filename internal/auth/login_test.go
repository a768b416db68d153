package auth_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/quota"
	"sallyport/internal/resource"
)

func TestLoginGivesACertificateOfTheUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	res, err := alice.login("alice", password, alice.code())
	if err != nil {
		t.Fatal(err)
	}
	id := certificate(t, res.GetCertificate())
	if id.Name != "alice" || len(id.Roles) != 1 || id.Cluster != cluster || id.LoginIP == "" {
		t.Fatalf("identity is %+v", id)
	}
	if left := id.Expires.Sub(w.clock.Now()); left != 12*time.Hour {
		t.Fatalf("certificate lives %s", left)
	}
	if w.events("user.login", `"success":true`) != 1 || w.events("cert.create", `"user":"alice"`) != 1 {
		t.Fatal("login or certificate was not recorded")
	}
}

func TestFailedLoginsAreAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	attempts := map[string]func() error{
		"wrong password":       func() error { _, err := alice.login("alice", "wrong wrong wrong", alice.code()); return err },
		"wrong code":           func() error { _, err := alice.login("alice", password, "000000"); return err },
		"no such user":         func() error { _, err := alice.login("mallory", password, alice.code()); return err },
		"user without account": func() error { w.invite("bob"); _, err := alice.login("bob", password, alice.code()); return err },
	}
	for name, attempt := range attempts {
		err := attempt()
		wantKind(t, err, fault.AccessDenied, "the user name, password or one-time code is wrong")
		if fault.Message(err) != "the user name, password or one-time code is wrong" {
			t.Errorf("%s is told apart: %v", name, err)
		}
	}
	if w.events("user.login", `"success":false`) != len(attempts) {
		t.Fatal("failed logins were not all recorded")
	}
}

func TestCodeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	code := alice.code()
	var wg sync.WaitGroup
	won := make(chan struct{}, 8)
	for range 4 {
		wg.Go(func() {
			if _, err := alice.login("alice", password, code); err == nil {
				won <- struct{}{}
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("one code let %d logins in", len(won))
	}
}

func TestFiveFailuresLockEveryPathAndSpelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	for _, name := range []string{"alice", "Alice", " alice", "ALICE", "alice"} {
		if _, err := alice.login(name, "wrong wrong wrong", "000000"); err == nil {
			t.Fatalf("%q was let in", name)
		}
	}
	_, err := alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "is wrong")
	w.clock.Advance(19 * time.Minute)
	if _, err := alice.login("alice", password, alice.code()); err == nil {
		t.Fatal("lock ended early")
	}
	w.clock.Advance(2 * time.Minute)
	if _, err := alice.login("alice", password, alice.code()); err != nil {
		t.Fatalf("after the lock: %v", err)
	}
}

func TestResetUnlocksAndEndsTheOldPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.person("alice")
	res, err := w.admin.Users.ResetUser(t.Context(), &sallyportv1.ResetUserRequest{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.login("alice", password, alice.code()); err == nil {
		t.Fatal("the old password works")
	}
	invite, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: res.GetLink().GetToken(), ClientAddress: "192.0.2.99:1"})
	if err != nil {
		t.Fatal(err)
	}
	if invite.GetTotpSecret() == alice.secret {
		t.Fatal("the second factor is the old one")
	}
	alice.secret = invite.GetTotpSecret()
	if _, err := w.proxy.Login.AcceptInvite(t.Context(), alice.acceptance(res.GetLink().GetToken())); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Second)
	if _, err := alice.login("alice", password, alice.code()); err != nil {
		t.Fatal(err)
	}
}

func TestInviteWorksOnceAndNotForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.invite("alice")
	invite, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	alice := &person{w: w, name: "alice", secret: invite.GetTotpSecret()}
	short := alice.acceptance(token)
	short.Password = "short"
	_, err = w.proxy.Login.AcceptInvite(t.Context(), short)
	wantKind(t, err, fault.BadParameter, "between 12 and 128 characters")
	wrong := alice.acceptance(token)
	wrong.TotpCode = "000000"
	_, err = w.proxy.Login.AcceptInvite(t.Context(), wrong)
	wantKind(t, err, fault.BadParameter, "one-time code is wrong")
	if _, err := w.proxy.Login.AcceptInvite(t.Context(), alice.acceptance(token)); err != nil {
		t.Fatal(err)
	}
	_, err = w.proxy.Login.AcceptInvite(t.Context(), alice.acceptance(token))
	wantKind(t, err, fault.NotFound, "unknown, was used or has expired")

	late := w.invite("bob")
	w.clock.Advance(time.Hour)
	_, err = w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: late})
	wantKind(t, err, fault.NotFound, "has expired")
}

func TestStrangersAreLimitedByTheirAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	guess := func(address string) error {
		_, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: "guess", ClientAddress: address})
		return err
	}
	for i := range 40 {
		if err := guess("198.51.100.7:1"); fault.Is(err, fault.LimitExceeded) {
			t.Fatalf("guess %d was limited", i)
		}
	}
	wantKind(t, guess("198.51.100.7:2"), fault.LimitExceeded, "too many attempts")
	wantKind(t, guess("198.51.100.8:1"), fault.NotFound, "")
	w.clock.Advance(3 * time.Second)
	wantKind(t, guess("198.51.100.7:3"), fault.NotFound, "")
}

func TestStrangersOfOneNetworkAreLimitedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *auth.Config) { cfg.Strangers = quota.Rate{PerMinute: 1, Burst: 5} })
	for i := range 6 {
		_, err := w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: "guess", ClientAddress: fmt.Sprintf("[2001:db8::%d]:1", i+1)})
		if fault.Is(err, fault.LimitExceeded) != (i == 5) {
			t.Errorf("guess %d: %v", i, err)
		}
	}
}

func TestStrangersAskSoOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *auth.Config) { cfg.Strangers = quota.Rate{PerMinute: 20, Burst: 5} })
	ask := func(from string, id *identity.Identity) (ping, authorities error) {
		api := w.from(from, id)
		_, ping = api.Cluster.Ping(t.Context(), &sallyportv1.PingRequest{})
		_, authorities = api.Cluster.GetAuthorities(t.Context(), &sallyportv1.GetAuthoritiesRequest{})
		return ping, authorities
	}
	for range 2 {
		if ping, authorities := ask("192.0.2.1:1", nil); ping != nil || authorities != nil {
			t.Fatal(ping, authorities)
		}
	}
	ping, authorities := ask("192.0.2.1:2", nil)
	wantKind(t, authorities, fault.LimitExceeded, "too many calls from your address")
	if ping != nil {
		t.Errorf("the fifth: %v", ping)
	}
	ping, _ = ask("192.0.2.1:2", nil)
	wantKind(t, ping, fault.LimitExceeded, "too many calls from your address")
	if ping, authorities := ask("192.0.2.2:1", nil); ping != nil || authorities != nil {
		t.Error("another address:", ping, authorities)
	}
	for range 5 { // a member of the cluster, and attempts, are counted apart
		if ping, authorities := ask("192.0.2.1:1", w.host(resource.RoleDb)); ping != nil || authorities != nil {
			t.Error("a member:", ping, authorities)
		}
		_, err := w.from("192.0.2.1:1", nil).Join.GetJoinChallenge(t.Context(), &sallyportv1.GetJoinChallengeRequest{})
		if fault.Is(err, fault.LimitExceeded) {
			t.Error("an attempt:", err)
		}
	}
}

func TestPasswordsAreRefusedWhereTheClusterWantsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, token := w.person("alice"), w.invite("bob")
	w.mustApply("kind: cluster_auth_preference\nversion: v2\nspec: {allow_local_auth: false}\n")
	_, err := alice.login("alice", password, alice.code())
	wantKind(t, err, fault.AccessDenied, "switched off")
	_, err = w.proxy.Login.GetInvite(t.Context(), &sallyportv1.GetInviteRequest{Token: token, ClientAddress: source("bob")})
	wantKind(t, err, fault.AccessDenied, "switched off")
	_, err = w.proxy.Login.AcceptInvite(t.Context(), alice.acceptance(token))
	wantKind(t, err, fault.AccessDenied, "switched off")
	w.remove("cluster_auth_preference", "")
	if _, err := alice.login("alice", password, alice.code()); err != nil {
		t.Errorf("switched on again: %v", err)
	}
}
