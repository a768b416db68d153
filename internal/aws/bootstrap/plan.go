// Package bootstrap sets up the permissions that a configuration asks for: it plans which policies an
// identity of IAM needs, prints the plan for people who carry it out themselves, and carries it out.
//
// Planning needs neither credentials nor a network.
package bootstrap

import (
	"slices"
	"strings"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
)

// DefaultPolicyName is the name of the policy unless another is given.
const DefaultPolicyName = "DatabaseAccess"

// Entry is a part of a configuration that uses databases in AWS: a database, or a rule that finds some.
type Entry struct {
	Types        []endpoint.Type
	Role         string // ARN of the role that is assumed for it; empty for the service's own identity
	SecretPrefix string // of managed users; empty for the default
	KMSKey       string
	SessionTags  bool // sessions in which roles of users are assumed carry tags
}

// Request is what a plan is made from.
type Request struct {
	Entries  []Entry
	Purposes iampolicy.Purpose
	// OtherRoles are assumed for databases whose types the configuration does not say.
	OtherRoles []string
	// UserRoles are names or ARNs of roles that are database users, or are assumed besides those of the
	// entries.
	UserRoles   []string
	PolicyName  string // default DefaultPolicyName
	Description string
	// KeepsInline says that the service allows itself to log in to each database, by an inline policy of its own.
	KeepsInline bool
	// NoAttach leaves the policy unattached.
	NoAttach bool
}

// ActionKind is what an action does.
type ActionKind int

// The kinds of actions.
const (
	PutPolicy    ActionKind = iota // creates a policy, or gives it a new version
	AttachPolicy                   // attaches a policy to an identity
)

// Action is one step of a plan.
type Action struct {
	Kind        ActionKind
	Policy      string // name
	Description string
	Document    iampolicy.Document
	Target      Identity
}

// Plan is what has to be done so that an identity can do its work.
type Plan struct {
	Target  Identity
	Actions []Action // in their order; none when nothing is needed
	Notes   []string // sentences about what the plan cannot know
}

var policyName = strings.NewReplacer("+", "", "=", "", ",", "", ".", "", "@", "", "_", "", "-", "")

// Make plans for a target. A target that is one of the roles to be assumed gets what its entries need.
// Any other is taken for the service's own identity: it gets what entries without a role need, and may
// assume all roles.
func Make(r Request, target Identity) (Plan, error) {
	if r.PolicyName == "" {
		r.PolicyName = DefaultPolicyName
	}
	if err := checkPolicyName(r.PolicyName); err != nil {
		return Plan{}, err
	}
	p := Plan{Target: target}
	entries, assumed, err := r.concerning(target)
	if err != nil {
		return Plan{}, err
	}
	var statements []iampolicy.Statement
	tags, users := false, map[string]bool{}
	for _, entry := range entries {
		for _, t := range entry.Types {
			need := iampolicy.Need{Type: t, Purposes: r.Purposes, Partition: target.Partition, Account: target.Account,
				SecretPrefix: entry.SecretPrefix, KMSKey: entry.KMSKey, WithoutConnect: r.KeepsInline}
			statements = append(statements, need.Statements()...)
			if r.Purposes&iampolicy.Access != 0 && iampolicy.AssumesRoles(t) {
				users[t.Title()] = true
			}
		}
		tags = tags || entry.SessionTags
	}
	userRoles, err := r.userRoles(target)
	if err != nil {
		return Plan{}, err
	}
	statements = append(statements, iampolicy.AssumeRoles(append(assumed, userRoles...), false)...)
	if tags && r.Purposes&iampolicy.Access != 0 {
		statements = append(statements, iampolicy.AssumeRoles(userRoles, true)...)
	}
	p.Notes = r.notes(target, users)
	if r.KeepsInline && (len(entries) > 0 || slices.Contains(r.OtherRoles, target.ARN())) {
		statements = append(statements, iampolicy.KeepInline(target.ARN(), target.Kind == Role))
		p.Notes = append(p.Notes, "The "+target.String()+" is to keep an inline policy of its own (db_service.manage_iam_policy). Who can change its own policies can give itself everything: set a permissions boundary that allows no more than it is meant to have.")
	}
	document := iampolicy.Merge(statements...)
	if len(document.Statements) == 0 {
		return p, nil
	}
	if err := checkSize(document, target); err != nil {
		return Plan{}, err
	}
	p.Actions = append(p.Actions, Action{Kind: PutPolicy, Policy: r.PolicyName, Description: r.Description, Document: document, Target: target})
	if !r.NoAttach {
		p.Actions = append(p.Actions, Action{Kind: AttachPolicy, Policy: r.PolicyName, Target: target})
	}
	return p, nil
}

// checkPolicyName applies the rule for names in IAM ("IAM and AWS STS quotas" in the IAM user guide).
func checkPolicyName(name string) error {
	plain := policyName.Replace(name)
	if len(name) > 128 || strings.ContainsFunc(plain, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		return fault.New(fault.BadParameter, "%q is not the name of a policy, which has up to 128 letters, digits and characters of +=,.@_-", name)
	}
	return nil
}

// concerning returns the entries the target serves, and the roles it assumes for the others.
func (r Request) concerning(target Identity) (entries []Entry, assumed []string, err error) {
	var own []Entry
	for _, entry := range r.Entries {
		switch entry.Role {
		case "":
			own = append(own, entry)
		case target.ARN():
			entries = append(entries, entry)
			fallthrough
		default:
			assumed = append(assumed, entry.Role)
		}
	}
	assumed = append(assumed, r.OtherRoles...)
	slices.Sort(assumed)
	assumed = slices.Compact(assumed)
	if len(assumed) > 0 && target.Kind == Role && !target.Complete() {
		return nil, nil, fault.New(fault.BadParameter, "the configuration names roles that are assumed, and the name %q does not say whether it is one of them; give the full ARN of the role", target.Name)
	}
	if slices.Contains(assumed, target.ARN()) {
		return entries, nil, nil
	}
	return own, assumed, nil
}

func (r Request) userRoles(target Identity) ([]string, error) {
	var roles []string
	for _, name := range r.UserRoles {
		arn, err := target.roleARN(name)
		if err != nil {
			return nil, err
		}
		roles = append(roles, arn)
	}
	return roles, nil
}

func (r Request) notes(target Identity, users map[string]bool) []string {
	var notes []string
	if len(users) > 0 && len(r.UserRoles) == 0 {
		var titles []string
		for _, t := range endpoint.Types() {
			if users[t.Title()] {
				titles = append(titles, t.Title())
			}
		}
		notes = append(notes, "Database users of "+strings.Join(titles, ", ")+" are or can be IAM roles. Name those to be used with --assumes-roles, so that they may be assumed.")
	}
	if slices.Contains(r.OtherRoles, target.ARN()) {
		notes = append(notes, "The role is assumed for databases that labels select, and the configuration does not say of which types they are. Print what a type needs with: teleport db configure aws print-iam --types=TYPES --role="+target.ARN())
	}
	return notes
}

// Then returns the plan with the actions of another after its own.
func (p Plan) Then(other Plan) Plan {
	p.Actions = slices.Concat(p.Actions, other.Actions)
	p.Notes = slices.Concat(p.Notes, other.Notes)
	return p
}
