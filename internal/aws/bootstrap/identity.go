package bootstrap

import (
	"fmt"
	"strings"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
)

// Kind of an identity.
type Kind string

// The kinds.
const (
	User Kind = "user"
	Role Kind = "role"
)

// Unknown stands in ARNs for a partition or account that is not known, as it does in policies.
const Unknown = "*"

// Identity is a user or role of IAM that gets permissions.
type Identity struct {
	Kind               Kind
	Partition, Account string // Unknown where a short name does not say
	Path               string // with slashes around it; "/" for none, or where a short name does not say
	Name               string
}

// DefaultUser stands in instructions for the user that nobody named.
func DefaultUser() Identity {
	return Identity{Kind: User, Partition: Unknown, Account: Unknown, Path: "/", Name: "username"}
}

// ParseIdentity reads a name, a name with its path before it, or an ARN.
func ParseIdentity(kind Kind, text string) (Identity, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(text, "/"), string(kind)+"/")
	id := Identity{Kind: kind, Partition: Unknown, Account: Unknown}
	if strings.HasPrefix(text, "arn:") {
		arn, err := endpoint.ParseARN(text)
		if err != nil {
			return Identity{}, fault.Wrap(fault.BadParameter, err, "%s", err)
		}
		resource, ok := strings.CutPrefix(arn.Resource, string(kind)+"/")
		if !ok || arn.Service != "iam" || !endpoint.IsAccount(arn.Account) {
			return Identity{}, fault.New(fault.BadParameter, "%q is not the ARN of a %s, as in arn:aws:iam::123456789012:%s/name", text, kind, kind)
		}
		id.Partition, id.Account, name = arn.Partition, arn.Account, resource
	}
	// Users and roles are named by the same rules.
	checked, err := endpoint.NewRole(endpoint.PartitionAWS, "000000000000", name)
	if err != nil {
		return Identity{}, fault.New(fault.BadParameter, "%q is neither the name of a %s, which may have its path before it, nor its ARN", text, kind)
	}
	id.Path, id.Name = checked.Path, checked.Name
	return id, nil
}

// Complete reports whether the identity is known in full.
func (i Identity) Complete() bool { return i.Partition != Unknown && i.Account != Unknown }

// ARN returns the identity's ARN, with Unknown where that is.
func (i Identity) ARN() string {
	return endpoint.ARN{Partition: i.Partition, Service: "iam", Account: i.Account, Resource: string(i.Kind) + i.Path + i.Name}.String()
}

// String returns what people call it: the ARN, or what is known of it.
func (i Identity) String() string {
	if i.Complete() {
		return fmt.Sprintf("%s %s", i.Kind, i.ARN())
	}
	return fmt.Sprintf("%s %q", i.Kind, strings.TrimPrefix(i.Path, "/")+i.Name)
}

// roleARN completes the name of a role with partition and account of the identity.
func (i Identity) roleARN(name string) (string, error) {
	role, err := ParseIdentity(Role, name)
	if err != nil {
		return "", err
	}
	if !role.Complete() {
		role.Partition, role.Account = i.Partition, i.Account
	}
	return role.ARN(), nil
}
