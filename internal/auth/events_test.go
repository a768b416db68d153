package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// search returns the events that a caller finds, in one text.
func search(t *testing.T, api *authapi.Client, req *sallyportv1.SearchEventsRequest) string {
	t.Helper()
	res, err := api.Audit.SearchEvents(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, event := range res.GetEvents() {
		all.Write(event)
		all.WriteByte('\n')
	}
	return all.String()
}

func TestStatementsAreFoundByThoseWhoMayPlayTheirSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice", "access")
	w.invite("ada", "auditor")
	agent := w.host(resource.RoleDb)
	session := func(user string) []string {
		sid := `,"cluster_name":"test.local","sid":"` + uuid.NewString() + `","user":"` + user + `"`
		return []string{
			event("db.session.start", sid+`,"success":true`),
			strings.Replace(event("db.session.query", sid+`,"db_query":"words of `+user+`"`), `"ei":0`, `"ei":1`, 1),
			strings.Replace(event("db.session.postgres.statements.parse", sid+`,"query":"words of `+user+`"`), `"ei":0`, `"ei":2`, 1),
		}
	}
	if err := w.submit(agent, append(session("alice"), session("bob")...)...); err != nil {
		t.Fatal(err)
	}
	all := &sallyportv1.SearchEventsRequest{}
	hers := search(t, w.as(w.user("alice")), all)
	if strings.Count(hers, "words of alice") != 2 || strings.Contains(hers, "words of bob") || strings.Count(hers, "db.session.start") != 2 {
		t.Errorf("alice finds %s", hers)
	}
	for name, api := range map[string]*authapi.Client{"an auditor": w.as(w.user("ada")), "the administrator": w.admin} {
		if found := search(t, api, all); strings.Count(found, "words of") != 4 {
			t.Errorf("%s finds %s", name, found)
		}
	}
}

func TestSearchesAreRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("ada", "auditor")
	sid := uuid.NewString()
	search(t, w.as(w.user("ada")), &sallyportv1.SearchEventsRequest{From: timestamppb.New(w.clock.Now()), Types: []string{"user.login"}, User: "bob", SessionId: sid})
	found := search(t, w.admin, &sallyportv1.SearchEventsRequest{Types: []string{"audit.search"}, User: "ada"})
	for _, want := range []string{`"user":"ada"`, `"types":["user.login"]`, `"of_user":"bob"`, `"of_session":"` + sid + `"`, `"from":`} {
		if !strings.Contains(found, want) {
			t.Errorf("%s is not in %s", want, found)
		}
	}
	if found := search(t, w.admin, &sallyportv1.SearchEventsRequest{SessionId: sid}); found != "" {
		t.Errorf("looking for the session's events finds the search for them: %s", found)
	}
}

func TestUsersHaveQuotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("ada", "auditor")
	w.invite("bob", "auditor")
	ada, bob := w.as(w.user("ada")), w.as(w.user("bob"))
	_, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		burst int
		wait  time.Duration
		call  func(*authapi.Client) error
	}{
		"certificates": {60, time.Second, func(api *authapi.Client) error {
			_, err := api.Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: public})
			return err
		}},
		"searches": {20, 100 * time.Millisecond, func(api *authapi.Client) error {
			_, err := api.Audit.SearchEvents(t.Context(), &sallyportv1.SearchEventsRequest{})
			return err
		}},
	} {
		for range c.burst {
			if err := c.call(ada); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		wantKind(t, c.call(ada), fault.LimitExceeded, "wait a")
		if err := c.call(bob); err != nil {
			t.Errorf("%s of another: %v", name, err)
		}
		w.clock.Advance(c.wait)
		if err := c.call(ada); err != nil {
			t.Errorf("%s after a while: %v", name, err)
		}
	}
}
