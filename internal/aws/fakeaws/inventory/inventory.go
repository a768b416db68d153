// Package inventory keeps what the services of the local AWS describe: resources by account, region and name.
package inventory

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/aws/fakeaws"
)

// Place is where a resource is. Resources embed it.
type Place struct {
	Account string `json:"account"` // 12 digits
	Region  string `json:"region"`
}

// At is the place that a call asks about: the caller's account, and the region it signed for.
func At(c *fakeaws.Call) Place { return Place{c.Account.ID, c.Region} }

var regionPattern = regexp.MustCompile(`^[a-z]{2}(-gov)?-[a-z]+-[0-9]+$`)

// Check wants an account of the world and a region that could exist in its partition. Not for handlers.
func (p Place) Check(w *fakeaws.World) error {
	if !regionPattern.MatchString(p.Region) {
		return fmt.Errorf("%q is no region", p.Region)
	}
	for _, a := range w.Accounts() {
		if a.ID != p.Account {
			continue
		}
		if partition := fakeaws.PartitionOf(p.Region); partition != a.Partition {
			return fmt.Errorf("account %s is in %s, region %s in %s", a.ID, a.Partition, p.Region, partition)
		}
		return nil
	}
	return fmt.Errorf("no account %q", p.Account)
}

// In finds the account itself. The place was checked before.
func (p Place) In(w *fakeaws.World) *fakeaws.Account {
	return w.Account(fakeaws.PartitionOf(p.Region), p.Account)
}

// ARN builds the ARN of a resource there.
func (p Place) ARN(service, resource string) string {
	return strings.Join([]string{"arn", fakeaws.PartitionOf(p.Region), service, p.Region, p.Account, resource}, ":")
}

// Suffix is what host names of that region end with.
func (p Place) Suffix() string {
	if fakeaws.PartitionOf(p.Region) == "aws-cn" {
		return ".amazonaws.com.cn"
	}
	return ".amazonaws.com"
}

// Opaque makes an identifier that AWS would make up, always the same for the same place and name: n letters and digits.
func (p Place) Opaque(n int, name ...string) string {
	sum := sha256.Sum256([]byte(p.Account + "/" + p.Region + "/" + strings.Join(name, "/")))
	return base32.StdEncoding.EncodeToString(sum[:])[:n]
}

// Of keeps resources of one kind. The zero value is empty. It is guarded by the world's lock.
type Of[T any] struct {
	places map[Place]*shelf[T]
}

type shelf[T any] struct {
	names []string // sorted
	items []*T
}

// Put adds or replaces. Names differ by more than case.
func (o *Of[T]) Put(at Place, name string, item *T) {
	if o.places == nil {
		o.places = map[Place]*shelf[T]{}
	}
	s := o.places[at]
	if s == nil {
		s = new(shelf[T])
		o.places[at] = s
	}
	i, found := slices.BinarySearch(s.names, strings.ToLower(name))
	if found {
		s.items[i] = item
		return
	}
	s.names = slices.Insert(s.names, i, strings.ToLower(name))
	s.items = slices.Insert(s.items, i, item)
}

// Get gives the resource of that name, or nil.
func (o *Of[T]) Get(at Place, name string) *T {
	s := o.places[at]
	if s == nil {
		return nil
	}
	if i, found := slices.BinarySearch(s.names, strings.ToLower(name)); found {
		return s.items[i]
	}
	return nil
}

// Remove forgets a resource.
func (o *Of[T]) Remove(at Place, name string) {
	s := o.places[at]
	if s == nil {
		return
	}
	if i, found := slices.BinarySearch(s.names, strings.ToLower(name)); found {
		s.names, s.items = slices.Delete(s.names, i, i+1), slices.Delete(s.items, i, i+1)
	}
}

// All lists the resources of a place in the order of their names. The list must not be changed.
func (o *Of[T]) All(at Place) []*T {
	if s := o.places[at]; s != nil {
		return s.items
	}
	return nil
}
