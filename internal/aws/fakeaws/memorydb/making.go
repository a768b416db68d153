package memorydb

import (
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/wire"
)

// acl is an access control list that was made by a call. Those that were only named by Add need none.
type acl struct {
	inventory.Place
	name string
}

func exists(kind, name string) error {
	return wire.Errorf(kind+"AlreadyExistsFault", "%s %s already exists.", kind, name)
}

func (m *MemoryDB) createUser(c *fakeaws.Call) (wire.Fields, error) {
	u := &User{Place: inventory.At(c), Name: c.Params.String("UserName"), Rules: c.Params.String("AccessString"), Tags: map[string]string{}}
	if u.Name == "" || u.Rules == "" {
		return nil, wire.Errorf("InvalidParameterValueException", "UserName and AccessString are needed")
	}
	if m.users.Get(u.Place, u.Name) != nil {
		return nil, exists("User", u.Name)
	}
	access, ok, err := redisusers.Read(c)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wire.Errorf("InvalidParameterCombinationException", "an authentication mode is needed")
	}
	u.Access = access
	for _, tag := range c.Params.Tags("Tags") {
		u.Tags[tag[0]] = tag[1]
	}
	m.users.Put(u.Place, u.Name, u)
	m.Changed()
	return wire.Of("User", m.userFields(u)), nil
}

func (m *MemoryDB) createACL(c *fakeaws.Call) (wire.Fields, error) {
	a := &acl{inventory.At(c), c.Params.String("ACLName")}
	if m.acls.Get(a.Place, a.name) != nil || a.name == openAccess {
		return nil, exists("ACL", a.name)
	}
	if err := m.join(c, a.name, c.Params.Strings("UserNames")); err != nil {
		return nil, err
	}
	m.acls.Put(a.Place, a.name, a)
	return wire.Of("ACL", m.aclFields(a)), nil
}

func (m *MemoryDB) updateACL(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("ACLName")
	a := m.acls.Get(inventory.At(c), name)
	if a == nil {
		return nil, notFound("ACL", name)
	}
	if err := m.join(c, name, c.Params.Strings("UserNamesToAdd")); err != nil {
		return nil, err
	}
	for _, user := range c.Params.Strings("UserNamesToRemove") {
		if u := m.users.Get(a.Place, user); u != nil {
			u.ACLs = slices.DeleteFunc(u.ACLs, func(one string) bool { return one == name })
		}
	}
	m.Changed()
	return wire.Of("ACL", m.aclFields(a)), nil
}

// join adds users to an ACL: all of them or none.
func (m *MemoryDB) join(c *fakeaws.Call, name string, users []string) error {
	for _, user := range users {
		if m.users.Get(inventory.At(c), user) == nil {
			return notFound("User", user)
		}
	}
	for _, user := range users {
		u := m.users.Get(inventory.At(c), user)
		u.ACLs = append(u.ACLs, name)
	}
	m.Changed()
	return nil
}

func (m *MemoryDB) aclFields(a *acl) wire.Fields {
	var names []string
	for _, u := range m.users.All(a.Place) {
		if slices.Contains(u.ACLs, a.name) {
			names = append(names, u.Name)
		}
	}
	return wire.Of("Name", a.name, "Status", "active", "UserNames", wire.Strings("", names), "ARN", a.ARN("memorydb", "acl/"+a.name))
}

func (m *MemoryDB) updateCluster(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("ClusterName")
	k := m.clusters.Get(inventory.At(c), name)
	if k == nil {
		return nil, notFound("Cluster", name)
	}
	if to := c.Params.String("ACLName"); to != "" {
		if to != openAccess && m.acls.Get(k.Place, to) == nil {
			return nil, notFound("ACL", to)
		}
		k.ACL = to
	}
	m.Changed()
	return wire.Of("Cluster", wire.Of("Name", k.Name, "Status", "updating", "ACLName", k.ACL, "ARN", k.ARN())), nil
}

func (m *MemoryDB) tag(c *fakeaws.Call) (wire.Fields, error) {
	arn, at := c.Params.String("ResourceArn"), inventory.At(c)
	name, ok := strings.CutPrefix(arn, at.ARN("memorydb", "user/"))
	if !ok {
		return nil, &wire.Error{Code: "InvalidARNFault", Message: "ARN is invalid: " + arn}
	}
	u := m.users.Get(at, name)
	if u == nil {
		return nil, notFound("User", name)
	}
	if u.Tags == nil {
		u.Tags = map[string]string{}
	}
	for _, tag := range c.Params.Tags("Tags") {
		u.Tags[tag[0]] = tag[1]
	}
	return wire.Of("TagList", inventory.TagList("", u.Tags)), nil
}
