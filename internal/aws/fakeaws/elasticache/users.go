package elasticache

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/wire"
)

// User is a user of Redis or Valkey caches. Only Place and ID must be set.
type User struct {
	inventory.Place
	ID     string            `json:"id"`
	Name   string            `json:"name"`   // default the ID, as IAM authentication needs it
	Engine string            `json:"engine"` // default redis
	Access redisusers.Access `json:"access"` // default IAM
	Rules  string            `json:"rules"`  // access string; default all rights
	Groups []string          `json:"groups"`
	Tags   map[string]string `json:"tags"`
}

// ARN is the user's.
func (u *User) ARN() string { return u.Place.ARN("elasticache", "user:"+u.ID) }

func (u *User) place() inventory.Place { return u.Place }

func (u *User) complete(*ElastiCache) error {
	if u.ID == "" {
		return errors.New("a user has no id")
	}
	u.Name = cmp.Or(u.Name, u.ID)
	u.Engine = cmp.Or(u.Engine, "redis")
	u.Rules = cmp.Or(u.Rules, "on ~* +@all")
	u.Access.Complete()
	return nil
}

func (u *User) target(*fakeaws.Account) (fakeaws.Target, func() []string, bool) {
	return fakeaws.Target{}, nil, false
}

func (u *User) put(e *ElastiCache) { e.users.Put(u.Place, u.ID, u) }

func (u *User) remove(e *ElastiCache) { e.users.Remove(u.Place, u.ID) }

func userNotFound(id string) error {
	return wire.StatusErrorf(http.StatusNotFound, "UserNotFound", "User %s not found.", id)
}

func (e *ElastiCache) describeUsers(c *fakeaws.Call) (wire.Fields, error) {
	all, err := list(c, &e.users, "UserId", userNotFound)
	if err != nil {
		return nil, err
	}
	for _, filter := range c.Params.List("Filters") {
		name, values := filter.String("Name"), filter.Strings("Values")
		if name != "UserId" && name != "UserName" {
			return nil, wire.Errorf("InvalidParameterValue", "Invalid filter name: %s", name)
		}
		var some []*User
		for _, u := range all {
			if name == "UserId" && slices.Contains(values, u.ID) || name == "UserName" && slices.Contains(values, u.Name) {
				some = append(some, u)
			}
		}
		all = some
	}
	if e.Modifying > 0 { // some changes may have come true
		e.Changed()
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("Marker", next, "Users", wire.ListOf("", page, func(u *User) any { return e.userFields(u) })), err
}

func (e *ElastiCache) userFields(u *User) wire.Fields {
	status := "active"
	if u.Access.Settle(e.world.Now()) {
		status = "modifying"
	}
	return wire.Of("UserId", u.ID, "UserName", u.Name, "Status", status, "Engine", u.Engine, "MinimumEngineVersion", "6.0", "AccessString", u.Rules,
		"UserGroupIds", wire.Strings("", u.Groups), "Authentication", u.Access.Fields(), "ARN", u.ARN())
}

func (e *ElastiCache) modifyUser(c *fakeaws.Call) (wire.Fields, error) {
	id := c.Params.String("UserId")
	u := e.users.Get(inventory.At(c), id)
	if u == nil {
		return nil, userNotFound(id)
	}
	if u.Access.Settle(e.world.Now()) {
		return nil, wire.Errorf("InvalidUserState", "User %s is not in active state.", id)
	}
	next, ok, err := redisusers.Read(c)
	if err != nil {
		return nil, err
	}
	if ok {
		u.Access.Change(e.world.Now(), e.Modifying, next)
	}
	if rules := c.Params.String("AccessString"); rules != "" {
		u.Rules = rules
	}
	if more := c.Params.String("AppendAccessString"); more != "" {
		u.Rules += " " + more
	}
	e.Changed()
	return e.userFields(u), nil
}
