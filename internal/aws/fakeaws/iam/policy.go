// Package iam evaluates AWS IAM policies: identity policies, permissions boundaries, session policies and resource
// policies (trust policies and key policies), from the published description alone.
//
// Source: "IAM JSON policy elements reference" and "Policy evaluation logic" in the IAM User Guide.
package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Policy is a parsed policy document.
type Policy struct {
	Version    string
	ID         string
	Statements []Statement
}

// Statement is one statement of a policy. Of each pair with Not, at most one is set.
type Statement struct {
	Sid                     string
	Deny                    bool
	Actions, NotActions     []string
	Resources, NotResources []string
	Principal, NotPrincipal *Principals
	Conditions              []condition
	variables               bool // policy version 2012-10-17: ${…} is replaced
}

// Principals says whom a statement of a resource policy is about.
type Principals struct {
	Anyone    bool
	AWS       []string
	Federated []string
	Service   []string
}

// Kind says where a document is to be used, which decides what its statements must contain.
type Kind int

// The kinds of document.
const (
	Identity Kind = iota // identity policy, boundary, session policy: no principals, resources
	Trust                // trust policy of a role: principals, no resources
	Resource             // key policy and the like: principals and resources
)

// MaxDocument bounds what Parse reads, in bytes.
const MaxDocument = 64 << 10

// Parse reads a policy document strictly: what AWS answers with MalformedPolicyDocument is an error.
func Parse(document string, kind Kind) (*Policy, error) {
	if len(document) > MaxDocument {
		return nil, errors.New("the policy is too large")
	}
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement oneOrMany[rawStatement]
	}
	if err := strict([]byte(document), &raw); err != nil {
		return nil, fmt.Errorf("syntax errors in policy: %w", err)
	}
	switch raw.Version {
	case "", "2008-10-17", "2012-10-17":
	default:
		return nil, fmt.Errorf("unknown policy version %q", raw.Version)
	}
	if len(raw.Statement) == 0 {
		return nil, errors.New("a policy must have at least one statement")
	}
	p := &Policy{Version: raw.Version, ID: raw.ID}
	sids := map[string]bool{}
	for i, rs := range raw.Statement {
		s, err := rs.statement(kind)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		if s.Sid != "" && sids[s.Sid] {
			return nil, fmt.Errorf("statement IDs (SID) in a single policy must be unique: %q", s.Sid)
		}
		sids[s.Sid] = true
		s.variables = raw.Version == "2012-10-17"
		p.Statements = append(p.Statements, s)
	}
	return p, nil
}

type rawStatement struct {
	Sid, Effect             string
	Action, NotAction       oneOrMany[string]
	Resource, NotResource   oneOrMany[string]
	Principal, NotPrincipal json.RawMessage
	Condition               map[string]map[string]values
}

func (rs rawStatement) statement(kind Kind) (Statement, error) {
	s := Statement{Sid: rs.Sid, Actions: rs.Action, NotActions: rs.NotAction, Resources: rs.Resource, NotResources: rs.NotResource}
	switch rs.Effect {
	case "Allow":
	case "Deny":
		s.Deny = true
	default:
		return s, fmt.Errorf("effect must be Allow or Deny, got %q", rs.Effect)
	}
	if (len(rs.Action) == 0) == (len(rs.NotAction) == 0) {
		return s, errors.New("policy statement must contain actions: either Action or NotAction")
	}
	for _, action := range slices.Concat(rs.Action, rs.NotAction) {
		if !validAction(action) {
			return s, fmt.Errorf("actions/conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc: %q", action)
		}
	}
	hasResource := len(rs.Resource) > 0 || len(rs.NotResource) > 0
	switch {
	case len(rs.Resource) > 0 && len(rs.NotResource) > 0:
		return s, errors.New("policy statement has both Resource and NotResource")
	case kind == Trust && hasResource:
		return s, errors.New("has prohibited field Resource")
	case kind != Trust && !hasResource:
		return s, errors.New("policy statement must contain resources")
	}
	for _, resource := range slices.Concat(rs.Resource, rs.NotResource) {
		if !resourceShaped(resource) {
			return s, fmt.Errorf("resource %q must be in ARN format or \"*\"", resource)
		}
	}
	var err error
	if s.Principal, err = parsePrincipals(rs.Principal); err != nil {
		return s, err
	}
	if s.NotPrincipal, err = parsePrincipals(rs.NotPrincipal); err != nil {
		return s, err
	}
	hasPrincipal := s.Principal != nil || s.NotPrincipal != nil
	switch {
	case s.Principal != nil && s.NotPrincipal != nil:
		return s, errors.New("policy statement has both Principal and NotPrincipal")
	case kind == Identity && hasPrincipal:
		return s, errors.New("policy document should not specify a principal")
	case kind != Identity && !hasPrincipal:
		return s, errors.New("missing required field Principal")
	}
	s.Conditions, err = parseConditions(rs.Condition)
	return s, err
}

func parsePrincipals(raw json.RawMessage) (*Principals, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var star string
	if json.Unmarshal(raw, &star) == nil {
		if star != "*" {
			return nil, errors.New("invalid principal in policy")
		}
		return &Principals{Anyone: true}, nil
	}
	var kinds struct{ AWS, Federated, Service oneOrMany[string] }
	if err := strict(raw, &kinds); err != nil {
		return nil, fmt.Errorf("invalid principal in policy: %w", err)
	}
	p := &Principals{AWS: kinds.AWS, Federated: kinds.Federated, Service: kinds.Service}
	if len(p.AWS)+len(p.Federated)+len(p.Service) == 0 {
		return nil, errors.New("invalid principal in policy: it names nobody")
	}
	for _, one := range p.AWS {
		if one != "*" && !accountID(one) && !arnShaped(one) {
			return nil, fmt.Errorf("invalid principal in policy: \"AWS\":%q", one)
		}
	}
	return p, nil
}

// oneOrMany is a JSON value that may stand alone or in a list.
type oneOrMany[T any] []T

func (m *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var many []T
		if err := strict(b, &many); err != nil {
			return err
		}
		*m = many
		return nil
	}
	var one T
	if err := strict(b, &one); err != nil {
		return err
	}
	*m = []T{one}
	return nil
}

// strict decodes one JSON value, refusing unknown fields and anything after it.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}
