package elasticache

import (
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/wire"
)

// userGroup is a group of users that was made by a call. Groups that were only named by Add need none.
type userGroup struct {
	inventory.Place
	id, engine string
}

func groupExists(id string) error {
	return wire.Errorf("UserGroupAlreadyExists", "User Group %s already exists.", id)
}

func userGroupNotFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "UserGroupNotFound", "User Group %s not found.", id)
}

func (e *ElastiCache) createUser(c *fakeaws.Call) (wire.Fields, error) {
	u := &User{Place: inventory.At(c), ID: c.Params.String("UserId"), Name: c.Params.String("UserName"), Engine: c.Params.String("Engine"), Rules: c.Params.String("AccessString"), Tags: map[string]string{}}
	if u.ID == "" || u.Name == "" || u.Rules == "" || u.Engine == "" {
		return nil, wire.Errorf("InvalidParameterValue", "UserId, UserName, Engine and AccessString are needed")
	}
	if e.users.Get(u.Place, u.ID) != nil {
		return nil, wire.Errorf("UserAlreadyExists", "User %s already exists.", u.ID)
	}
	access, ok, err := redisusers.Read(c)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, wire.Errorf("InvalidParameterCombination", "Passwords, no-password-required or an authentication mode is needed")
	}
	if access.Type == redisusers.IAM && u.Name != u.ID {
		return nil, wire.Errorf("InvalidParameterValue", "For IAM authentication the user name and the user id must be identical.")
	}
	u.Access = access
	for _, tag := range c.Params.Tags("Tags") {
		u.Tags[tag[0]] = tag[1]
	}
	u.put(e)
	e.Changed()
	return e.userFields(u), nil
}

func (e *ElastiCache) createUserGroup(c *fakeaws.Call) (wire.Fields, error) {
	g := &userGroup{Place: inventory.At(c), id: c.Params.String("UserGroupId"), engine: c.Params.String("Engine")}
	if e.userGroups.Get(g.Place, g.id) != nil {
		return nil, groupExists(g.id)
	}
	names := map[string]string{}
	var members []*User
	for _, id := range c.Params.Strings("UserIds") {
		u := e.users.Get(g.Place, id)
		if u == nil && id == "default" { // that AWS makes
			u = &User{Place: g.Place, ID: id, Name: id, Engine: g.engine, Rules: redisusers.Default.Rules, Access: redisusers.Access{Type: redisusers.NoPassword}}
			u.put(e)
		}
		if u == nil {
			return nil, userNotFound(id)
		}
		if names[u.Name] != "" {
			return nil, wire.Errorf("DuplicateUserName", "Users %s and %s have the same name.", names[u.Name], id)
		}
		names[u.Name] = id
		members = append(members, u)
	}
	if names["default"] == "" {
		return nil, wire.Errorf("DefaultUserRequired", "User group needs to contain a user with the user name default.")
	}
	for _, u := range members {
		u.Groups = append(u.Groups, g.id)
	}
	e.userGroups.Put(g.Place, g.id, g)
	e.Changed()
	return wire.Of("UserGroupId", g.id, "Status", "creating", "Engine", g.engine, "UserIds", wire.Strings("", c.Params.Strings("UserIds")),
		"ARN", g.ARN("elasticache", "usergroup:"+g.id)), nil
}

func (e *ElastiCache) modifyUserGroup(c *fakeaws.Call) (wire.Fields, error) {
	at, id := inventory.At(c), c.Params.String("UserGroupId")
	if e.userGroups.Get(at, id) == nil {
		return nil, userGroupNotFound(id)
	}
	add := c.Params.Strings("UserIdsToAdd")
	for _, one := range add {
		if e.users.Get(at, one) == nil {
			return nil, userNotFound(one)
		}
	}
	for _, one := range add {
		u := e.users.Get(at, one)
		u.Groups = append(u.Groups, id)
	}
	for _, one := range c.Params.Strings("UserIdsToRemove") {
		if u := e.users.Get(at, one); u != nil {
			u.Groups = slices.DeleteFunc(u.Groups, func(g string) bool { return g == id })
		}
	}
	e.Changed()
	var members []string
	for _, u := range e.users.All(at) {
		if slices.Contains(u.Groups, id) {
			members = append(members, u.ID)
		}
	}
	return wire.Of("UserGroupId", id, "Status", "modifying", "UserIds", wire.Strings("", members), "ARN", at.ARN("elasticache", "usergroup:"+id)), nil
}

func (e *ElastiCache) modifyGroup(c *fakeaws.Call) (wire.Fields, error) {
	id := c.Params.String("ReplicationGroupId")
	g := e.groups.Get(inventory.At(c), id)
	if g == nil {
		return nil, groupNotFound(id)
	}
	for _, add := range c.Params.Strings("UserGroupIdsToAdd") {
		if e.userGroups.Get(inventory.At(c), add) == nil {
			return nil, userGroupNotFound(add)
		}
		if g.NoTLS {
			return nil, wire.Errorf("InvalidParameterCombination", "User group based access control requires encryption-in-transit to be enabled.")
		}
		if !slices.Contains(g.UserGroups, add) {
			g.UserGroups = append(g.UserGroups, add)
		}
	}
	remove := c.Params.Strings("UserGroupIdsToRemove")
	g.UserGroups = slices.DeleteFunc(g.UserGroups, func(id string) bool { return slices.Contains(remove, id) })
	e.Changed()
	return wire.Of("ReplicationGroup", g.fields()), nil
}

// tag finds the resource by its ARN as listTags does; users only.
func (e *ElastiCache) tag(c *fakeaws.Call) (wire.Fields, error) {
	arn, at := c.Params.String("ResourceName"), inventory.At(c)
	id, ok := strings.CutPrefix(arn, at.ARN("elasticache", "user:"))
	if !ok {
		return nil, wire.Errorf("InvalidARN", "ARN is invalid: %s", arn)
	}
	u := e.users.Get(at, id)
	if u == nil {
		return nil, userNotFound(id)
	}
	if u.Tags == nil {
		u.Tags = map[string]string{}
	}
	for _, tag := range c.Params.Tags("Tags") {
		u.Tags[tag[0]] = tag[1]
	}
	return wire.Of("TagList", inventory.TagList("Tag", u.Tags)), nil
}
