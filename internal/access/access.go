// Package access decides: may this identity reach this database as this user, call this method, hold
// this session. It is pure and deterministic; the same question always has the same answer.
//
// The default is to deny, and a denial in any role beats what other roles allow. What cannot be
// understood counts against the caller: a role whose denials cannot be read denies everything, and a
// role whose grants cannot be read grants nothing.
package access

import (
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/fault"
	"sallyport/internal/predicate"
	"sallyport/internal/resource"
)

// Caller is who asks. Roles are the ones in force now, none nil, with their defaults filled in.
type Caller struct {
	User        string
	Roles       []*resource.Role
	Traits      map[string][]string
	MFAVerified bool // the certificate was issued for one session, after a second factor
	RequireMFA  bool // the cluster asks for a second factor at each session, whatever the roles say
}

// Target is what is asked for.
type Target struct {
	Database  *resource.Database
	Labels    map[string]string // static and dynamic, merged
	User      string            // account in the database
	Name      string            // logical database
	CheckName bool              // the protocol enforces db_names
	// Command is one that concerns the server and not its data, and needs leave of its own: words parted by a space.
	// Empty for the connection.
	Command string

	users userMatch
}

// Decision is the answer, with the role and rule that decided.
type Decision struct {
	Allowed     bool
	MFARequired bool   // a second factor is needed; when not Allowed, it is all that is missing
	Role        string // the deciding role; empty when no role decided
	Rule        string // as in: role "dba" deny.db_users; for those who may read roles
	Reason      string // one sentence for those who may read roles
}

// Err returns nil when the decision allows, otherwise a fault.AccessDenied whose sentence does not
// reveal rules or whether anything exists.
func (d Decision) Err() error {
	switch {
	case d.Allowed:
		return nil
	case d.MFARequired:
		return fault.Wrap(fault.AccessDenied, errors.New(d.Reason), "each session here needs a second factor, which this program cannot ask for yet; ask an administrator to take require_session_mfa out")
	default:
		return fault.Wrap(fault.AccessDenied, errors.New(d.Reason), "access to db denied. User does not have permissions. Confirm database user and name. If they are right, ask an administrator to check your roles")
	}
}

// Check decides about one connection. Each role with deny rules is asked first: matching labels, a
// matching user or a matching name alone rejects. Then one role has to allow labels, user and name
// together. An empty user, or an empty name where names are checked, is never allowed.
func Check(c Caller, t Target) Decision { return Compile(c).Check(t) }

// Policy is what a caller's roles amount to, ready to be asked about many databases. It is immutable
// and safe for concurrent use.
type Policy struct {
	caller Caller
	roles  []compiled
}

// compiled is one role with templates expanded and patterns read.
type compiled struct {
	role       *resource.Role
	allow      conditions
	deny       conditions
	allowError error // the role grants nothing
	denyError  error // the role denies everything
}

type conditions struct {
	labels selector
	users  []string
	names  []string

	commands []string
}

// Compile reads the roles once.
func Compile(c Caller) *Policy {
	p := &Policy{caller: c, roles: make([]compiled, len(c.Roles))}
	user := userValues(c)
	for i, role := range c.Roles {
		p.roles[i] = compileRole(role, user, c.Traits)
	}
	return p
}

func compileRole(role *resource.Role, user predicate.Values, traits map[string][]string) compiled {
	out := compiled{role: role}
	if err := readable(role); err != nil {
		out.allowError, out.denyError = err, err
		return out
	}
	out.allow, out.allowError = compileConditions(&role.Spec.Allow, user, traits, allOf)
	out.deny, out.denyError = compileConditions(&role.Spec.Deny, user, traits, anyOf)
	if out.denyError == nil {
		out.denyError = checkDenied(out.deny.commands)
	}
	return out
}

// readable refuses a role whose rules may mean something this program does not know.
func readable(role *resource.Role) error {
	if role.Version == missingVersion {
		return errors.New("it does not exist any more")
	}
	if role.Kind != resource.KindRole || !slices.Contains(resource.Versions(resource.KindRole), role.Version) {
		return fmt.Errorf("its version %q is not known", role.Version)
	}
	return nil
}

// Check decides about one connection, as the function of the same name does.
func (p *Policy) Check(t Target) Decision {
	if t.Database == nil {
		return Decision{Reason: "no database was named"}
	}
	t.users = usersOf(t.Database)
	for i := range p.roles {
		if d, denied := p.roles[i].denies(t); denied {
			return d
		}
	}
	if t.User == "" {
		return Decision{Reason: "no database user was named"}
	}
	if t.CheckName && t.Name == "" {
		return Decision{Reason: "no database name was given"}
	}
	decision := Decision{Reason: p.nothingAllows(t)}
	mfa := p.caller.RequireMFA
	for i := range p.roles {
		r := &p.roles[i]
		if !r.allows(t) {
			continue
		}
		name := r.role.GetName()
		options := &r.role.Spec.Options
		if unmet := unmetProof(options); unmet != "" {
			return Decision{Role: name, Rule: ruleName(name, "options"), Reason: fmt.Sprintf("role %q asks for %s, which cannot be verified here", name, unmet)}
		}
		if !decision.Allowed {
			decision = Decision{Allowed: true, Role: name, Rule: ruleName(name, "allow"), Reason: fmt.Sprintf("role %q allows it", name)}
		}
		mfa = mfa || options.RequireSessionMFA.Required()
	}
	if decision.Allowed && mfa {
		decision.MFARequired = true
		if !p.caller.MFAVerified {
			decision.Allowed = false
			decision.Reason = "a second factor is required for each session"
		}
	}
	return decision
}

// unmetProof names what a role demands and this program cannot check. Letting the session pass would
// be weaker than what the administrator wrote.
func unmetProof(o *resource.RoleOptions) string {
	switch {
	case o.RequireSessionMFA.NeedsHardware():
		return "a hardware key"
	case o.DeviceTrustMode == "required":
		return "a trusted device"
	default:
		return ""
	}
}

func ruleName(role, part string) string { return fmt.Sprintf("role %q %s", role, part) }

// denies reports whether any single denial of the role applies.
func (r *compiled) denies(t Target) (Decision, bool) {
	name := r.role.GetName()
	deny := func(part, reason string) (Decision, bool) {
		return Decision{Role: name, Rule: ruleName(name, part), Reason: fmt.Sprintf("role %q %s", name, reason)}, true
	}
	switch {
	case r.denyError != nil:
		return deny("deny", "cannot be understood and therefore denies everything: "+r.denyError.Error())
	case r.deny.labels.match(t.Labels):
		return deny("deny."+r.deny.labels.decidedBy(t.Labels), "denies databases with these labels")
	case t.users.denied(r.deny.users, t.User):
		return deny("deny.db_users", fmt.Sprintf("denies the database user %q", t.User))
	case t.CheckName && matchName(r.deny.names, t.Name):
		return deny("deny.db_names", fmt.Sprintf("denies the database name %q", t.Name))
	case t.Command != "" && matchCommand(r.deny.commands, t.Command):
		return deny("deny.db_commands", fmt.Sprintf("denies the command %q", t.Command))
	default:
		return Decision{}, false
	}
}

func (r *compiled) allows(t Target) bool {
	return r.allowError == nil &&
		r.allow.labels.match(t.Labels) &&
		t.users.allowed(r.allow.users, t.User) &&
		(!t.CheckName || matchName(r.allow.names, t.Name)) &&
		(t.Command == "" || matchCommand(r.allow.commands, t.Command))
}

// nothingAllows explains an ordinary denial: how near the roles came.
func (p *Policy) nothingAllows(t Target) string {
	labels, users, names := false, false, false
	for i := range p.roles {
		r := &p.roles[i]
		if r.allowError != nil {
			return fmt.Sprintf("no role allows it, and role %q grants nothing because it cannot be understood: %s", r.role.GetName(), r.allowError)
		}
		if !r.allow.labels.match(t.Labels) {
			continue
		}
		labels = true
		users = users || t.users.allowed(r.allow.users, t.User)
		names = names || matchName(r.allow.names, t.Name)
	}
	switch {
	case len(p.roles) == 0:
		return "the user has no roles"
	case !labels:
		return "no role allows databases with these labels"
	case !users:
		return fmt.Sprintf("no role that allows this database allows the database user %q", t.User)
	case t.CheckName && !names:
		return fmt.Sprintf("no role that allows this database allows the database name %q", t.Name)
	case t.Command != "":
		return fmt.Sprintf("no role that allows the account in this database allows the command %q", t.Command)
	default:
		return "the roles allow the user and the name only apart from each other; one role has to allow both"
	}
}
