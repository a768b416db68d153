package mongodb_test

import (
	"context"
	"net"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/session"
)

// piped makes a session for the account app, of a user who may use the database orders only, with a client and a server at
// the ends of pipes in memory. It returns those, and what relays between them until the session ends.
func piped(t *testing.T) (client, server net.Conn, run func() error) {
	t.Helper()
	s, _ := pipedSession(t)
	client, clientEnd := net.Pipe()
	server, serverEnd := net.Pipe()
	return client, server, func() error { return newEngine().Relay(t.Context(), clientEnd, serverEnd, s) }
}

func pipedSession(t *testing.T) (*session.Session, *enginetest.Journal) {
	t.Helper()
	s, journal := enginetest.NewSession(t, enginetest.Config{
		Database:    enginetest.NewDatabase(t, "mongodb", "db.example.com:27017", nil),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) { return &cred.Credential{User: account}, nil }),
		Roles:       []string{`{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [orders]}}`},
		Dial:        func(context.Context, string, string) (net.Conn, error) { near, _ := net.Pipe(); return near, nil },
	})
	if _, err := s.Open(t.Context(), session.Want{User: "app", Name: "orders"}); err != nil {
		t.Fatal(err)
	}
	return s, journal
}
