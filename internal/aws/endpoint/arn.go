package endpoint

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const accountDigits = 12

// IsAccount reports whether the text is the id of an account: 12 digits.
func IsAccount(id string) bool { return isDigits(id, accountDigits) }

// ARN is an Amazon Resource Name, taken apart.
type ARN struct {
	Partition, Service, Region, Account string
	Resource                            string // whatever follows the account, colons included
}

// ParseARN reads an ARN of a supported partition. Fields that a service may leave empty can be empty.
func ParseARN(text string) (ARN, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[5] == "" {
		return ARN{}, fmt.Errorf("%q is not an ARN, as in arn:aws:iam::123456789012:role/name", text)
	}
	if !slices.Contains(Partitions(), parts[1]) {
		return ARN{}, fmt.Errorf("%q names partition %q; known are %s", text, parts[1], strings.Join(Partitions(), ", "))
	}
	return ARN{Partition: parts[1], Service: parts[2], Region: parts[3], Account: parts[4], Resource: parts[5]}, nil
}

// String returns the ARN as it is written.
func (a ARN) String() string {
	return strings.Join([]string{"arn", a.Partition, a.Service, a.Region, a.Account, a.Resource}, ":")
}

// Role is the ARN of an IAM role.
type Role struct {
	Partition string
	Account   string
	Path      string // with slashes around it, as in /teams/red/; "/" for none
	Name      string
}

var (
	// roleName is from "IAM and AWS STS quotas" in the IAM user guide.
	roleName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
	// rolePath leaves out what would be a wildcard or a variable once the ARN stands in a policy.
	rolePath = regexp.MustCompile(`^/([^\x00-\x20/*?$\x7f-\x{10ffff}]+/)*$`)
)

const maxPath = 512

// ParseRole reads the ARN of a role. Session ARNs of STS are not ARNs of roles.
func ParseRole(arn string) (Role, error) {
	a, err := ParseARN(arn)
	if err != nil && strings.HasPrefix(arn, "arn:") {
		return Role{}, err
	}
	resource, ok := strings.CutPrefix(a.Resource, "role/")
	if !ok || a.Service != "iam" || a.Region != "" || !IsAccount(a.Account) {
		return Role{}, fmt.Errorf("%q is not the ARN of a role, as in arn:aws:iam::123456789012:role/databases", arn)
	}
	return NewRole(a.Partition, a.Account, resource)
}

// NewRole makes the ARN of the role with the name, which may have a path before it, as in team/reader.
func NewRole(partition, account, name string) (Role, error) {
	r := Role{Partition: partition, Account: account, Path: "/"}
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		r.Path, name = "/"+name[:at+1], name[at+1:]
	}
	r.Name = name
	switch {
	case !slices.Contains(Partitions(), partition):
		return Role{}, fmt.Errorf("%q is not a partition; known are %s", partition, strings.Join(Partitions(), ", "))
	case !IsAccount(account):
		return Role{}, fmt.Errorf("%q is not the id of an account, which has 12 digits", account)
	case !roleName.MatchString(r.Name):
		return Role{}, fmt.Errorf("%q is not the name of a role, which has up to 64 letters, digits and characters of +=,.@_-", name)
	case len(r.Path) > maxPath || !rolePath.MatchString(r.Path):
		return Role{}, fmt.Errorf("%q is not the path of a role", r.Path)
	}
	return r, nil
}

// String returns the ARN.
func (r Role) String() string {
	return ARN{Partition: r.Partition, Service: "iam", Account: r.Account, Resource: "role" + r.Path + r.Name}.String()
}

// ErrNoAccount is returned when a role is named without its account and nothing says which one it is in.
var ErrNoAccount = errors.New("the account of the role is not known; write the role's full ARN, or set aws.account_id of the database")

// RoleUser says what is known where a database user is, or may be, a role.
type RoleUser struct {
	Type   Type
	Region string // of the database; says the partition
	// Account of the database; empty if not known. Of those that follow, the first that is known stands in.
	Account       string
	AssumeRoleARN string // the agent's role for the database
	CallerAccount string // the agent's own account, as STS tells it
}

// Resolve returns the role that a database user stands for. It is false for users that are names inside
// the database. The error is ErrNoAccount when a caller that does not know CallerAccount yet should ask.
func (u RoleUser) Resolve(user string) (role Role, isRole bool, err error) {
	switch u.Type {
	case Redshift:
		if !strings.HasPrefix(user, "arn:") && !strings.HasPrefix(user, "role/") {
			return Role{}, false, nil
		}
	case RedshiftServerless:
		// These are names inside the database; the service makes them from roles.
		if strings.HasPrefix(user, "IAM:") || strings.HasPrefix(user, "IAMR:") {
			return Role{}, true, fmt.Errorf("the database user %q must be written as the name or ARN of a role, without the prefix", user)
		}
	case DocumentDB, OpenSearch, DynamoDB, Keyspaces:
	default:
		return Role{}, false, nil
	}
	if strings.HasPrefix(user, "arn:") {
		role, err = u.full(user)
		return role, true, err
	}
	account, err := u.account()
	if err != nil {
		return Role{}, true, err
	}
	role, err = NewRole(PartitionOf(u.Region), account, strings.TrimPrefix(user, "role/"))
	return role, true, err
}

func (u RoleUser) full(arn string) (Role, error) {
	role, err := ParseRole(arn)
	if err != nil {
		return Role{}, err
	}
	if partition := PartitionOf(u.Region); u.Region != "" && role.Partition != partition {
		return Role{}, fmt.Errorf("the role %s is not of partition %s, in which the database is", arn, partition)
	}
	if known := u.knownAccount(); known != "" && role.Account != known {
		return Role{}, fmt.Errorf("the role %s is not of account %s, in which the database is", arn, known)
	}
	return role, nil
}

func (u RoleUser) knownAccount() string {
	if u.Account != "" {
		return u.Account
	}
	if role, err := ParseRole(u.AssumeRoleARN); err == nil {
		return role.Account
	}
	return ""
}

func (u RoleUser) account() (string, error) {
	switch known := u.knownAccount(); {
	case known != "":
		return known, nil
	case u.CallerAccount != "":
		return u.CallerAccount, nil
	default:
		return "", ErrNoAccount
	}
}

// Same compares two ways to write a database user. Same is that both mean one role for sure, as its ARN, role/name and,
// where that means the role too, the bare name do. Maybe is that they mean one role unless it is one of another account,
// which cannot be told because the database's is not known: rules that deny must then take it for the same, and rules
// that allow must not.
func (u RoleUser) Same(a, b string) (same, maybe bool) {
	if a == b {
		return true, true
	}
	x, isX, errX := u.Resolve(a)
	y, isY, errY := u.Resolve(b)
	if !isX || !isY {
		return false, false
	}
	if errX == nil && errY == nil {
		return x == y, x == y
	}
	if errX != nil && !errors.Is(errX, ErrNoAccount) || errY != nil && !errors.Is(errY, ErrNoAccount) {
		return false, false
	}
	maybe = shortOf(a, x) == shortOf(b, y)
	return maybe && errX != nil && errY != nil, maybe
}

// shortOf returns path and name of the role that a user stands for, which is the zero Role if it was written without its
// account and that is not known.
func shortOf(user string, role Role) string {
	if role != (Role{}) {
		return strings.TrimPrefix(role.Path, "/") + role.Name
	}
	return strings.TrimPrefix(user, "role/")
}
