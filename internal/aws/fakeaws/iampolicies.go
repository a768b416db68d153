package fakeaws

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

const (
	managedLimit  = 6144 // bytes without white space
	versionsLimit = 5
)

// policyOperations are the operations on managed policies.
func policyOperations() []Operation {
	resource := func(c *Call) ([]string, error) { return []string{c.Params.String("PolicyArn")}, nil }
	context := func(c *Call) iam.Values {
		values := requestTags(c)
		if p := c.Account.Policies[c.Params.String("PolicyArn")]; p != nil {
			for key, value := range p.Tags {
				values["aws:ResourceTag/"+key] = []string{value}
			}
		}
		return values
	}
	on := func(name string, do func(*Call, *ManagedPolicy) (wire.Fields, error)) Operation {
		return Operation{Name: name, Action: "iam:" + name, Resources: resource, Context: context,
			Handle: func(c *Call) (wire.Fields, error) {
				arn := c.Params.String("PolicyArn")
				p := c.Account.Policies[arn]
				if p == nil {
					return nil, noSuchEntity("Policy %s was not found.", arn)
				}
				return do(c, p)
			}}
	}
	return []Operation{
		{Name: "CreatePolicy", Action: "iam:CreatePolicy", Resources: newPolicy, Context: requestTags, Handle: createPolicy},
		{Name: "ListPolicies", Action: "iam:ListPolicies", Handle: listPolicies},
		on("GetPolicy", func(c *Call, p *ManagedPolicy) (wire.Fields, error) {
			return wire.Of("Policy", c.policyFields(p, true)), nil
		}),
		on("GetPolicyVersion", getPolicyVersion),
		on("ListPolicyVersions", func(c *Call, p *ManagedPolicy) (wire.Fields, error) {
			newest := slices.Clone(p.Versions)
			slices.Reverse(newest)
			return iamPage(c, "Versions", newest, func(v PolicyVersion) any { return p.versionFields(v, false) })
		}),
		on("CreatePolicyVersion", createPolicyVersion),
		on("DeletePolicyVersion", deletePolicyVersion),
		on("SetDefaultPolicyVersion", setDefaultVersion),
		on("DeletePolicy", deletePolicy),
		on("ListPolicyTags", func(c *Call, p *ManagedPolicy) (wire.Fields, error) {
			return iamPage(c, "Tags", slices.Sorted(maps.Keys(p.Tags)), func(key string) any { return wire.Of("Key", key, "Value", p.Tags[key]) })
		}),
		on("TagPolicy", func(c *Call, p *ManagedPolicy) (wire.Fields, error) {
			p.Tags = maps.Clone(p.Tags)
			if p.Tags == nil {
				p.Tags = map[string]string{}
			}
			maps.Copy(p.Tags, readTags(c.Params))
			return nil, nil
		}),
	}
}

func pathOf(c *Call) string {
	if path := c.Params.String("Path"); path != "" {
		return path
	}
	return "/"
}

func newPolicy(c *Call) ([]string, error) {
	return []string{c.Account.arn("iam", "", "policy"+pathOf(c)+c.Params.String("PolicyName"))}, nil
}

func checkManaged(document string) error {
	if err := parseDocument(document, iam.Identity); err != nil {
		return err
	}
	if size(document) > managedLimit {
		return limitExceeded("Cannot exceed quota for PolicySize: %d", managedLimit)
	}
	return nil
}

func createPolicy(c *Call) (wire.Fields, error) {
	name, err := policyName(c)
	if err != nil {
		return nil, err
	}
	document := c.Params.String("PolicyDocument")
	if err := checkManaged(document); err != nil {
		return nil, err
	}
	for _, other := range c.Account.Policies {
		if strings.EqualFold(other.Name, name) {
			return nil, alreadyExists("A policy called %s already exists. Duplicate names are not allowed.", name)
		}
	}
	p := c.Account.addPolicy(name, pathOf(c), c.Params.String("Description"), document, readTags(c.Params))
	return wire.Of("Policy", c.policyFields(p, false)), nil
}

func (c *Call) policyFields(p *ManagedPolicy, full bool) wire.Fields {
	attachments := 0
	for _, r := range c.Account.Roles {
		attachments += strings.Count(strings.Join(r.Attached, " ")+" ", p.ARN+" ")
	}
	for _, u := range c.Account.Users {
		attachments += strings.Count(strings.Join(u.Attached, " ")+" ", p.ARN+" ")
	}
	fields := wire.Of("PolicyName", p.Name, "PolicyId", p.ID, "Arn", p.ARN, "Path", p.Path,
		"DefaultVersionId", versionID(p.Default), "AttachmentCount", attachments, "PermissionsBoundaryUsageCount", 0,
		"IsAttachable", true, "CreateDate", p.Created, "UpdateDate", p.Updated, "Tags", tagList(p.Tags))
	if full {
		fields = append(fields, wire.Of("Description", wire.Optional(p.Description))...)
	}
	return fields
}

func listPolicies(c *Call) (wire.Fields, error) {
	var all []*ManagedPolicy
	scope := c.Params.String("Scope")
	for _, arn := range slices.Sorted(maps.Keys(c.Account.Policies)) {
		ofAWS := iam.Account(arn) == "aws"
		if scope == "Local" && ofAWS || scope == "AWS" && !ofAWS {
			continue
		}
		all = append(all, c.Account.Policies[arn])
	}
	return iamPage(c, "Policies", all, func(p *ManagedPolicy) any { return c.policyFields(p, false) })
}

func versionID(number int) string { return fmt.Sprintf("v%d", number) }

func (p *ManagedPolicy) versionFields(v PolicyVersion, withDocument bool) wire.Fields {
	fields := wire.Of("VersionId", versionID(v.Number), "IsDefaultVersion", v.Number == p.Default, "CreateDate", v.Created)
	if withDocument {
		fields = append(fields, wire.Of("Document", encoded(v.Document))...)
	}
	return fields
}

// findVersion finds the version that a call names.
func findVersion(c *Call, p *ManagedPolicy) (*PolicyVersion, error) {
	id := c.Params.String("VersionId")
	number, err := strconv.Atoi(strings.TrimPrefix(id, "v"))
	if err != nil || !strings.HasPrefix(id, "v") {
		return nil, constraint(id, "versionId", `Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?`)
	}
	v := p.version(number)
	if v == nil {
		return nil, noSuchEntity("Policy %s version %s does not exist or is not attachable.", p.ARN, id)
	}
	return v, nil
}

func getPolicyVersion(c *Call, p *ManagedPolicy) (wire.Fields, error) {
	v, err := findVersion(c, p)
	if err != nil {
		return nil, err
	}
	return wire.Of("PolicyVersion", p.versionFields(*v, true)), nil
}

func createPolicyVersion(c *Call, p *ManagedPolicy) (wire.Fields, error) {
	document := c.Params.String("PolicyDocument")
	if err := checkManaged(document); err != nil {
		return nil, err
	}
	if len(p.Versions) >= versionsLimit {
		return nil, limitExceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", versionsLimit)
	}
	c.World.changingPolicy(p)
	p.last++
	v := PolicyVersion{p.last, document, c.World.Now()}
	p.Versions = append(p.Versions, v)
	if c.Params.Bool("SetAsDefault") {
		p.Default, p.Updated = v.Number, v.Created
	}
	return wire.Of("PolicyVersion", p.versionFields(v, false)), nil
}

func deletePolicyVersion(c *Call, p *ManagedPolicy) (wire.Fields, error) {
	v, err := findVersion(c, p)
	if err != nil {
		return nil, err
	}
	if v.Number == p.Default {
		return nil, wire.StatusErrorf(409, "DeleteConflict", "Cannot delete the default version of a policy.")
	}
	number := v.Number
	p.Versions = slices.DeleteFunc(p.Versions, func(one PolicyVersion) bool { return one.Number == number })
	return nil, nil
}

func setDefaultVersion(c *Call, p *ManagedPolicy) (wire.Fields, error) {
	v, err := findVersion(c, p)
	if err != nil {
		return nil, err
	}
	c.World.changingPolicy(p)
	p.Default, p.Updated = v.Number, c.World.Now()
	return nil, nil
}

func deletePolicy(c *Call, p *ManagedPolicy) (wire.Fields, error) {
	conflict := wire.StatusErrorf(409, "DeleteConflict", "Cannot delete a policy attached to entities.")
	for _, r := range c.Account.Roles {
		if slices.Contains(r.Attached, p.ARN) || r.Boundary == p.ARN {
			return nil, conflict
		}
	}
	for _, u := range c.Account.Users {
		if slices.Contains(u.Attached, p.ARN) || u.Boundary == p.ARN {
			return nil, conflict
		}
	}
	if len(p.Versions) > 1 {
		return nil, wire.StatusErrorf(409, "DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	delete(c.Account.Policies, p.ARN)
	return nil, nil
}
