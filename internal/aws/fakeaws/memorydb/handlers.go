package memorydb

import (
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/wire"
)

func (m *MemoryDB) describeClusters(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &m.clusters, "ClusterName", "Cluster")
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("NextToken", next, "Clusters", wire.ListOf("", page, func(k *Cluster) any {
		var endpoint any
		if k.Status != "creating" {
			endpoint = wire.Of("Address", k.Host(), "Port", k.Port)
		}
		return wire.Of("Name", k.Name, "Status", k.Status, "NumberOfShards", 1, "AvailabilityMode", "multiaz", "ClusterEndpoint", endpoint,
			"NodeType", "db.t4g.small", "EngineVersion", k.EngineVersion, "EnginePatchVersion", k.EngineVersion+".1", "SubnetGroupName", k.SubnetGroup,
			"TLSEnabled", !k.NoTLS, "ARN", k.ARN(), "ACLName", k.ACL)
	})), err
}

func (m *MemoryDB) describeSubnetGroups(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &m.subnets, "SubnetGroupName", "SubnetGroup")
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("NextToken", next, "SubnetGroups", wire.ListOf("", page, func(g *subnetGroup) any {
		return wire.Of("Name", g.name, "VpcId", g.vpc, "ARN", g.ARN("memorydb", "subnetgroup/"+g.name))
	})), err
}

func (m *MemoryDB) describeUsers(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &m.users, "UserName", "User")
	if err != nil {
		return nil, err
	}
	if m.Modifying > 0 { // some changes may have come true
		m.Changed()
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("NextToken", next, "Users", wire.ListOf("", page, func(u *User) any { return m.userFields(u) })), err
}

func (m *MemoryDB) userFields(u *User) wire.Fields {
	status := "active"
	if u.Access.Settle(m.world.Now()) {
		status = "modifying"
	}
	return wire.Of("Name", u.Name, "Status", status, "AccessString", u.Rules, "ACLNames", wire.Strings("", u.ACLs), "MinimumEngineVersion", "6.2",
		"Authentication", u.Access.Fields(), "ARN", u.ARN())
}

func (m *MemoryDB) updateUser(c *fakeaws.Call) (wire.Fields, error) {
	name := c.Params.String("UserName")
	u := m.users.Get(inventory.At(c), name)
	if u == nil {
		return nil, notFound("User", name)
	}
	if u.Access.Settle(m.world.Now()) {
		return nil, wire.Errorf("InvalidUserStateFault", "User %s is not in active state.", name)
	}
	next, ok, err := redisusers.Read(c)
	if err != nil {
		return nil, err
	}
	if ok {
		u.Access.Change(m.world.Now(), m.Modifying, next)
	}
	if rules := c.Params.String("AccessString"); rules != "" {
		u.Rules = rules
	}
	m.Changed()
	return wire.Of("User", m.userFields(u)), nil
}

func (m *MemoryDB) listTags(c *fakeaws.Call) (wire.Fields, error) {
	arn, at := c.Params.String("ResourceArn"), inventory.At(c)
	rest, ok := strings.CutPrefix(arn, at.ARN("memorydb", ""))
	kind, name, named := strings.Cut(rest, "/")
	if !ok || !named || !slices.Contains([]string{"cluster", "user", "subnetgroup"}, kind) {
		return nil, &wire.Error{Code: "InvalidARNFault", Message: "ARN is invalid: " + arn}
	}
	var tags map[string]string
	switch kind {
	case "cluster":
		k := m.clusters.Get(at, name)
		if k == nil {
			return nil, notFound("Cluster", name)
		}
		tags = k.Tags
	case "user":
		u := m.users.Get(at, name)
		if u == nil {
			return nil, notFound("User", name)
		}
		tags = u.Tags
	}
	return wire.Of("TagList", inventory.TagList("", tags)), nil
}
