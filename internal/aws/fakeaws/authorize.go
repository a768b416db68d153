package fakeaws

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// accessDenied is AWS's sentence about a denial; because begins with a space or is empty.
func accessDenied(p Principal, action, resource, because string) *wire.Error {
	on := ""
	if resource != "*" {
		on = " on resource: " + resource
	}
	return &wire.Error{Code: "AccessDenied", JSONCode: "AccessDeniedException", Status: http.StatusForbidden,
		Message: fmt.Sprintf("User: %s is not authorized to perform: %s%s%s", p.ARN(), action, on, because)}
}

func (c *Call) action() string {
	if c.Operation.Action != "" {
		return c.Operation.Action
	}
	return c.Service.Name + ":" + c.Operation.Name
}

// authorize asks for the operation's action on each of its resources.
func (c *Call) authorize() error {
	if c.Operation.Action == "" || c.Operation.Anonymous {
		return nil
	}
	resources := []string{"*"}
	if c.Operation.Resources != nil {
		var err error
		if resources, err = c.Operation.Resources(c); err != nil {
			return err
		}
	}
	var context iam.Values
	if c.Operation.Context != nil {
		context = c.Operation.Context(c)
	}
	for _, resource := range resources {
		if err := c.Authorize(c.Operation.Action, resource, context); err != nil {
			return err
		}
	}
	return nil
}

// decide evaluates the principal's own policies and writes the check into the journal's entry.
func (c *Call) decide(p Principal, action, resource string, context iam.Values) iam.Decision {
	d := iam.Evaluate(c.World.caller(p), iam.Request{Action: action, Resource: resource, Context: c.context(p, context)})
	c.entry.check(action, resource, d)
	return d
}

// context are the condition keys of a call, with more of the operation's own.
func (c *Call) context(p Principal, more iam.Values) iam.Values {
	values := c.World.principalContext(p)
	values["aws:RequestedRegion"] = []string{c.Region}
	values["aws:SecureTransport"] = []string{strconv.FormatBool(c.Request.TLS != nil)}
	values["aws:UserAgent"] = []string{c.Request.UserAgent()}
	if host, _, err := net.SplitHostPort(c.Request.RemoteAddr); err == nil {
		values["aws:SourceIp"] = []string{host}
	}
	maps.Copy(values, more)
	return values
}

func (w *World) principalContext(p Principal) iam.Values {
	now := w.Now()
	values := iam.Values{
		"aws:CurrentTime": {now.Format(time.RFC3339)}, "aws:EpochTime": {strconv.FormatInt(now.Unix(), 10)},
		"aws:PrincipalType": {p.kind()},
	}
	if p.Account == nil {
		return values
	}
	values["aws:PrincipalAccount"] = []string{p.Account.ID}
	values["aws:PrincipalArn"] = []string{w.principalARN(p)}
	values["aws:userid"] = []string{p.UserID()}
	if p.User != nil {
		values["aws:username"] = []string{p.User.Name}
	}
	if p.Role != nil {
		values["aws:TokenIssueTime"] = []string{p.issued.Format(time.RFC3339)}
	}
	for key, value := range p.tags() {
		values["aws:PrincipalTag/"+key] = []string{value}
	}
	return values
}

// principalARN is the value of aws:PrincipalArn: of a session, its role's ARN.
func (w *World) principalARN(p Principal) string {
	if p.Role != nil {
		return p.Role.ARN()
	}
	return p.ARN()
}

// caller gathers the policies that are in effect for a principal now.
func (w *World) caller(p Principal) iam.Caller {
	if p.Account == nil {
		return iam.Caller{}
	}
	c := iam.Caller{Partition: p.Account.Partition, Account: p.Account.ID, ARN: p.ARN(), Root: p.Root, Session: p.session}
	var own *Permissions
	switch {
	case p.User != nil:
		own = &p.User.Permissions
	case p.Role != nil:
		own, c.RoleARN = &p.Role.Permissions, p.Role.ARN()
	default:
		return c
	}
	inEffect := w.effective(own)
	for _, name := range slices.Sorted(maps.Keys(inEffect.inline)) {
		c.Identity = append(c.Identity, iam.Source{Name: name, Policy: w.policies.parse(inEffect.inline[name])})
	}
	for _, arn := range inEffect.attached {
		if policy := w.managed(p.Account, arn); policy != nil {
			c.Identity = append(c.Identity, *policy)
		}
	}
	if inEffect.boundary != "" {
		c.Boundary = w.managed(p.Account, inEffect.boundary)
		if c.Boundary == nil { // a boundary that is gone allows nothing
			c.Boundary = &iam.Source{Name: inEffect.boundary, Policy: &iam.Policy{}}
		}
	}
	return c
}

func (w *World) managed(a *Account, arn string) *iam.Source {
	p := a.Policies[arn]
	if p == nil {
		return nil
	}
	return &iam.Source{Name: p.Name, Policy: w.policies.parse(w.effectiveDocument(p))}
}

// policyCache keeps parsed documents by their text.
type policyCache map[string]*iam.Policy

// parse gives a document that was accepted before; what was put past the checks by hand allows nothing.
func (pc policyCache) parse(document string) *iam.Policy {
	if found := pc[document]; found != nil {
		return found
	}
	parsed, err := iam.Parse(document, iam.Identity)
	if err != nil {
		parsed = &iam.Policy{}
	}
	pc[strings.Clone(document)] = parsed
	return parsed
}
