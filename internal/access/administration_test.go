package access_test

import (
	"testing"

	"sallyport/internal/access"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

func TestNobodyGivesAdministrationThatTheyLack(t *testing.T) {
	t.Parallel()
	rules := func(text string) string { return `{allow: {rules: [` + text + `]}}` }
	const all, users = `{resources: ['*'], verbs: ['*']}`, `{resources: [user], verbs: [create, update]}`
	for name, c := range map[string]struct {
		editor, given string
		ok            bool
	}{
		"databases":                      {rules(users), `{allow: {db_labels: {'*': '*'}, db_users: ['*']}}`, true},
		"what the editor holds":          {rules(users), rules(`{resources: [user], verbs: [create]}`), true},
		"another verb":                   {rules(users), rules(`{resources: [user], verbs: [delete]}`), false},
		"another kind":                   {rules(users), rules(`{resources: [role], verbs: [create]}`), false},
		"one kind of several":            {rules(users), rules(`{resources: [user, role], verbs: [create]}`), false},
		"every verb":                     {rules(users), rules(`{resources: [user], verbs: ['*']}`), false},
		"every kind":                     {rules(users), rules(`{resources: ['*'], verbs: [create]}`), false},
		"everything from everything":     {rules(all), rules(all), true},
		"something from everything":      {rules(all), rules(`{resources: [lock], verbs: [delete]}`), true},
		"looking at the cluster":         {rules(users), rules(`{resources: [role, event, db], verbs: [list, read]}`), true},
		"looking at everything":          {rules(users), rules(`{resources: ['*'], verbs: [read]}`), false},
		"sessions of others":             {rules(users), rules(`{resources: [session], verbs: [read]}`), false},
		"sessions of one's own":          {rules(users), rules(`{resources: [session], verbs: [read], where: '` + resource.WhereOwnSession + `'}`), true},
		"sessions on any condition":      {rules(users), rules(`{resources: [session], verbs: [read], where: 'equals(user.metadata.name, user.metadata.name)'}`), false},
		"more than a condition leaves":   {rules(`{resources: [lock], verbs: [create], where: 'equals(resource.metadata.name, "x")'}`), rules(`{resources: [lock], verbs: [create]}`), false},
		"what the same condition leaves": {rules(`{resources: [lock], verbs: [create], where: 'equals(resource.metadata.name, "x")'}`), rules(`{resources: [lock], verbs: [create], where: 'equals(resource.metadata.name, "x")'}`), true},
		"everything but a denial":        {`{allow: {rules: [` + all + `]}, deny: {rules: [{resources: [token], verbs: [create], where: 'equals(resource.metadata.name, "x")'}]}}`, rules(all), false},
		"what is denied":                 {`{allow: {rules: [` + all + `]}, deny: {rules: [{resources: [token], verbs: ['*']}]}}`, rules(`{resources: [token], verbs: [create]}`), false},
		"what is not denied":             {`{allow: {rules: [` + all + `]}, deny: {rules: [{resources: [token], verbs: ['*']}]}}`, rules(`{resources: [lock], verbs: [create]}`), true},
		"what denied secrets leave":      {`{allow: {rules: [` + all + `]}, deny: {rules: [{resources: [session], verbs: [readnosecrets]}]}}`, rules(`{resources: [session], verbs: [read]}`), false},
	} {
		editor := access.Caller{User: "eve", Roles: []*resource.Role{role(t, "editor", c.editor)}}
		err := access.CheckAdministration(editor, []*resource.Role{role(t, "given", c.given)})
		if (err == nil) != c.ok || err != nil && !fault.Is(err, fault.AccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEditorsGiveThePresetOfDatabases(t *testing.T) {
	t.Parallel()
	presets := map[string]*resource.Role{}
	for _, r := range resource.PresetRoles() {
		presets[r.GetName()] = r
	}
	editor := access.Caller{User: "eve", Roles: []*resource.Role{presets["editor"]}}
	for name, ok := range map[string]bool{"access": true, "editor": true, "auditor": false} {
		if err := access.CheckAdministration(editor, []*resource.Role{presets[name]}); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
