package auth_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// database is a db resource of a name with the label env.
func database(name, env string) string {
	return "kind: db\nversion: v3\nmetadata: {name: " + name + ", labels: {env: " + env + "}}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n"
}

func TestConditionsOfRulesLookAtWhatACallIsAbout(t *testing.T) {
	t.Parallel()
	get := func(name string) func(*testing.T, *authapi.Client) error {
		return func(t *testing.T, api *authapi.Client) error {
			_, err := api.Resources.GetResource(t.Context(), &sallyportv1.GetResourceRequest{Kind: "db", Name: name})
			return err
		}
	}
	remove := func(name string) func(*testing.T, *authapi.Client) error {
		return func(t *testing.T, api *authapi.Client) error {
			_, err := api.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: "db", Name: name})
			return err
		}
	}
	put := func(name, env string) func(*testing.T, *authapi.Client) error {
		return func(t *testing.T, api *authapi.Client) error { return apply(t, api, database(name, env)) }
	}
	const (
		deny  = `{allow: {rules: [{resources: [db], verbs: ['*']}]}, deny: {rules: [{resources: [db], verbs: ['*'], where: 'equals(resource.metadata.labels["env"], "prod")'}]}}`
		named = `{allow: {rules: [{resources: [db], verbs: ['*']}]}, deny: {rules: [{resources: [db], verbs: ['*'], where: 'equals(resource.metadata.name, "prod")'}]}}`
		allow = `{allow: {rules: [{resources: [db], verbs: ['*'], where: 'equals(resource.metadata.labels["env"], "dev")'}]}}`
	)
	for name, c := range map[string]struct {
		role string
		call func(*testing.T, *authapi.Client) error
		ok   bool
	}{
		"denied by the name":                         {named, put("prod", "x"), false},
		"not denied by another name":                 {named, put("dev", "x"), true},
		"denied by a stored label":                   {deny, get("prod"), false},
		"not denied by another stored label":         {deny, get("dev"), true},
		"denied by a label that is sent":             {deny, put("new", "prod"), false},
		"denied by the label that is to be replaced": {deny, put("prod", "dev"), false},
		"denied deletion":                            {deny, remove("prod"), false},
		"deletion that is not denied":                {deny, remove("dev"), true},
		"allowed by a stored label":                  {allow, get("dev"), true},
		"not allowed by another stored label":        {allow, get("prod"), false},
		"allowed by a label that is sent":            {allow, put("new", "dev"), true},
		"not allowed by only the label that is sent": {allow, put("prod", "dev"), false},
		"nothing is allowed of what does not exist":  {allow, get("none"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustApply(database("prod", "prod") + "---\n" + database("dev", "dev"))
			w.mustApply("kind: role\nversion: v7\nmetadata: {name: r}\nspec: " + c.role + "\n")
			w.invite("eve", "r")
			if err := c.call(t, w.as(w.user("eve"))); (err == nil) != c.ok || err != nil && !fault.Is(err, fault.AccessDenied) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestListsHoldWhatMayBeReadOneByOne(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]string{
		"conditional denial": `{allow: {rules: [{resources: [db], verbs: [list, read]}]}, deny: {rules: [{resources: [db], verbs: [read], where: 'equals(resource.metadata.labels["env"], "prod")'}]}}`,
		"conditional grant":  `{allow: {rules: [{resources: [db], verbs: [list]}, {resources: [db], verbs: [read], where: 'equals(resource.metadata.labels["env"], "dev")'}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.mustApply(database("prod", "prod") + "---\n" + database("dev", "dev"))
			w.mustApply("kind: role\nversion: v7\nmetadata: {name: r}\nspec: " + spec + "\n")
			w.invite("eve", "r")
			res, err := w.as(w.user("eve")).Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "db"})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range res.GetResources() {
				names = append(names, r.GetName())
			}
			if !slices.Equal(names, []string{"dev"}) {
				t.Errorf("listed are %q", names)
			}
		})
	}
}

// start is the start of a user's session as its agent encodes it.
func start(host, sid, user string) []byte {
	return []byte(fmt.Sprintf(`{"v":1,"ei":0,"event":"db.session.start","code":"TDB00I","uid":"%s","time":"2026-01-02T03:04:05.000Z","cluster_name":"test.local","user":"%s","sid":"%s","server_id":"%s","success":true}`, uuid.NewString(), user, sid, host))
}

// play returns the events of a session as the client reads them.
func play(t *testing.T, api *authapi.Client, sid string) (events []string, err error) {
	t.Helper()
	stream, err := api.Audit.ReadSession(t.Context(), &sallyportv1.ReadSessionRequest{SessionId: sid})
	if err != nil {
		return nil, err
	}
	for stream.Receive() {
		events = append(events, string(stream.Msg().GetEvent()))
	}
	return events, stream.Err()
}

func TestUsersPlayTheirOwnSessionsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice", "access")
	w.invite("ada", "auditor")
	agent := w.host(resource.RoleDb)
	hers, his := uuid.NewString(), uuid.NewString()
	if _, err := w.as(agent).Audit.SubmitEvents(t.Context(), &sallyportv1.SubmitEventsRequest{Stream: uuid.NewString(),
		Events: [][]byte{start(agent.Name, hers, "alice"), start(agent.Name, his, "bob")}}); err != nil {
		t.Fatal(err)
	}
	alice, ada := w.as(w.user("alice")), w.as(w.user("ada"))
	if events, err := play(t, alice, hers); err != nil || len(events) != 1 {
		t.Errorf("her own session: %q, %v", events, err)
	}
	_, err := play(t, alice, his)
	wantKind(t, err, fault.AccessDenied, "do not allow")
	_, err = play(t, alice, uuid.NewString())
	wantKind(t, err, fault.AccessDenied, "do not allow")
	if events, err := play(t, ada, his); err != nil || len(events) != 1 {
		t.Errorf("an auditor: %q, %v", events, err)
	}
	_, err = play(t, ada, uuid.NewString())
	wantKind(t, err, fault.NotFound, "was not found in the audit log; tctl audit ls shows the sid of sessions")
	_, err = play(t, ada, "nosuch")
	wantKind(t, err, fault.BadParameter, `"nosuch" is not a session id; take the sid of an event, a UUID, as tctl audit ls shows it`)
}

func TestDenialsBeatTheRightsOfARelatedKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: r}\nspec: {allow: {rules: [{resources: [db], verbs: ['*']}]}, deny: {rules: [{resources: [db_server], verbs: ['*']}]}}\n")
	w.invite("eve", "r")
	_, err := w.as(w.user("eve")).Resources.ListResources(t.Context(), &sallyportv1.ListResourcesRequest{Kind: "db_server"})
	wantKind(t, err, fault.AccessDenied, "do not allow")
}
