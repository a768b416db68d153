package fakeaws

import (
	"net/http"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

func stsService() *Service {
	return &Service{Name: "sts", Scope: "sts", Protocol: wire.Query, Version: "2011-06-15",
		Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Operations: []Operation{
			{Name: "GetCallerIdentity", Handle: getCallerIdentity}, // always allowed
			{Name: "AssumeRole", Handle: assumeRole},               // asks caller and trust policy by itself
			{Name: "AssumeRoleWithWebIdentity", Anonymous: true, Handle: assumeRoleWithWebIdentity},
		}}
}

func getCallerIdentity(c *Call) (wire.Fields, error) {
	return wire.Of("Arn", c.Principal.ARN(), "UserId", c.Principal.UserID(), "Account", c.Account.ID), nil
}

func assumeRole(c *Call) (wire.Fields, error) {
	c.noteAssumption()
	in, err := readAssumption(c)
	if err != nil {
		return nil, err
	}
	if c.Principal.Root {
		return nil, wire.StatusErrorf(http.StatusForbidden, "AccessDenied", "Roles may not be assumed by root accounts.")
	}
	role := c.World.roleByARN(in.roleARN)
	if err := c.trusts(role, in, "sts:AssumeRole"); err != nil {
		return nil, err
	}
	if len(in.tags) > 0 {
		if err := c.trusts(role, in, "sts:TagSession"); err != nil {
			return nil, err
		}
	}
	if in.sourceIdentity != "" {
		if err := c.trusts(role, in, "sts:SetSourceIdentity"); err != nil {
			return nil, err
		}
	}
	chained := c.Principal.Role != nil
	if err := in.checkDuration(role, chained); err != nil {
		return nil, err
	}
	session, err := in.sessionPolicies(c.World, role.account)
	if err != nil {
		return nil, err
	}
	issued := role.session(in.sessionName, in.duration)
	issued.principal.session = session
	issued.principal.SessionTags, issued.principal.transitive = in.inheritTags(c.Principal)
	answer := in.answer(issued)
	if in.sourceIdentity != "" {
		answer = append(answer, wire.Of("SourceIdentity", in.sourceIdentity)...)
	}
	return answer, nil
}

// trusts asks the caller's policies and the role's trust policy about one action, in AWS's words: the caller's own account
// learns which policy is missing, another account does not.
func (c *Call) trusts(role *Role, in assumption, action string) error {
	request := iam.Request{Action: action, Resource: in.roleARN, Context: c.context(c.Principal, in.context(role))}
	if role == nil { // not told apart from a role that does not trust the caller
		decision := iam.Decision{Layer: iam.LayerResource}
		c.entry.check(action, in.roleARN, decision)
		return accessDenied(c.Principal, action, in.roleARN, "")
	}
	trust, err := iam.Parse(role.Trust, iam.Trust)
	if err != nil {
		return err
	}
	decision := iam.EvaluateResource(c.World.caller(c.Principal), request, iam.Source{Name: "trust of " + role.Name, Policy: trust}, role.account.ID)
	c.entry.check(action, in.roleARN, decision)
	switch {
	case decision.Allowed:
		return nil
	case decision.Layer != iam.LayerResource:
		return accessDenied(c.Principal, action, in.roleARN, decision.Because(action))
	case role.account != c.Account:
		return accessDenied(c.Principal, action, in.roleARN, "")
	case decision.Explicit:
		return accessDenied(c.Principal, action, in.roleARN, " with an explicit deny in the role trust policy")
	}
	return accessDenied(c.Principal, action, in.roleARN, " because no role trust policy allows the "+action+" action")
}

// roleByARN finds a role by its ARN, path included.
func (w *World) roleByARN(arn string) *Role {
	a := w.accounts[iam.Account(arn)]
	if a == nil {
		return nil
	}
	for _, role := range a.Roles {
		if role.ARN() == arn {
			return role
		}
	}
	return nil
}
