package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/predicate"
	"sallyport/internal/resource"
)

// Knowledge says how far it is known what a call is about when its rules are decided.
type Knowledge int

const (
	// Known means that the context says it. What is empty there, the call does not have.
	Known Knowledge = iota
	// Unknown means that nothing can be said: conditions hold in denials and do not hold in grants.
	Unknown
	// OneByOne means that the call is about many things, each of which is decided by itself afterwards:
	// conditions hold in grants and do not hold in denials.
	OneByOne
)

// RuleContext is what conditions of rules may refer to, besides the caller. Leave empty what a call
// does not have.
type RuleContext struct {
	Knowledge           Knowledge
	Name                string
	Labels              map[string]string
	SessionParticipants []string
	RequestRoles        []string
	RequestReason       string
	RequestAnnotations  map[string][]string
	ReviewerRoles       []string
	ReviewerTraits      map[string][]string
	ImpersonateUser     string
	ImpersonateRole     string
}

// CheckRule decides whether a caller may use a verb on a kind of resource through the API. Denials of
// all roles come first. A condition that cannot be read denies in a deny rule and grants nothing in
// an allow rule.
//
// The verb read includes readnosecrets; denying readnosecrets denies read as well.
func CheckRule(c Caller, kind, verb string, ctx RuleContext) Decision {
	values := ctx.values(kind)
	maps.Copy(values, userValues(c))
	for _, role := range c.Roles {
		name := role.GetName()
		if err := readable(role); err != nil {
			return Decision{Role: name, Rule: ruleName(name, "deny"), Reason: fmt.Sprintf("role %q cannot be understood and therefore denies everything: %s", name, err)}
		}
		if i := findRule(role.Spec.Deny.Rules, kind, denyVerbs(verb), condition{values, ctx.Knowledge, true}); i >= 0 {
			return Decision{Role: name, Rule: ruleName(name, fmt.Sprintf("deny.rules[%d]", i)), Reason: fmt.Sprintf("role %q denies %s on %s", name, verb, kind)}
		}
	}
	for _, role := range c.Roles {
		if i := findRule(role.Spec.Allow.Rules, kind, allowVerbs(verb), condition{values, ctx.Knowledge, false}); i >= 0 {
			name := role.GetName()
			return Decision{Allowed: true, Role: name, Rule: ruleName(name, fmt.Sprintf("allow.rules[%d]", i)), Reason: fmt.Sprintf("role %q allows %s on %s", name, verb, kind)}
		}
	}
	return Decision{Reason: fmt.Sprintf("no role allows %s on %s", verb, kind)}
}

// allowVerbs returns the verbs that grant one.
func allowVerbs(verb string) []string {
	if verb == resource.VerbReadNoSecrets {
		return []string{resource.VerbAll, verb, resource.VerbRead}
	}
	return []string{resource.VerbAll, verb}
}

// denyVerbs returns the verbs that deny one.
func denyVerbs(verb string) []string {
	if verb == resource.VerbRead {
		return []string{resource.VerbAll, verb, resource.VerbReadNoSecrets}
	}
	return []string{resource.VerbAll, verb}
}

// findRule returns the first rule that applies, or -1.
func findRule(rules []resource.Rule, kind string, verbs []string, where condition) int {
	return slices.IndexFunc(rules, func(rule resource.Rule) bool {
		if !slices.Contains(rule.Resources, kind) && !slices.Contains(rule.Resources, resource.KindAll) {
			return false
		}
		if !slices.ContainsFunc(rule.Verbs, func(v string) bool { return slices.Contains(verbs, v) }) {
			return false
		}
		return rule.Where == "" || where.holds(rule.Where)
	})
}

// condition decides the conditions of the rules that deny, or of those that allow.
type condition struct {
	values predicate.Values
	known  Knowledge
	deny   bool
}

// holds reports whether a condition holds. One that cannot be read holds in denials only.
func (c condition) holds(where string) bool {
	expr, err := predicate.Parse(where, predicate.ForRules())
	if err != nil {
		return c.deny
	}
	if c.known == Known || onlyAboutCaller(where) {
		return expr.Match(c.values)
	}
	return c.deny == (c.known == Unknown)
}

// onlyAboutCaller reports whether a condition can be decided without knowing what a call is about.
func onlyAboutCaller(where string) bool {
	names := predicate.ForRules()
	maps.DeleteFunc(names, func(name string, _ predicate.Type) bool {
		return !strings.HasPrefix(name, "user.") && name != "resource.kind"
	})
	_, err := predicate.Parse(where, names)
	return err == nil
}

func userValues(c Caller) predicate.Values {
	names := make([]string, len(c.Roles))
	for i, role := range c.Roles {
		names[i] = role.GetName()
	}
	return predicate.Values{
		"user.metadata.name": c.User,
		"user.spec.roles":    names,
		"user.spec.traits":   c.Traits,
	}
}

func (ctx RuleContext) values(kind string) predicate.Values {
	return predicate.Values{
		"resource.kind":                kind,
		"resource.metadata.name":       ctx.Name,
		"resource.metadata.labels":     ctx.Labels,
		"session.participants":         ctx.SessionParticipants,
		"session_tracker.participants": ctx.SessionParticipants,
		"request.roles":                ctx.RequestRoles,
		"request.reason":               ctx.RequestReason,
		"request.system_annotations":   ctx.RequestAnnotations,
		"reviewer.roles":               ctx.ReviewerRoles,
		"reviewer.traits":              ctx.ReviewerTraits,
		"impersonate_user.name":        ctx.ImpersonateUser,
		"impersonate_role.name":        ctx.ImpersonateRole,
	}
}
