package fakeaws

import (
	"maps"
	"slices"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// identityOperations are the operations that exist for roles and for users in the same way.
func identityOperations(kind string) []Operation {
	resource := func(c *Call) ([]string, error) {
		_, arn, err := c.find(kind)
		return []string{arn}, err
	}
	context := func(c *Call) iam.Values {
		values := iam.Values{}
		if arn := c.Params.String("PolicyArn"); arn != "" {
			values["iam:PolicyARN"] = []string{arn}
		}
		if found, _, err := c.find(kind); err == nil && found != nil {
			for key, value := range found.Tags {
				values["iam:ResourceTag/"+key] = []string{value}
				values["aws:ResourceTag/"+key] = []string{value}
			}
			if found.Boundary != "" {
				values["iam:PermissionsBoundary"] = []string{found.Boundary}
			}
		}
		return values
	}
	// on makes an operation of what it does to the role or user; those that change it are refused for protected roles.
	on := func(name string, changes bool, do func(*Call, *identity) (wire.Fields, error)) Operation {
		return Operation{Name: name, Action: "iam:" + name, Resources: resource, Context: context,
			Handle: func(c *Call) (wire.Fields, error) {
				found, err := c.must(kind)
				if err != nil {
					return nil, err
				}
				if changes {
					if err := found.mayChange(); err != nil {
						return nil, err
					}
				}
				return do(c, found)
			}}
	}
	return []Operation{
		on("Get"+kind, false, getIdentity),
		on("Get"+kind+"Policy", false, getInline),
		on("Put"+kind+"Policy", true, putInline),
		on("Delete"+kind+"Policy", true, deleteInline),
		on("List"+kind+"Policies", false, listInline),
		on("Attach"+kind+"Policy", true, attach),
		on("Detach"+kind+"Policy", true, detach),
		on("ListAttached"+kind+"Policies", false, listAttached),
		on("Put"+kind+"PermissionsBoundary", true, putBoundary),
		on("Delete"+kind+"PermissionsBoundary", true, deleteBoundary),
	}
}

func getIdentity(c *Call, i *identity) (wire.Fields, error) {
	if i.role != nil {
		return wire.Of("Role", i.role.fields()), nil
	}
	return wire.Of("User", i.user.fields()), nil
}

func (r *Role) fields() wire.Fields {
	return wire.Of("Path", r.Path, "RoleName", r.Name, "RoleId", r.ID, "Arn", r.ARN(), "CreateDate", r.Created,
		"AssumeRolePolicyDocument", encoded(r.Trust), "Description", wire.Optional(r.Description),
		"MaxSessionDuration", int(r.MaxDuration.Seconds()), "PermissionsBoundary", boundary(r.Boundary), "Tags", tagList(r.Tags))
}

func (u *User) fields() wire.Fields {
	return wire.Of("Path", u.Path, "UserName", u.Name, "UserId", u.ID, "Arn", u.ARN(), "CreateDate", u.Created,
		"PermissionsBoundary", boundary(u.Boundary), "Tags", tagList(u.Tags))
}

func boundary(arn string) any {
	if arn == "" {
		return nil
	}
	return wire.Of("PermissionsBoundaryType", "PermissionsBoundaryPolicy", "PermissionsBoundaryArn", arn)
}

func policyName(c *Call) (string, error) {
	name := c.Params.String("PolicyName")
	return name, checkText(name, "policyName", 1, 128, sessionNamePattern)
}

func (i *identity) inline(name string) (string, error) {
	document, ok := i.Inline[name]
	if !ok {
		return "", noSuchEntity("The %s policy with name %s cannot be found.", map[string]string{"Role": "role", "User": "user"}[i.kind], name)
	}
	return document, nil
}

func getInline(c *Call, i *identity) (wire.Fields, error) {
	name, err := policyName(c)
	if err != nil {
		return nil, err
	}
	document, err := i.inline(name)
	if err != nil {
		return nil, err
	}
	return wire.Of(i.kind+"Name", i.name, "PolicyName", name, "PolicyDocument", encoded(document)), nil
}

func putInline(c *Call, i *identity) (wire.Fields, error) {
	name, err := policyName(c)
	if err != nil {
		return nil, err
	}
	document := c.Params.String("PolicyDocument")
	if err := parseDocument(document, iam.Identity); err != nil {
		return nil, err
	}
	total := size(document)
	for other, text := range i.Inline {
		if other != name {
			total += size(text)
		}
	}
	if limit := inlineLimit[i.kind]; total > limit {
		return nil, limitExceeded("Maximum policy size of %d bytes exceeded for %s %s", limit, map[string]string{"Role": "role", "User": "user"}[i.kind], i.name)
	}
	c.World.changing(i.Permissions)
	inline := maps.Clone(i.Inline)
	if inline == nil {
		inline = map[string]string{}
	}
	inline[name] = document
	i.Inline = inline
	return nil, nil
}

func deleteInline(c *Call, i *identity) (wire.Fields, error) {
	name, err := policyName(c)
	if err != nil {
		return nil, err
	}
	if _, err := i.inline(name); err != nil {
		return nil, err
	}
	c.World.changing(i.Permissions)
	i.Inline = maps.Clone(i.Inline)
	delete(i.Inline, name)
	return nil, nil
}

func listInline(c *Call, i *identity) (wire.Fields, error) {
	return iamPage(c, "PolicyNames", slices.Sorted(maps.Keys(i.Inline)), func(name string) any { return name })
}

// iamPage is a page in IAM's way, with IsTruncated.
func iamPage[T any](c *Call, name string, all []T, value func(T) any) (wire.Fields, error) {
	size, err := c.Params.Int("MaxItems", 100)
	if err != nil {
		return nil, err
	}
	page, next, err := Page(c, all, size, "Marker", "ValidationError")
	if err != nil {
		return nil, err
	}
	return wire.Of(name, wire.ListOf("", page, value), "IsTruncated", next != "", "Marker", wire.Optional(next)), nil
}

func attachable(c *Call, arn string) (*ManagedPolicy, error) {
	p := c.Account.Policies[arn]
	if p == nil {
		return nil, noSuchEntity("Policy %s does not exist or is not attachable.", arn)
	}
	return p, nil
}

func attach(c *Call, i *identity) (wire.Fields, error) {
	p, err := attachable(c, c.Params.String("PolicyArn"))
	if err != nil {
		return nil, err
	}
	if slices.Contains(i.Attached, p.ARN) {
		return nil, nil
	}
	if len(i.Attached) >= attachedLimit {
		return nil, limitExceeded("Cannot exceed quota for PoliciesPer%s: %d", i.kind, attachedLimit)
	}
	c.World.changing(i.Permissions)
	i.Attached = append(slices.Clone(i.Attached), p.ARN)
	return nil, nil
}

func detach(c *Call, i *identity) (wire.Fields, error) {
	arn := c.Params.String("PolicyArn")
	if !slices.Contains(i.Attached, arn) {
		return nil, noSuchEntity("Policy %s was not found.", arn)
	}
	c.World.changing(i.Permissions)
	i.Attached = slices.DeleteFunc(slices.Clone(i.Attached), func(one string) bool { return one == arn })
	return nil, nil
}

func listAttached(c *Call, i *identity) (wire.Fields, error) {
	return iamPage(c, "AttachedPolicies", i.Attached, func(arn string) any {
		name := arn
		if p := c.Account.Policies[arn]; p != nil {
			name = p.Name
		}
		return wire.Of("PolicyName", name, "PolicyArn", arn)
	})
}

func putBoundary(c *Call, i *identity) (wire.Fields, error) {
	p, err := attachable(c, c.Params.String("PermissionsBoundary"))
	if err != nil {
		return nil, err
	}
	c.World.changing(i.Permissions)
	i.Boundary = p.ARN
	return nil, nil
}

func deleteBoundary(c *Call, i *identity) (wire.Fields, error) {
	if i.Boundary == "" {
		return nil, noSuchEntity("%s with name %s does not have a permissions boundary.", i.kind, i.name)
	}
	c.World.changing(i.Permissions)
	i.Boundary = ""
	return nil, nil
}
