package session_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/session"
)

// TestAllow asks for other logical databases than the session was opened for, by rules that change.
func TestAllow(t *testing.T) {
	t.Parallel()
	now, allowed, asked := time.Now(), "orders", 0
	s, _ := enginetest.NewSession(t, enginetest.Config{
		Database:    enginetest.NewDatabase(t, "mongodb", listen(t), nil),
		Credentials: enginetest.AccountsOnly,
		Now:         func() time.Time { return now },
		Decide: func(target access.Target) access.Decision {
			asked++
			if target.User != "app" || !target.CheckName && target.Name != "" {
				t.Errorf("asked for %+v", target)
			}
			return access.Decision{Allowed: !target.CheckName || target.Name == allowed, Reason: "the rule"}
		},
	})
	if _, err := s.Open(t.Context(), session.Want{User: "app", AnyName: true}); err != nil {
		t.Fatalf("without a name: %v", err)
	}
	for range 3 {
		if err := s.Allow("orders"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("the rules were asked %d times", asked)
	}
	err := s.Allow("other")
	if !fault.Is(err, fault.AccessDenied) || session.Reason(err) != "the rule" || strings.Contains(fault.Message(err), "the rule") {
		t.Errorf("another one: %v", err)
	}
	allowed = "other"
	if err := s.Allow("other"); err != nil {
		t.Errorf("one that is allowed by now: %v", err)
	}
	now = now.Add(time.Second)
	if err := s.Allow("orders"); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("one that is denied by now: %v", err)
	}
	if err := s.Close("ended", nil); err != nil {
		t.Error(err)
	}
}

// TestDeniedCommands asks for rules that change: not for each command, and not much later.
func TestDeniedCommands(t *testing.T) {
	t.Parallel()
	now, asked := time.Now(), 0
	var denied access.Commands
	s, _ := enginetest.NewSession(t, enginetest.Config{
		Database: enginetest.NewDatabase(t, "redis", listen(t), nil),
		Now:      func() time.Time { return now },
		Denied:   func() access.Commands { asked++; return denied },
	})
	for range 3 {
		if s.DeniedCommands().Has("flushall") {
			t.Error("denied, and no rule says so")
		}
	}
	denied = access.Commands{"flushall"}
	now = now.Add(time.Second)
	for range 3 {
		if !s.DeniedCommands().Has("flushall") {
			t.Error("not denied, and a rule says so")
		}
	}
	if asked != 2 {
		t.Errorf("the rules were asked %d times", asked)
	}
	if err := s.Close("ended", nil); err != nil {
		t.Error(err)
	}
}
