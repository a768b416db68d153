package fakeaws

import (
	"time"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// makingOperations make users, keys and roles, as the steps of a guide do.
func makingOperations() []Operation {
	named := func(kind, plural string) func(*Call) ([]string, error) {
		return func(c *Call) ([]string, error) {
			return []string{c.Account.arn("iam", "", kind+pathOf(c)+c.Params.String(plural))}, nil
		}
	}
	user := func(c *Call) ([]string, error) {
		_, arn, err := c.find("User")
		return []string{arn}, err
	}
	role := func(c *Call) ([]string, error) {
		_, arn, err := c.find("Role")
		return []string{arn}, err
	}
	return []Operation{
		{Name: "CreateUser", Action: "iam:CreateUser", Resources: named("user", "UserName"), Context: requestTags, Handle: createUser},
		{Name: "CreateRole", Action: "iam:CreateRole", Resources: named("role", "RoleName"), Context: requestTags, Handle: createRole},
		{Name: "CreateAccessKey", Action: "iam:CreateAccessKey", Resources: user, Handle: createAccessKey},
		{Name: "UpdateAssumeRolePolicy", Action: "iam:UpdateAssumeRolePolicy", Resources: role, Handle: updateTrust},
	}
}

func createUser(c *Call) (wire.Fields, error) {
	name := c.Params.String("UserName")
	if err := checkText(name, "userName", 1, 64, sessionNamePattern); err != nil {
		return nil, err
	}
	if c.Account.Users[name] != nil {
		return nil, alreadyExists("User with name %s already exists.", name)
	}
	boundary, err := givenBoundary(c)
	if err != nil {
		return nil, err
	}
	u := &User{Name: name, Path: pathOf(c), ID: c.World.id("AIDA"), Created: c.World.Now(), account: c.Account,
		Permissions: Permissions{Tags: readTags(c.Params), Boundary: boundary}}
	c.Account.Users[name] = u
	return wire.Of("User", u.fields()), nil
}

func createRole(c *Call) (wire.Fields, error) {
	name := c.Params.String("RoleName")
	if err := checkText(name, "roleName", 1, 64, sessionNamePattern); err != nil {
		return nil, err
	}
	if c.Account.Roles[name] != nil {
		return nil, alreadyExists("Role with name %s already exists.", name)
	}
	trust := c.Params.String("AssumeRolePolicyDocument")
	if err := parseDocument(trust, iam.Trust); err != nil {
		return nil, err
	}
	seconds, err := c.Params.Int("MaxSessionDuration", 3600)
	if err != nil {
		return nil, err
	}
	boundary, err := givenBoundary(c)
	if err != nil {
		return nil, err
	}
	r := &Role{Name: name, Path: pathOf(c), ID: c.World.id("AROA"), Created: c.World.Now(), Trust: trust, account: c.Account,
		Description: c.Params.String("Description"), MaxDuration: time.Duration(seconds) * time.Second,
		Permissions: Permissions{Tags: readTags(c.Params), Boundary: boundary}}
	c.Account.Roles[name] = r
	return wire.Of("Role", r.fields()), nil
}

func createAccessKey(c *Call) (wire.Fields, error) {
	found, err := c.must("User")
	if err != nil {
		return nil, err
	}
	keys := c.World.issue(Principal{Account: c.Account, User: found.user}, "AKIA", time.Time{})
	return wire.Of("AccessKey", wire.Of("UserName", found.name, "AccessKeyId", keys.AccessKeyID, "Status", "Active",
		"SecretAccessKey", keys.SecretAccessKey, "CreateDate", c.World.Now())), nil
}

func updateTrust(c *Call) (wire.Fields, error) {
	found, err := c.must("Role")
	if err != nil {
		return nil, err
	}
	if err := found.mayChange(); err != nil {
		return nil, err
	}
	document := c.Params.String("PolicyDocument")
	if err := parseDocument(document, iam.Trust); err != nil {
		return nil, err
	}
	found.role.Trust = document
	return nil, nil
}

// givenBoundary is the boundary that a new role or user is to have.
func givenBoundary(c *Call) (string, error) {
	arn := c.Params.String("PermissionsBoundary")
	if arn == "" {
		return "", nil
	}
	_, err := attachable(c, arn)
	return arn, err
}
