package enginetest

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// refused checks a visit that the rules refuse.
func (s *stage) refused(t *testing.T, a *Agent, account, name, text string) {
	t.Helper()
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, text)
	v := a.Visit(t, len(a.Visits())-1)
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) {
		t.Errorf("the engine returned %v", err)
	}
	events := v.Journal.Events()
	if len(events) != 1 || events[0].Code != "TDB00W" || events[0].Text("db_user") != account {
		t.Errorf("recorded %v", events)
	}
	if s.dials.get() != 0 {
		t.Error("the database was dialled")
	}
}

func otherAccount(t *testing.T, s *stage) {
	s.refused(t, s.agent(t), "root", name, "access to db denied. User does not have permissions. Confirm database user and name.")
}

// otherName checks the rules about logical databases, of protocols that have such rules.
func otherName(t *testing.T, s *stage) {
	if !resource.EnforcesNames(s.Protocol) {
		if err := s.connect(t, s.agent(t, func(c *Config) { c.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: [app]}}`} })).Close(); err != nil {
			t.Error(err)
		}
		return
	}
	s.refused(t, s.agent(t, func(c *Config) {
		c.Roles = []string{`{allow: {db_labels: {'*': '*'}, db_users: [app], db_names: [other]}, deny: {db_names: ['3']}}`}
	}), account, name, "access to db denied. User does not have permissions. Confirm database user and name.")
}

func decidedBefore(t *testing.T, s *stage) {
	a := s.agent(t, func(c *Config) { c.Refusal = fault.New(fault.AccessDenied, "you are locked; ask an administrator") })
	s.refused(t, a, account, name, "you are locked; ask an administrator")
}

// signer is an auth server that signs nothing.
type signer struct{ err error }

func (s signer) SignDatabaseClientCertificate(context.Context, *sallyportv1.SignDatabaseClientCertificateRequest) (*sallyportv1.SignDatabaseClientCertificateResponse, error) {
	return nil, s.err
}

// deniedByAuth checks a visit that the agent's rules allow and those of the auth server do not, as when a role was taken from the user
// after the login: to the client it is a denial like any other, and its reason is said once.
func deniedByAuth(t *testing.T, s *stage) {
	const reason = "your roles are not what they were; ask an administrator"
	denial := fault.Wrap(fault.AccessDenied, errors.New("permission_denied: "+reason), reason)
	a := s.agent(t, func(c *Config) { c.Credentials = cred.NewSelfHosted(signer{denial}, time.Now) })
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, reason)
	if strings.Contains(err.Error(), "credential") {
		t.Errorf("the client was told of the agent's affairs: %v", err)
	}
	v := a.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.AccessDenied) || strings.Count(err.Error(), reason) != 1 {
		t.Errorf("the engine returned %v", err)
	}
	if s.dials.get() != 0 {
		t.Error("the database was dialled")
	}
}

func down(t *testing.T, s *stage) {
	a := s.agent(t)
	s.server.Stop()
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, "cannot be reached")
	v := a.Visit(t, 0)
	if err := v.Wait(t); !fault.Is(err, fault.ConnectionProblem) {
		t.Errorf("the engine returned %v", err)
	}
	if end := ends(t, v); end.Text("error") == "" {
		t.Errorf("end: %v", end.Fields)
	}
}

func rejected(t *testing.T, s *stage) {
	a := s.agent(t)
	s.server.Reject("no such account here")
	_, err := s.try(t, a, account, name)
	s.wantRefusal(t, err, "no such account here")
	v := a.Visit(t, 0)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	if end := ends(t, v); !strings.Contains(end.Text("error"), "no such account here") {
		t.Errorf("end: %v", end.Fields)
	}
}

func garbage(t *testing.T, s *stage) {
	for title, packet := range s.Bad {
		t.Run(title, func(t *testing.T) {
			a := s.agent(t)
			if s.Routed {
				a.Expect(account, name) // whom the rules would let in
			}
			conn, err := net.Dial("tcp", a.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
			if err := a.Visit(t, 0).Wait(t); err == nil {
				t.Error("the engine returned no error")
			}
			if s.dials.get() != 0 {
				t.Error("the database was dialled")
			}
		})
	}
}
