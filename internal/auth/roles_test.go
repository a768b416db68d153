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
