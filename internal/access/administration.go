package access

import (
	"slices"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// CheckAdministration refuses that the editor gives somebody rights of administration that it does not hold
// itself, or takes over somebody who holds them: with a user of one's own making, or with another's password,
// one holds them too. What roles grant in databases is not looked at, since an administrator without access to
// databases has to be able to give it.
func CheckAdministration(editor Caller, given []*resource.Role) error {
	for _, role := range given {
		for _, rule := range role.Spec.Allow.Rules {
			for _, kind := range rule.Resources {
				for _, verb := range rule.Verbs {
					if administrative(kind, verb, rule.Where) && !editor.holds(kind, verb, rule.Where) {
						return fault.New(fault.AccessDenied, "the role %q gives the verb %q on resources of kind %q, which you do not hold yourself; ask an administrator who does, or use tctl on the auth host", role.GetName(), verb, kind)
					}
				}
			}
		}
	}
	return nil
}

// administrative reports whether a right is more than looking at the cluster: changing anything, or reading
// what others did in their sessions.
func administrative(kind, verb, where string) bool {
	switch verb {
	case resource.VerbList, resource.VerbRead, resource.VerbReadNoSecrets:
		return kind == resource.KindAll || kind == resource.KindSession && where != resource.WhereOwnSession
	}
	return true
}

// holds reports whether the caller has a right on everything that the condition leaves, without exception.
func (c Caller) holds(kind, verb, where string) bool {
	held := false
	for _, role := range c.Roles {
		if readable(role) != nil {
			return false
		}
		for _, rule := range role.Spec.Deny.Rules {
			verbs := slices.ContainsFunc(denyVerbs(verb), func(v string) bool { return overlap(rule.Verbs, resource.VerbAll, v) })
			if verbs && overlap(rule.Resources, resource.KindAll, kind) {
				return false
			}
		}
		held = held || slices.ContainsFunc(role.Spec.Allow.Rules, func(rule resource.Rule) bool {
			return (rule.Where == "" || rule.Where == where) && covers(rule.Resources, resource.KindAll, kind) && covers(rule.Verbs, resource.VerbAll, verb)
		})
	}
	return held
}

// covers reports whether a list, where all stands for everything, holds one.
func covers(list []string, all, one string) bool {
	return slices.Contains(list, all) || slices.Contains(list, one)
}

// overlap reports whether a list and one have anything in common, where all stands for everything in both.
func overlap(list []string, all, one string) bool {
	return one == all && len(list) > 0 || covers(list, all, one)
}
