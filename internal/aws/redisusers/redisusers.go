// Package redisusers is what AWS tells and lets change of the users of ElastiCache and MemoryDB.
package redisusers

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"sallyport/internal/aws/endpoint"
)

// Service is whose users they are, as ARNs and names of secrets have it.
type Service string

// The services.
const (
	ElastiCache Service = "elasticache"
	MemoryDB    Service = "memorydb"
)

// ServiceOf returns whose users a type of database has; false for types without such users.
func ServiceOf(t endpoint.Type) (Service, bool) {
	switch t {
	case endpoint.ElastiCache, endpoint.ElastiCacheServerless:
		return ElastiCache, true
	case endpoint.MemoryDB:
		return MemoryDB, true
	default:
		return "", false
	}
}

// Kind is how a user authenticates, as AWS names it.
type Kind string

// The kinds.
const (
	IAM        Kind = "iam"
	Password   Kind = "password"
	NoPassword Kind = "no-password"
)

// Active is the status of a user without a change under way.
const Active = "active"

// User is one user.
type User struct {
	ID     string // of ElastiCache; of MemoryDB the name
	Name   string // with which databases know it
	ARN    string
	Kind   Kind
	Status string
	Groups []string // ids of groups of users, or names of ACLs
}

// In reports whether the user belongs to one of the groups.
func (u *User) In(groups []string) bool {
	return slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

// firstWithIAM is the first version of Redis that knows users of IAM ("Authenticating with IAM" in the user guides of
// ElastiCache and MemoryDB).
const firstWithIAM = 7

// KnowIAM reports whether databases of a type and version can have users of IAM. A version that is not known may have them.
func KnowIAM(t endpoint.Type, version string) bool {
	if t != endpoint.ElastiCache && t != endpoint.MemoryDB {
		return true
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	number, err := strconv.Atoi(major)
	return err != nil || number >= firstWithIAM
}

// ManagedTag is the tag of users whose passwords are managed, with the value "true".
const ManagedTag = "teleport.dev/managed"

// maxPages bounds lists: AWS allows 1000 users in an account, and pages have 100.
const maxPages = 100

// directory is the API of a service. Errors are those of AWS.
type directory interface {
	// page returns users, one of an id, or all from a token on; nil behind the last.
	page(ctx context.Context, id, token *string) (users []User, next *string, err error)
	tags(ctx context.Context, arn string) (map[string]string, error)
	setPasswords(ctx context.Context, id string, passwords []string) error
}

func (s Service) directory(cfg aws.Config) directory {
	if s == MemoryDB {
		return newMemoryDB(cfg)
	}
	return newElastiCache(cfg)
}

// List returns the users of the account and region that the configuration is for.
func (s Service) List(ctx context.Context, cfg aws.Config) ([]User, error) {
	d := s.directory(cfg)
	var all []User
	var token *string
	for range maxPages {
		users, next, err := d.page(ctx, nil, token)
		if err != nil {
			return nil, err
		}
		all = append(all, users...)
		if aws.ToString(next) == "" || aws.ToString(next) == aws.ToString(token) {
			return all, nil
		}
		token = next
	}
	return nil, errors.New("AWS has no end of users")
}

// Get returns the user with the id; false if there is none.
func (s Service) Get(ctx context.Context, cfg aws.Config, id string) (User, bool, error) {
	users, _, err := s.directory(cfg).page(ctx, aws.String(id), nil)
	if hasCode(err, "UserNotFound") || err == nil && len(users) == 0 {
		return User{}, false, nil
	}
	if err != nil {
		return User{}, false, err
	}
	return users[0], true, nil
}

// Find returns the users that databases know by the name: one whose id that is too, or else all of the name.
func (s Service) Find(ctx context.Context, cfg aws.Config, name string) ([]User, error) {
	user, ok, err := s.Get(ctx, cfg, name)
	switch {
	case err != nil && !hasCode(err, "InvalidParameterValue"): // a name need not have the form of an id
		return nil, err
	case ok && user.Name == name:
		return []User{user}, nil
	case s == MemoryDB:
		return nil, nil
	}
	all, err := s.List(ctx, cfg)
	return slices.DeleteFunc(all, func(u User) bool { return u.Name != name }), err
}

// Managed reports whether a user has the tag.
func (s Service) Managed(ctx context.Context, cfg aws.Config, arn string) (bool, error) {
	tags, err := s.directory(cfg).tags(ctx, arn)
	return strings.EqualFold(tags[ManagedTag], "true"), err
}

// ErrBusy is that of a user with another change under way.
var ErrBusy = errors.New("another change of the user is under way")

// SetPasswords gives a user its one or two passwords. The old ones hold until AWS has carried that out.
func (s Service) SetPasswords(ctx context.Context, cfg aws.Config, id string, passwords ...string) error {
	err := s.directory(cfg).setPasswords(ctx, id, passwords)
	if hasCode(err, "InvalidUserState") {
		return errors.Join(ErrBusy, err)
	}
	return err
}

// hasCode reports whether the error is one of the API whose code begins so.
func hasCode(err error, prefix string) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.HasPrefix(api.ErrorCode(), prefix)
}
