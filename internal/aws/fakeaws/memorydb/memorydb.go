// Package memorydb is MemoryDB in the local AWS: clusters, subnet groups, users.
//
// What is added is known to the verifier at once, with the users that have IAM authentication and are in its ACL.
package memorydb

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redisusers"
	"sallyport/internal/aws/fakeaws/wire"
)

// MemoryDB is the service's state. Its fields and what they lead to may be changed inside World.Update only.
type MemoryDB struct {
	// Modifying is how long a change of a user takes; until then its old passwords are the ones that work.
	Modifying time.Duration

	world    *fakeaws.World
	clusters inventory.Of[Cluster]
	subnets  inventory.Of[subnetGroup]
	users    inventory.Of[User]
	acls     inventory.Of[acl]
	known    map[*fakeaws.Target]*Cluster
}

// Cluster is a cluster. Only Place and Name must be set.
type Cluster struct {
	inventory.Place
	Name          string            `json:"name"`
	EngineVersion string            `json:"engine_version"` // default 7.1
	Status        string            `json:"status"`         // default available
	NoTLS         bool              `json:"no_tls"`
	Port          int               `json:"port"`         // default 6379
	ACL           string            `json:"acl"`          // default open-access
	SubnetGroup   string            `json:"subnet_group"` // default default
	VPC           string            `json:"vpc"`          // of a subnet group that is not there yet
	Tags          map[string]string `json:"tags"`
}

// User is a user. Only Place and Name must be set.
type User struct {
	inventory.Place
	Name   string            `json:"name"`
	Access redisusers.Access `json:"access"` // default IAM
	Rules  string            `json:"rules"`  // access string; default all rights
	ACLs   []string          `json:"acls"`
	Tags   map[string]string `json:"tags"`
}

type subnetGroup struct {
	inventory.Place
	name, vpc string
}

// ARN is the cluster's.
func (k *Cluster) ARN() string { return k.Place.ARN("memorydb", "cluster/"+k.Name) }

// ARN is the user's.
func (u *User) ARN() string { return u.Place.ARN("memorydb", "user/"+u.Name) }

// Host is the cluster's endpoint.
func (k *Cluster) Host() string {
	hash, end := strings.ToLower(k.Opaque(6, "hosts")), ".memorydb."+k.Region+k.Suffix()
	if k.NoTLS {
		return k.Name + "." + hash + ".clustercfg" + end
	}
	return "clustercfg." + k.Name + "." + hash + end
}

// New makes a MemoryDB with nothing in it.
func New(w *fakeaws.World) *MemoryDB {
	return &MemoryDB{world: w, known: map[*fakeaws.Target]*Cluster{}}
}

// Add adds clusters, filling in the fields that are left open. Later they are changed through the same pointers, inside
// World.Update; Changed must follow where users or their ACLs change.
func (m *MemoryDB) Add(all ...*Cluster) error {
	for _, k := range all {
		if err := k.Check(m.world); err != nil {
			return err
		}
		if k.Name == "" {
			return errors.New("a cluster has no name")
		}
		k.EngineVersion = cmp.Or(k.EngineVersion, "7.1")
		k.Status = cmp.Or(k.Status, "available")
		k.Port = cmp.Or(k.Port, 6379)
		k.ACL = cmp.Or(k.ACL, openAccess)
		k.SubnetGroup = cmp.Or(k.SubnetGroup, "default")
		k.VPC = cmp.Or(k.VPC, "vpc-"+strings.ToLower(k.Opaque(17, "vpc")))
		target := m.world.AddTarget(fakeaws.Target{Service: fakeaws.MemoryDBConnect, Host: k.Name, Account: k.In(m.world), Region: k.Region, ResourceID: k.Name,
			RedisAccounts: func(name string) (fakeaws.RedisAccount, bool) { return m.account(k, name) }})
		m.world.Update(func() {
			m.clusters.Put(k.Place, k.Name, k)
			if m.subnets.Get(k.Place, k.SubnetGroup) == nil {
				m.subnets.Put(k.Place, k.SubnetGroup, &subnetGroup{k.Place, k.SubnetGroup, k.VPC})
			}
			m.known[target] = k
		})
	}
	m.world.Update(m.Changed)
	return nil
}

// account is what the servers of a cluster know of an account.
func (m *MemoryDB) account(k *Cluster, name string) (account fakeaws.RedisAccount, ok bool) {
	for _, u := range m.users.All(k.Place) {
		if u.Name == name && slices.Contains(u.ACLs, k.ACL) {
			return u.Access.Account(m.world.Now(), u.Rules), true
		}
	}
	return redisusers.Default, name == "default" && k.ACL == openAccess
}

// openAccess is the ACL that AWS makes.
const openAccess = "open-access"

// AddUsers adds users likewise.
func (m *MemoryDB) AddUsers(all ...*User) error {
	for _, u := range all {
		if err := u.Check(m.world); err != nil {
			return err
		}
		if u.Name == "" {
			return errors.New("a user has no name")
		}
		u.Rules = cmp.Or(u.Rules, "on ~* +@all")
		u.Access.Complete()
		m.world.Update(func() { m.users.Put(u.Place, u.Name, u) })
	}
	m.world.Update(m.Changed)
	return nil
}

// Remove makes a cluster disappear.
func (m *MemoryDB) Remove(k *Cluster) {
	m.world.RemoveTarget(fakeaws.MemoryDBConnect, k.Name)
	m.world.Update(func() { m.clusters.Remove(k.Place, k.Name) })
}

// Changed tells the verifier which users there are. It is to be called inside World.Update, after changes by hand.
func (m *MemoryDB) Changed() {
	for target, k := range m.known {
		target.Users = map[string]string{}
		for _, u := range m.users.All(k.Place) {
			u.Access.Settle(m.world.Now())
			if u.Access.Type == redisusers.IAM && slices.Contains(u.ACLs, k.ACL) {
				target.Users[u.Name] = u.Name
			}
		}
	}
}

// Service answers the calls.
func (m *MemoryDB) Service() *fakeaws.Service {
	one := func(name, kind, parameter string, handle func(*fakeaws.Call) (wire.Fields, error)) fakeaws.Operation {
		return fakeaws.Operation{Name: name, Action: "memorydb:" + name, Resources: inventory.OneARN("memorydb", kind, parameter), Handle: handle}
	}
	return &fakeaws.Service{Name: "memorydb", Scope: "memorydb", Hosts: []string{"memory-db"}, Protocol: wire.JSON11, Target: "AmazonMemoryDB", LoadState: m.loadState,
		Operations: []fakeaws.Operation{
			one("DescribeClusters", "cluster/", "ClusterName", m.describeClusters),
			one("DescribeSubnetGroups", "subnetgroup/", "SubnetGroupName", m.describeSubnetGroups),
			one("DescribeUsers", "user/", "UserName", m.describeUsers),
			one("UpdateUser", "user/", "UserName", m.updateUser),
			one("CreateUser", "user/", "UserName", m.createUser),
			one("CreateACL", "acl/", "ACLName", m.createACL),
			one("UpdateACL", "acl/", "ACLName", m.updateACL),
			one("UpdateCluster", "cluster/", "ClusterName", m.updateCluster),
			one("TagResource", "", "ResourceArn", m.tag),
			one("ListTags", "", "ResourceArn", m.listTags),
		}}
}

func (m *MemoryDB) loadState(w *fakeaws.World, decode func(any) error) error {
	var s struct {
		Clusters         []*Cluster `json:"clusters"`
		Users            []*User    `json:"users"`
		ModifyingSeconds int        `json:"modifying_seconds"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	w.Update(func() { m.Modifying = time.Duration(s.ModifyingSeconds) * time.Second })
	return errors.Join(m.Add(s.Clusters...), m.AddUsers(s.Users...))
}

var paging = inventory.Paging{Size: "MaxResults", Token: "NextToken", SizeCode: "InvalidParameterValueException", TokenCode: "InvalidParameterValueException",
	Sizes: inventory.Sizes{Least: 1, Most: 100, Usual: 100}}

func notFound(kind, name string) error {
	return wire.StatusErrorf(http.StatusNotFound, kind+"NotFoundFault", "%s %s not found.", kind, name)
}

// list gives the resources of one kind, or the one that a parameter names.
func list[T any](c *fakeaws.Call, kept *inventory.Of[T], parameter, kind string) ([]*T, error) {
	name := c.Params.String(parameter)
	if name == "" {
		return kept.All(inventory.At(c)), nil
	}
	if one := kept.Get(inventory.At(c), name); one != nil {
		return []*T{one}, nil
	}
	return nil, notFound(kind, name)
}
