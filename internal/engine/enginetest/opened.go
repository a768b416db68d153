package enginetest

import (
	"context"
	"net"
	"testing"

	"sallyport/internal/session"
)

// OpenSession returns a session for the account app that is open, its journal, and its way to the database, which leads
// nowhere: for relays that are tested by themselves. Roles are those of Config.
func OpenSession(t testing.TB, protocol, name string, roles ...string) (*session.Session, *Journal, *session.Upstream) {
	t.Helper()
	s, journal := NewSession(t, Config{
		Database: NewDatabase(t, protocol, "db.example.com:1024", nil), Credentials: AccountsOnly, Roles: roles,
		Dial: func(context.Context, string, string) (net.Conn, error) { near, _ := net.Pipe(); return near, nil },
	})
	up, err := s.Open(t.Context(), session.Want{User: "app", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return s, journal, up
}
