package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Caller is who asks, with everything that limits or grants from its side.
type Caller struct {
	Partition, Account string
	ARN                string // user, root or session ARN; empty when anonymous or federated
	RoleARN            string // of a session: the role's own ARN, with path
	Root               bool
	FederatedProvider  string // ARN of the OIDC provider, for AssumeRoleWithWebIdentity
	Identity           []Source
	Boundary           *Source  // nil: none
	Session            []Source // empty: none
}

// Source is a policy with the name under which the journal mentions it.
type Source struct {
	Name   string
	Policy *Policy
}

// Request is what is asked. Context holds the condition keys and the variables.
type Request struct {
	Action   string
	Resource string
	Context  Values
}

// Layer names the sort of policy that decided.
type Layer string

// The layers, in the words of AWS's error messages.
const (
	LayerIdentity Layer = "identity-based policy"
	LayerBoundary Layer = "permissions boundary"
	LayerSession  Layer = "session policy"
	LayerResource Layer = "resource-based policy"
)

// Decision is the outcome. When not Allowed, Layer is the layer that denied explicitly or failed to allow.
type Decision struct {
	Allowed   bool
	Explicit  bool   // a Deny statement decided
	Layer     Layer  //
	Statement string // the statement that decided, as "policy#sid" or "policy#2"; empty if none matched
}

// Because is the end of AWS's sentence about a denial, beginning with a space.
func (d Decision) Because(action string) string {
	article := "a"
	if d.Layer == LayerIdentity {
		article = "an"
	}
	if d.Explicit {
		return fmt.Sprintf(" with an explicit deny in %s %s", article, d.Layer)
	}
	return fmt.Sprintf(" because no %s allows the %s action", d.Layer, action)
}

// Evaluate decides about a request on a resource that has no policy of its own: an explicit deny anywhere wins, the
// identity policies must allow, and so must boundary and session policies where there are any.
func Evaluate(c Caller, r Request) Decision {
	if d, denied := c.denies(r); denied {
		return d
	}
	granted := Decision{Allowed: true, Layer: LayerIdentity, Statement: "root"}
	if !c.Root {
		found, ok := first(c.Identity, false, r)
		if !ok {
			return Decision{Layer: LayerIdentity}
		}
		granted.Statement = found
	}
	return c.limit(r, granted)
}

// EvaluateResource decides about a request on a resource with a policy of its own (a role's trust policy, a key policy)
// owned by an account. Within one account a policy that names the caller itself grants alone; one that names the account
// leaves it to the caller's identity policies. Across accounts both sides must allow.
func EvaluateResource(c Caller, r Request, policy Source, owner string) Decision {
	if d, denied := c.denies(r); denied {
		return d
	}
	if found, denied := firstResource(policy, c, r, true, anyGrant); denied {
		return Decision{Explicit: true, Layer: LayerResource, Statement: found}
	}
	if c.FederatedProvider != "" || c.ARN == "" {
		found, ok := firstResource(policy, c, r, false, anyGrant)
		return Decision{Allowed: ok, Layer: LayerResource, Statement: found}
	}
	if c.Account == owner {
		if found, ok := firstResource(policy, c, r, false, direct); ok {
			granted := Decision{Allowed: true, Layer: LayerResource, Statement: found}
			if c.RoleARN == "" { // a user named by ARN is not held back by an implicit deny of its boundary
				return granted
			}
			return c.limit(r, granted)
		}
	}
	d := Evaluate(c, r)
	if !d.Allowed && c.Account != owner { // the caller's account decides first, and tells nothing of the other
		return d
	}
	found, ok := firstResource(policy, c, r, false, anyGrant)
	if !ok {
		return Decision{Layer: LayerResource}
	}
	if d.Allowed {
		d.Statement += " and " + found
	}
	return d
}

func (c Caller) denies(r Request) (Decision, bool) {
	if found, ok := first(c.Identity, true, r); ok {
		return Decision{Explicit: true, Layer: LayerIdentity, Statement: found}, true
	}
	if c.Boundary != nil {
		if found, ok := first([]Source{*c.Boundary}, true, r); ok {
			return Decision{Explicit: true, Layer: LayerBoundary, Statement: found}, true
		}
	}
	if found, ok := first(c.Session, true, r); ok {
		return Decision{Explicit: true, Layer: LayerSession, Statement: found}, true
	}
	return Decision{}, false
}

func (c Caller) limit(r Request, granted Decision) Decision {
	if c.Boundary != nil {
		if _, ok := first([]Source{*c.Boundary}, false, r); !ok {
			return Decision{Layer: LayerBoundary}
		}
	}
	if len(c.Session) > 0 {
		if _, ok := first(c.Session, false, r); !ok {
			return Decision{Layer: LayerSession}
		}
	}
	return granted
}

func first(sources []Source, deny bool, r Request) (string, bool) {
	for _, source := range sources {
		for i, s := range source.Policy.Statements {
			if s.Deny == deny && s.covers(r) {
				return source.label(i), true
			}
		}
	}
	return "", false
}

func (s Source) label(i int) string {
	if sid := s.Policy.Statements[i].Sid; sid != "" {
		return s.Name + "#" + sid
	}
	return fmt.Sprintf("%s#%d", s.Name, i+1)
}

// covers looks at everything but principals.
func (s Statement) covers(r Request) bool {
	if len(s.Actions) > 0 && !anyAction(s.Actions, r.Action) || len(s.NotActions) > 0 && anyAction(s.NotActions, r.Action) {
		return false
	}
	if len(s.Resources) > 0 && !s.anyResource(s.Resources, r) || len(s.NotResources) > 0 && s.anyResource(s.NotResources, r) {
		return false
	}
	return !slices.ContainsFunc(s.Conditions, func(c condition) bool { return !c.holds(r.Context, s.variables) })
}

func (s Statement) anyResource(patterns []string, r Request) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if s.variables {
			var ok bool
			if p, ok = r.Context.substitute(p); !ok {
				return false
			}
		}
		return p == "*" || arnGlob(p, r.Resource)
	})
}

type grant int

const (
	anyGrant grant = iota // names the caller, its account, or everyone
	direct                // names the caller itself
)

func firstResource(source Source, c Caller, r Request, deny bool, want grant) (string, bool) {
	for i, s := range source.Policy.Statements {
		if s.Deny != deny || !s.covers(r) {
			continue
		}
		if s.Principal != nil && s.Principal.names(c, want) || s.NotPrincipal != nil && want == anyGrant && !s.NotPrincipal.names(c, anyGrant) {
			return source.label(i), true
		}
	}
	return "", false
}

func (p Principals) names(c Caller, want grant) bool {
	if p.Anyone || slices.Contains(p.AWS, "*") {
		return want == anyGrant
	}
	if c.FederatedProvider != "" {
		return slices.Contains(p.Federated, c.FederatedProvider)
	}
	if c.ARN == "" {
		return false
	}
	root := "arn:" + c.Partition + ":iam::" + c.Account + ":root"
	for _, one := range p.AWS {
		switch {
		case one == c.ARN, c.RoleARN != "" && one == c.RoleARN:
			return true
		case want == anyGrant && (one == c.Account || one == root):
			return true
		}
	}
	return false
}

// Account is the account part of an ARN, or nothing.
func Account(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return ""
	}
	return parts[4]
}
