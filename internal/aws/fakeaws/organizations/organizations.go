// Package organizations is Organizations in the local AWS: a tree of units and accounts, told to its management account only.
package organizations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// Organizations is the service's state. Its fields and what they lead to may be changed inside World.Update only.
type Organizations struct {
	world         *fakeaws.World
	organizations []*Organization
}

// Organization is an organization.
type Organization struct {
	ID         string   `json:"id"`         // o-…
	Management string   `json:"management"` // account
	Delegated  []string `json:"delegated"`  // accounts that may ask as well
	Root       Unit     `json:"root"`       // its id is r-…
}

// Unit is the root or an organizational unit.
type Unit struct {
	ID       string    `json:"id"` // ou-…
	Name     string    `json:"name"`
	Units    []*Unit   `json:"units"`
	Accounts []*Member `json:"accounts"`
}

// Member is an account of the organization.
type Member struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Status string    `json:"status"` // default ACTIVE; SUSPENDED, PENDING_CLOSURE
	Joined time.Time `json:"joined"`
}

// New makes an Organizations without any.
func New(w *fakeaws.World) *Organizations { return &Organizations{world: w} }

// Add adds an organization. The management account must be one of its members.
func (o *Organizations) Add(one *Organization) error {
	switch {
	case !strings.HasPrefix(one.ID, "o-"):
		return errors.New("the id of an organization begins with o-")
	case !strings.HasPrefix(one.Root.ID, "r-"):
		return errors.New("the id of a root begins with r-")
	case !slices.ContainsFunc(one.Root.all(), func(m *Member) bool { return m.ID == one.Management }):
		return fmt.Errorf("the management account %q is not in organization %s", one.Management, one.ID)
	}
	one.Root.complete(o.world.Now())
	o.world.Update(func() { o.organizations = append(o.organizations, one) })
	return nil
}

func (u *Unit) complete(now time.Time) {
	for _, m := range u.Accounts {
		if m.Status == "" {
			m.Status = "ACTIVE"
		}
		if m.Name == "" {
			m.Name = m.ID
		}
		if m.Joined.IsZero() {
			m.Joined = now
		}
	}
	for _, below := range u.Units {
		below.complete(now)
	}
}

// all are the accounts of a unit and of those below it.
func (u *Unit) all() []*Member {
	all := slices.Clone(u.Accounts)
	for _, below := range u.Units {
		all = append(all, below.all()...)
	}
	return all
}

func (u *Unit) find(id string) *Unit {
	if u.ID == id {
		return u
	}
	for _, below := range u.Units {
		if found := below.find(id); found != nil {
			return found
		}
	}
	return nil
}

// Service answers the calls.
func (o *Organizations) Service() *fakeaws.Service {
	one := func(name string, handle func(*fakeaws.Call, *Organization) (wire.Fields, error)) fakeaws.Operation {
		return fakeaws.Operation{Name: name, Action: "organizations:" + name, Handle: func(c *fakeaws.Call) (wire.Fields, error) {
			org, err := o.of(c)
			if err != nil {
				return nil, err
			}
			return handle(c, org)
		}}
	}
	return &fakeaws.Service{Name: "organizations", Scope: "organizations", Protocol: wire.JSON11, Target: "AWSOrganizationsV20161128", Global: true, LoadState: o.loadState,
		Operations: []fakeaws.Operation{
			one("ListRoots", listRoots), one("ListChildren", listChildren), one("ListAccountsForParent", listAccountsForParent), one("ListAccounts", listAccounts),
		}}
}

func (o *Organizations) loadState(_ *fakeaws.World, decode func(any) error) error {
	var s struct {
		Organizations []*Organization `json:"organizations"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	for _, one := range s.Organizations {
		if err := o.Add(one); err != nil {
			return err
		}
	}
	return nil
}

// of finds the caller's organization; its members are told nothing of it.
func (o *Organizations) of(c *fakeaws.Call) (*Organization, error) {
	for _, org := range o.organizations {
		if !slices.ContainsFunc(org.Root.all(), func(m *Member) bool { return m.ID == c.Account.ID }) {
			continue
		}
		if org.Management != c.Account.ID && !slices.Contains(org.Delegated, c.Account.ID) {
			return nil, wire.Errorf("AccessDeniedException", "You don't have permissions to access this resource.")
		}
		return org, nil
	}
	return nil, wire.Errorf("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
}

var paging = inventory.Paging{Size: "MaxResults", Token: "NextToken", SizeCode: "InvalidInputException", TokenCode: "InvalidInputException",
	Sizes: inventory.Sizes{Least: 1, Most: 20, Usual: 20}}

func (org *Organization) arn(c *fakeaws.Call, resource string) string {
	return "arn:" + c.Account.Partition + ":organizations::" + org.Management + ":" + resource
}

func listRoots(c *fakeaws.Call, org *Organization) (wire.Fields, error) {
	page, next, err := inventory.Page(c, paging, []*Unit{&org.Root})
	return wire.Of("NextToken", next, "Roots", wire.ListOf("", page, func(u *Unit) any {
		return wire.Of("Id", u.ID, "Arn", org.arn(c, "root/"+org.ID+"/"+u.ID), "Name", "Root", "PolicyTypes", wire.Strings("", nil))
	})), err
}

func (org *Organization) parent(c *fakeaws.Call) (*Unit, error) {
	id := c.Params.String("ParentId")
	if u := org.Root.find(id); u != nil {
		return u, nil
	}
	return nil, wire.Errorf("ParentNotFoundException", "You specified a parent that doesn't exist: %s", id)
}

func listChildren(c *fakeaws.Call, org *Organization) (wire.Fields, error) {
	u, err := org.parent(c)
	if err != nil {
		return nil, err
	}
	kind := c.Params.String("ChildType")
	var ids []string
	switch kind {
	case "ORGANIZATIONAL_UNIT":
		for _, below := range u.Units {
			ids = append(ids, below.ID)
		}
	case "ACCOUNT":
		for _, m := range u.Accounts {
			ids = append(ids, m.ID)
		}
	default:
		return nil, wire.Errorf("InvalidInputException", "You specified an invalid value for ChildType.")
	}
	page, next, err := inventory.Page(c, paging, ids)
	return wire.Of("NextToken", next, "Children", wire.ListOf("", page, func(id string) any { return wire.Of("Id", id, "Type", kind) })), err
}

func listAccountsForParent(c *fakeaws.Call, org *Organization) (wire.Fields, error) {
	u, err := org.parent(c)
	if err != nil {
		return nil, err
	}
	return accounts(c, org, u.Accounts)
}

func listAccounts(c *fakeaws.Call, org *Organization) (wire.Fields, error) {
	return accounts(c, org, org.Root.all())
}

func accounts(c *fakeaws.Call, org *Organization, all []*Member) (wire.Fields, error) {
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("NextToken", next, "Accounts", wire.ListOf("", page, func(m *Member) any {
		return wire.Of("Id", m.ID, "Arn", org.arn(c, "account/"+org.ID+"/"+m.ID), "Email", m.ID+"@example.com", "Name", m.Name, "Status", m.Status,
			"JoinedMethod", "CREATED", "JoinedTimestamp", m.Joined)
	})), err
}
