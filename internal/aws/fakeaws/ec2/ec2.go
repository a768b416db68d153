// Package ec2 is as much of EC2 in the local AWS as discovery and the ec2 join ask for: subnets and instances.
package ec2

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// EC2 is the service's state. Its fields may be changed inside World.Update only.
type EC2 struct {
	// States are the states of instances by their ids: pending, running, stopped … What is not in it runs.
	States map[string]string

	world   *fakeaws.World
	subnets inventory.Of[Subnet]
}

// Subnet is a subnet. Only Place and ID must be set.
type Subnet struct {
	inventory.Place
	ID   string            `json:"id"`
	VPC  string            `json:"vpc"` // default the one that other services use
	Tags map[string]string `json:"tags"`
}

// New makes an EC2 that knows the instances of the world's metadata services, and the default subnet of each region.
func New(w *fakeaws.World) *EC2 { return &EC2{world: w, States: map[string]string{}} }

// Add adds subnets.
func (e *EC2) Add(all ...*Subnet) error {
	for _, s := range all {
		if err := s.Check(e.world); err != nil {
			return err
		}
		if s.ID == "" {
			return errors.New("a subnet has no id")
		}
		s.VPC = cmp.Or(s.VPC, "vpc-"+strings.ToLower(s.Opaque(17, "vpc")))
		e.world.Update(func() { e.subnets.Put(s.Place, s.ID, s) })
	}
	return nil
}

// Service answers the calls.
func (e *EC2) Service() *fakeaws.Service {
	return &fakeaws.Service{Name: "ec2", Scope: "ec2", Protocol: wire.EC2, Version: "2016-11-15",
		Namespace: "http://ec2.amazonaws.com/doc/2016-11-15/", LoadState: e.loadState,
		Operations: []fakeaws.Operation{
			{Name: "DescribeSubnets", Action: "ec2:DescribeSubnets", Handle: e.describeSubnets},
			{Name: "DescribeInstances", Action: "ec2:DescribeInstances", Handle: e.describeInstances},
		}}
}

func (e *EC2) loadState(w *fakeaws.World, decode func(any) error) error {
	var s struct {
		Subnets []*Subnet         `json:"subnets"`
		States  map[string]string `json:"states"`
	}
	if err := decode(&s); err != nil {
		return err
	}
	w.Update(func() { e.States = s.States })
	return e.Add(s.Subnets...)
}

var paging = inventory.Paging{
	Size: "MaxResults", Token: "NextToken", SizeCode: "InvalidParameterValue", TokenCode: "InvalidNextToken",
	Sizes: inventory.Sizes{Least: 5, Most: 1000, Usual: 1000},
}

// filtered keeps what all filters of a call let pass.
func filtered[T any](c *fakeaws.Call, all []*T, kinds map[string]func(*T) string) ([]*T, error) {
	for _, filter := range c.Params.List("Filter") {
		name, values := filter.String("Name"), filter.Strings("Value")
		of := kinds[name]
		if of == nil {
			return nil, wire.Errorf("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
		all = slices.DeleteFunc(slices.Clone(all), func(one *T) bool { return !slices.Contains(values, of(one)) })
	}
	return all, nil
}

// defaultSubnet is in every region, in the VPC where the other services' resources are by default.
func defaultSubnet(at inventory.Place) *Subnet {
	return &Subnet{Place: at, ID: "subnet-" + strings.ToLower(at.Opaque(17, "subnet", "default")), VPC: "vpc-" + strings.ToLower(at.Opaque(17, "vpc"))}
}

func (e *EC2) describeSubnets(c *fakeaws.Call) (wire.Fields, error) {
	at := inventory.At(c)
	all := append([]*Subnet{defaultSubnet(at)}, e.subnets.All(at)...)
	if ids := c.Params.Strings("SubnetId"); len(ids) > 0 {
		var some []*Subnet
		for _, id := range ids {
			i := slices.IndexFunc(all, func(s *Subnet) bool { return s.ID == id })
			if i < 0 {
				return nil, wire.Errorf("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
			}
			some = append(some, all[i])
		}
		all = some
	}
	all, err := filtered(c, all, map[string]func(*Subnet) string{
		"subnet-id": func(s *Subnet) string { return s.ID },
		"vpc-id":    func(s *Subnet) string { return s.VPC },
	})
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("subnetSet", wire.ListOf("", page, func(s *Subnet) any {
		return wire.Of("availabilityZone", s.Region+"a", "availableIpAddressCount", 251, "cidrBlock", "10.0.0.0/24", "defaultForAz", false, "state", "available",
			"subnetId", s.ID, "vpcId", s.VPC, "ownerId", s.Account, "subnetArn", s.ARN("ec2", "subnet/"+s.ID), "tagSet", tags(s.Tags))
	}), "nextToken", next), err
}

func tags(all map[string]string) any {
	if len(all) == 0 {
		return nil
	}
	return inventory.LowerTagList(all)
}

var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

// instance is what is told of an instance; the metadata service has the rest.
type instance struct {
	id, state string
	fields    wire.Fields
}

func (e *EC2) describeInstances(c *fakeaws.Call) (wire.Fields, error) {
	var all []*instance
	for _, one := range c.Instances() {
		all = append(all, e.instance(one))
	}
	if ids := c.Params.Strings("InstanceId"); len(ids) > 0 {
		var some []*instance
		for _, id := range ids {
			if !instanceID.MatchString(id) {
				return nil, wire.Errorf("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id)
			}
			i := slices.IndexFunc(all, func(one *instance) bool { return one.id == id })
			if i < 0 {
				return nil, wire.Errorf("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
			}
			some = append(some, all[i])
		}
		all = some
	}
	all, err := filtered(c, all, map[string]func(*instance) string{
		"instance-id":         func(i *instance) string { return i.id },
		"instance-state-name": func(i *instance) string { return i.state },
	})
	if err != nil {
		return nil, err
	}
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("reservationSet", wire.ListOf("", page, func(i *instance) any {
		return wire.Of("reservationId", "r-"+strings.TrimPrefix(i.id, "i-"), "ownerId", c.Account.ID,
			"instancesSet", wire.ListOf("", []wire.Fields{i.fields}, func(f wire.Fields) any { return f }))
	}), "nextToken", next), err
}

func (e *EC2) instance(one *fakeaws.Instance) *instance {
	i := &instance{id: one.ID, state: cmp.Or(e.States[one.ID], "running")}
	code := map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}[i.state]
	var profile any
	if one.Role != nil {
		profile = wire.Of("arn", strings.Replace(one.Role.ARN(), ":role/", ":instance-profile/", 1), "id", "AIPA"+one.Role.ID[4:])
	}
	i.fields = wire.Of("instanceId", one.ID, "imageId", one.Image, "instanceState", wire.Of("code", code, "name", i.state), "instanceType", one.Type,
		"launchTime", one.Launched, "placement", wire.Of("availabilityZone", one.Zone), "privateIpAddress", one.PrivateIP, "iamInstanceProfile", profile,
		"tagSet", tags(one.Tags))
	return i
}
