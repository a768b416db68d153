package auth_test

import (
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
)

const anyDatabase = "kind: db\nversion: v3\nmetadata: {name: x}\nspec: {protocol: postgres, uri: 'localhost:5432'}\n"

const restricted = `
kind: role
version: v7
metadata: {name: restricted}
spec: {deny: {rules: [{resources: [db], verbs: ['*']}]}}
`

func TestARoleThatIsHeldCannotBeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply(restricted)
	w.invite("eve", "editor", "restricted")
	w.invite("bob", "restricted")
	remove := &sallyportv1.DeleteResourceRequest{Kind: "role", Name: "restricted"}
	_, err := w.as(w.user("eve")).Resources.DeleteResource(t.Context(), remove)
	wantKind(t, err, fault.BadParameter, `held by "bob", "eve"`)
	_, err = w.admin.Resources.DeleteResource(t.Context(), remove)
	wantKind(t, err, fault.BadParameter, "take it from them first")
	w.mustApply("kind: user\nversion: v2\nmetadata: {name: eve}\nspec: {roles: [editor]}\n---\nkind: user\nversion: v2\nmetadata: {name: bob}\nspec: {roles: []}\n")
	if _, err := w.admin.Resources.DeleteResource(t.Context(), remove); err != nil {
		t.Fatal(err)
	}
}

func TestARoleThatHasExpiredDeniesEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: passing, expires: '" + w.clock.Now().Add(10*time.Minute).Format(time.RFC3339) + "'}\nspec: {}\n")
	w.invite("eve", "editor", "passing")
	eve := w.as(w.user("eve"))
	if err := apply(t, eve, anyDatabase); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(11 * time.Minute)
	wantKind(t, apply(t, eve, anyDatabase), fault.AccessDenied, "do not allow")
}

const helpdesk = "kind: role\nversion: v7\nmetadata: {name: helpdesk}\nspec: {allow: {rules: [{resources: [user], verbs: [list, read, update, create]}, {resources: [role], verbs: [create, update]}]}}\n"

func TestNobodyRaisesTheirRightsThroughOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply(helpdesk + "---\n" + dba)
	w.invite("hal", "helpdesk")
	w.invite("boss", "editor", "auditor")
	w.invite("alice", "dba")
	hal := w.as(w.user("hal"))
	create := func(name string, roles ...string) error {
		_, err := hal.Users.CreateUser(t.Context(), &sallyportv1.CreateUserRequest{Name: name, Roles: roles})
		return err
	}
	reset := func(name string) error {
		_, err := hal.Users.ResetUser(t.Context(), &sallyportv1.ResetUserRequest{Name: name})
		return err
	}
	put := func(text string) error { return apply(t, hal, text) }
	for name, err := range map[string]error{
		"makes a user with more":          create("puppet", "editor"),
		"makes a user who reads sessions": create("reader", "auditor"),
		"writes a user with more":         put("kind: user\nversion: v2\nmetadata: {name: puppet}\nspec: {roles: [editor]}\n"),
		"gives a user more":               put("kind: user\nversion: v2\nmetadata: {name: alice}\nspec: {roles: [editor]}\n"),
		"changes a user who has more":     put("kind: user\nversion: v2\nmetadata: {name: boss}\nspec: {roles: [dba]}\n"),
		"resets a user who has more":      reset("boss"),
		"writes a role that gives more":   put("kind: role\nversion: v7\nmetadata: {name: big}\nspec: {allow: {rules: [{resources: [lock], verbs: [create]}]}}\n"),
		"changes a role to give more":     put("kind: role\nversion: v7\nmetadata: {name: dba}\nspec: {allow: {rules: [{resources: ['*'], verbs: ['*']}]}}\n"),
	} {
		if !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"makes a user of databases":  create("bob", "dba"),
		"resets a user of databases": reset("alice"),
		"writes a role of databases": put("kind: role\nversion: v7\nmetadata: {name: other}\nspec: {allow: {db_labels: {'*': '*'}, db_users: [app]}}\n"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
