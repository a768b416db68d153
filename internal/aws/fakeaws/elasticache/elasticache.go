// Package elasticache is ElastiCache in the local AWS: replication groups, single caches, serverless caches, users.
//
// What is added is known to the verifier at once, with the users that have IAM authentication and a group in common with it.
package elasticache

import (
	"slices"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/wire"
)

// ElastiCache is the service's state. Its fields and what they lead to may be changed inside World.Update only.
type ElastiCache struct {
	// Modifying is how long a change of a user takes; until then its old passwords are the ones that work.
	Modifying time.Duration

	world      *fakeaws.World
	groups     inventory.Of[ReplicationGroup]
	clusters   inventory.Of[CacheCluster]
	subnets    inventory.Of[SubnetGroup]
	serverless inventory.Of[ServerlessCache]
	users      inventory.Of[User]
	userGroups inventory.Of[userGroup]
	known      map[*fakeaws.Target]func() []string // the user groups of what a target stands for
}

// Resource is a *ReplicationGroup, *CacheCluster, *ServerlessCache or *User.
type Resource interface {
	complete(*ElastiCache) error
	place() inventory.Place
	target(*fakeaws.Account) (t fakeaws.Target, groups func() []string, ok bool)
	put(*ElastiCache)
	remove(*ElastiCache)
}

// New makes an ElastiCache with nothing in it.
func New(w *fakeaws.World) *ElastiCache {
	return &ElastiCache{world: w, known: map[*fakeaws.Target]func() []string{}}
}

// Add adds resources, filling in the fields that are left open. Later they are changed through the same pointers, inside
// World.Update; Changed must follow where users or their groups change.
func (e *ElastiCache) Add(all ...Resource) error {
	for _, one := range all {
		if err := one.place().Check(e.world); err != nil {
			return err
		}
		if err := one.complete(e); err != nil {
			return err
		}
		target, groups, ok := one.target(one.place().In(e.world))
		var known *fakeaws.Target
		if ok {
			target.RedisAccounts = func(name string) (fakeaws.RedisAccount, bool) { return e.account(one, groups(), name) }
			known = e.world.AddTarget(target)
		}
		e.world.Update(func() {
			one.put(e)
			if ok {
				e.known[known] = groups
			}
		})
	}
	e.world.Update(e.Changed)
	return nil
}

// Remove makes resources disappear.
func (e *ElastiCache) Remove(all ...Resource) {
	for _, one := range all {
		target, _, ok := one.target(one.place().In(e.world))
		if ok {
			e.world.RemoveTarget(target.Service, target.Host)
		}
		e.world.Update(func() { one.remove(e) })
	}
	e.world.Update(e.Changed)
}

// Changed tells the verifier which users there are. It is to be called inside World.Update, after changes by hand.
func (e *ElastiCache) Changed() {
	for target, groups := range e.known {
		target.Users = map[string]string{}
		for _, u := range e.users.All(inventory.Place{Account: target.Account.ID, Region: target.Region}) {
			u.Access.Settle(e.world.Now())
			if u.Access.Type == "iam" && slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(groups(), g) }) {
				target.Users[u.Name] = u.ID
			}
		}
	}
}

// account is what the servers of a resource with groups of users know of an account.
func (e *ElastiCache) account(one Resource, groups []string, name string) (account fakeaws.RedisAccount, ok bool) {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "" })
	if len(groups) == 0 {
		account = redisusers.Default
		if g, isGroup := one.(*ReplicationGroup); isGroup && g.AuthToken != "" {
			account.NoPassword, account.Passwords = false, []string{g.AuthToken}
		}
		return account, name == "default"
	}
	for _, u := range e.users.All(one.place()) {
		if u.Name == name && slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			return u.Access.Account(e.world.Now(), u.Rules), true
		}
	}
	return account, false
}

// Service answers the calls.
func (e *ElastiCache) Service() *fakeaws.Service {
	const arn = "elasticache"
	one := func(name, kind, parameter string, handle func(*fakeaws.Call) (wire.Fields, error)) fakeaws.Operation {
		return fakeaws.Operation{Name: name, Action: "elasticache:" + name, Resources: inventory.OneARN(arn, kind, parameter), Handle: handle}
	}
	return &fakeaws.Service{Name: "elasticache", Scope: "elasticache", Protocol: wire.Query, Version: "2015-02-02",
		Namespace: "http://elasticache.amazonaws.com/doc/2015-02-02/", LoadState: e.loadState,
		Operations: []fakeaws.Operation{
			one("DescribeReplicationGroups", "replicationgroup:", "ReplicationGroupId", e.describeGroups),
			one("DescribeCacheClusters", "cluster:", "CacheClusterId", e.describeClusters),
			one("DescribeCacheSubnetGroups", "subnetgroup:", "CacheSubnetGroupName", e.describeSubnetGroups),
			one("DescribeServerlessCaches", "serverlesscache:", "ServerlessCacheName", e.describeServerless),
			one("DescribeUsers", "user:", "UserId", e.describeUsers),
			one("ModifyUser", "user:", "UserId", e.modifyUser),
			one("CreateUser", "user:", "UserId", e.createUser),
			one("CreateUserGroup", "usergroup:", "UserGroupId", e.createUserGroup),
			one("ModifyUserGroup", "usergroup:", "UserGroupId", e.modifyUserGroup),
			one("ModifyReplicationGroup", "replicationgroup:", "ReplicationGroupId", e.modifyGroup),
			one("AddTagsToResource", "", "ResourceName", e.tag),
			one("ListTagsForResource", "", "ResourceName", e.listTags),
		}}
}

func (e *ElastiCache) loadState(w *fakeaws.World, decode func(any) error) error {
	var s struct {
		ReplicationGroups []*ReplicationGroup `json:"replication_groups"`
		CacheClusters     []*CacheCluster     `json:"cache_clusters"`
		ServerlessCaches  []*ServerlessCache  `json:"serverless_caches"`
		Users             []*User             `json:"users"`
		ModifyingSeconds  int                 `json:"modifying_seconds"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	w.Update(func() { e.Modifying = time.Duration(s.ModifyingSeconds) * time.Second })
	var all []Resource
	for _, one := range s.ReplicationGroups {
		all = append(all, one)
	}
	for _, one := range s.CacheClusters {
		all = append(all, one)
	}
	for _, one := range s.ServerlessCaches {
		all = append(all, one)
	}
	for _, one := range s.Users {
		all = append(all, one)
	}
	return e.Add(all...)
}

var paging = inventory.Paging{Size: "MaxRecords", Token: "Marker", SizeCode: "InvalidParameterValue", TokenCode: "InvalidParameterValue",
	Sizes: inventory.Sizes{Least: 20, Most: 100, Usual: 100}}

// list answers a list of resources of one kind, or the one that a parameter names.
func list[T any](c *fakeaws.Call, kept *inventory.Of[T], parameter string, notFound func(string) error) ([]*T, error) {
	name := c.Params.String(parameter)
	if name == "" {
		return kept.All(inventory.At(c)), nil
	}
	if one := kept.Get(inventory.At(c), name); one != nil {
		return []*T{one}, nil
	}
	return nil, notFound(name)
}
