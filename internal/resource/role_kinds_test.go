package resource_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/resource"
)

func TestRulesAboutKindsThatDoNotExistAreDoubted(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"session": "", "event": "", "db": "", "'*'": "", "node": "", "access_request": "",
		"sesion":   `is "sesion", which is no kind that is known here; it allows and denies nothing. Kinds are role, user, `,
		"Session":  `is "Session", which is no kind`,
		"sessions": `is "sessions", which is no kind`,
		"locks":    `is "locks", for which rules write lock; it allows and denies nothing`,
		"CAP":      `is "CAP", for which rules write cluster_auth_preference;`,
	} {
		for _, side := range []string{"allow", "deny"} {
			list, err := resource.ParseYAML(fmt.Appendf(nil, "kind: role\nversion: v7\nmetadata: {name: r}\nspec: {%s: {rules: [{resources: [db, %s], verbs: ['*']}]}}\n", side, kind))
			if err != nil {
				t.Fatal(err)
			}
			found := resource.Warnings(list[0])
			switch {
			case want == "" && len(found) > 0:
				t.Errorf("%s %s: %v, want no doubt", side, kind, found)
			case want != "" && (len(found) != 1 || found[0].Path != "spec."+side+".rules[0].resources[1]" || !strings.Contains(found[0].Message, want)):
				t.Errorf("%s %s: %v", side, kind, found)
			}
		}
	}
}

func TestNobodyDoubtsThePresets(t *testing.T) {
	t.Parallel()
	for _, role := range resource.PresetRoles() {
		for _, found := range resource.Warnings(role) {
			if strings.Contains(found.Path, ".resources[") {
				t.Errorf("%s: %s %s", role.GetName(), found.Path, found.Message)
			}
		}
	}
}
