package session_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/fault"
	"sallyport/internal/session"
)

// listen returns the address of a listener that accepts and says nothing.
func listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func newSession(t *testing.T, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*session.Session, *enginetest.Journal) {
	t.Helper()
	return enginetest.NewSession(t, enginetest.Config{
		Database:    enginetest.NewDatabase(t, "postgres", listen(t), nil),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) { return &cred.Credential{User: account}, nil }),
		Dial:        dial,
	})
}

func TestDialAgain(t *testing.T) {
	t.Parallel()
	var dialled []string
	s, _ := newSession(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	if _, err := s.DialAgain(t.Context()); err == nil || len(dialled) > 0 {
		t.Fatalf("before Open: %v, dialled %q", err, dialled)
	}
	if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	up, err := s.DialAgain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer up.Conn.Close()
	if up.User != "app" || len(dialled) != 2 || dialled[0] != dialled[1] {
		t.Errorf("account %q, dialled %q", up.User, dialled)
	}
	if err := s.Close("ended", nil); err != nil {
		t.Fatal(err)
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	s, journal := newSession(t, func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no network")
	})
	cause := fault.New(fault.AccessDenied, "not in this way")
	if err := s.Refuse(session.Want{User: "app", Name: "orders"}, cause); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err == nil {
		t.Error("a refused session was opened")
	}
	if err := s.Close("refused", cause); err != nil {
		t.Error(err)
	}
	events := journal.Events()
	if len(events) != 1 || events[0].Code != "TDB00W" || events[0].Text("db_user") != "app" || events[0].Text("error") != "not in this way" {
		t.Errorf("recorded %v", events)
	}
}
