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
		Credentials: enginetest.AccountsOnly,
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

// TestLogInAgain gets a password or token anew, and no other credential.
func TestLogInAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second cred.Credential
		asked         int
		want          string // password; empty for an error, where there was one
	}{
		"a token":                         {cred.Credential{User: "app", Password: "one", Token: true}, cred.Credential{User: "app", Password: "two", Token: true}, 2, "two"},
		"a password":                      {cred.Credential{User: "app", Password: "one"}, cred.Credential{User: "other", Password: "two"}, 2, "two"},
		"a certificate":                   {cred.Credential{User: "app"}, cred.Credential{User: "app", Password: "two"}, 1, ""},
		"one for another address":         {cred.Credential{User: "app", Password: "one"}, cred.Credential{User: "app", Password: "two", Address: "elsewhere:1"}, 2, ""},
		"one that has become no password": {cred.Credential{User: "app", Password: "one"}, cred.Credential{User: "app"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			var requests []cred.Request
			s, _ := enginetest.NewSession(t, enginetest.Config{
				Database: enginetest.NewDatabase(t, "mysql", listen(t), nil),
				Credentials: source(func(req cred.Request) (*cred.Credential, error) {
					requests = append(requests, req)
					if asked++; asked == 1 {
						return &c.first, nil
					}
					return &c.second, nil
				}),
			})
			if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err != nil {
				t.Fatal(err)
			}
			up, err := s.LogInAgain(t.Context())
			if isCertificate := c.first.Password == ""; (err == nil) != (c.want != "" || isCertificate) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				defer up.Conn.Close()
				if up.Password != c.want {
					t.Errorf("password %q", up.Password)
				}
			}
			if asked != c.asked || requests[len(requests)-1].DatabaseUser != "app" || requests[len(requests)-1].DatabaseName != "orders" {
				t.Errorf("asked %d times, %+v", asked, requests)
			}
			if err := s.Close("ended", nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMembersAreThoseOfTheCredential(t *testing.T) {
	t.Parallel()
	var dialled []string
	credential := &cred.Credential{User: "app", Password: "secret", Address: "first.example.com:6379", Member: func(address string) bool { return address == "second.example.com:6379" }}
	s, _ := enginetest.NewSession(t, enginetest.Config{
		Database:    enginetest.NewDatabase(t, "postgres", "first.example.com:6379", nil),
		Credentials: enginetest.Certificates(func(string) (*cred.Credential, error) { return credential, nil }),
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			client, server := net.Pipe()
			t.Cleanup(func() { _ = server.Close() })
			return client, nil
		},
	})
	if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	up, err := s.DialMember(t.Context(), "second.example.com:6379")
	if err != nil {
		t.Fatal(err)
	}
	defer up.Conn.Close()
	if _, err := s.DialMember(t.Context(), "third.example.com:6379"); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("a stranger: %v", err)
	}
	if len(dialled) != 2 || dialled[1] != "second.example.com:6379" {
		t.Errorf("dialled %q", dialled)
	}
	if err := s.Close("ended", nil); err != nil {
		t.Error(err)
	}
}
