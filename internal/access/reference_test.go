package access_test

import (
	"regexp"
	"strings"

	"sallyport/internal/access"
	"sallyport/internal/resource"
)

// The functions in this file decide the same as access.Check, written a second time from the rules
// in docs and sharing no code with it, in the plainest way that is right.

// refExpressions are the label expressions that random roles use, with their meaning.
var refExpressions = map[string]func(user string, traits map[string][]string, labels map[string]string) bool{
	`labels["env"] == "prod"`: func(_ string, _ map[string][]string, l map[string]string) bool { return l["env"] == "prod" },
	`contains(user.spec.traits["teams"], labels["team"])`: func(_ string, t map[string][]string, l map[string]string) bool {
		for _, team := range t["teams"] {
			if team == l["team"] {
				return true
			}
		}
		return false
	},
	`user.metadata.name == "alice" && !exists(labels["env"])`: func(u string, _ map[string][]string, l map[string]string) bool {
		_, has := l["env"]
		return u == "alice" && !has
	},
}

// refBroken are expressions nobody can read.
const refBroken = `labels["env"`

type refVerdict struct{ allowed, mfa bool }

func refCheck(c access.Caller, t access.Target) refVerdict {
	for _, r := range c.Roles {
		if r.Version == "v99" || refDenies(c, t, r.Spec.Deny) {
			return refVerdict{}
		}
	}
	if t.User == "" || t.CheckName && t.Name == "" {
		return refVerdict{}
	}
	granted, mfa := false, c.RequireMFA
	for _, r := range c.Roles {
		if refGrants(c, t, r.Spec.Allow) {
			if r.Spec.Options.RequireSessionMFA == "hardware_key" || r.Spec.Options.DeviceTrustMode == "required" {
				return refVerdict{}
			}
			granted = true
			mfa = mfa || r.Spec.Options.RequireSessionMFA == "session"
		}
	}
	return refVerdict{allowed: granted && (!mfa || c.MFAVerified), mfa: granted && mfa}
}

func refDenies(c access.Caller, t access.Target, d resource.RoleConditions) bool {
	if refUnreadable(d) {
		return true
	}
	if len(d.DatabaseLabels) > 0 && refLabels(c, d.DatabaseLabels, t.Labels) {
		return true
	}
	if e := refExpressions[d.DatabaseLabelsExpression]; e != nil && e(c.User, c.Traits, t.Labels) {
		return true
	}
	return refName(c, d.DatabaseUsers, t.User, t) || t.CheckName && refName(c, d.DatabaseNames, t.Name, access.Target{Database: &resource.Database{}})
}

func refGrants(c access.Caller, t access.Target, a resource.RoleConditions) bool {
	if refUnreadable(a) {
		return false
	}
	e := refExpressions[a.DatabaseLabelsExpression]
	if len(a.DatabaseLabels) == 0 && e == nil {
		return false
	}
	if len(a.DatabaseLabels) > 0 && !refLabels(c, a.DatabaseLabels, t.Labels) {
		return false
	}
	if e != nil && !e(c.User, c.Traits, t.Labels) {
		return false
	}
	return refName(c, a.DatabaseUsers, t.User, t) && (!t.CheckName || refName(c, a.DatabaseNames, t.Name, access.Target{Database: &resource.Database{}}))
}

// refUnreadable looks for the broken things that random roles contain.
func refUnreadable(c resource.RoleConditions) bool {
	texts := append(append([]string{c.DatabaseLabelsExpression}, c.DatabaseUsers...), c.DatabaseNames...)
	for _, values := range c.DatabaseLabels {
		texts = append(texts, values...)
	}
	for _, text := range texts {
		if text == refBroken || text == "^($" || text == "{{internal.nope}}" {
			return true
		}
	}
	return false
}

func refLabels(c access.Caller, selector resource.Labels, labels map[string]string) bool {
	for key, values := range selector {
		if key == "*" && len(values) == 1 && values[0] == "*" {
			return true
		}
	}
	for key, values := range selector {
		have, ok := labels[key]
		hit := false
		for _, value := range refExpand(c, values) {
			var re string
			if strings.HasPrefix(value, "^") && strings.HasSuffix(value, "$") {
				re = `\A(?:` + value + `)\z`
			} else {
				re = `\A(?s:` + strings.ReplaceAll(regexp.QuoteMeta(value), `\*`, `.*`) + `)\z`
			}
			hit = hit || regexp.MustCompile(re).MatchString(have)
		}
		if !ok || !hit {
			return false
		}
	}
	return true
}

func refName(c access.Caller, list []string, name string, t access.Target) bool {
	for _, entry := range refExpand(c, list) {
		if t.Database.Spec.Protocol == "cockroachdb" {
			entry, name = strings.ToLower(entry), strings.ToLower(name)
		}
		if entry == "*" || entry == name {
			return true
		}
	}
	return false
}

// refExpand knows the templates that random roles use.
func refExpand(c access.Caller, entries []string) []string {
	var out []string
	for _, entry := range entries {
		switch entry {
		case "{{internal.db_users}}":
			out = append(out, c.Traits["db_users"]...)
		case "{{external.teams}}":
			out = append(out, c.Traits["teams"]...)
		case "team-{{external.teams}}":
			for _, v := range c.Traits["teams"] {
				out = append(out, "team-"+v)
			}
		default:
			out = append(out, entry)
		}
	}
	return out
}
