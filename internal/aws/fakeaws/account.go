package fakeaws

import (
	"fmt"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws/iam"
)

// Account is one AWS account.
type Account struct {
	ID, Partition string
	Users         map[string]*User
	Roles         map[string]*Role
	Policies      map[string]*ManagedPolicy // customer managed and AWS managed, by ARN
	Providers     map[string]*Provider      // OIDC providers, by ARN
	world         *World
}

// Permissions are what users and roles have in common.
type Permissions struct {
	Inline   map[string]string // documents by name
	Attached []string          // ARNs of managed policies
	Boundary string            // ARN of a managed policy; "": none
	Tags     map[string]string
	history  []effect // what was in effect since when, while changes propagate
}

// User is an IAM user.
type User struct {
	Permissions
	Name, Path, ID string
	Created        time.Time
	account        *Account
}

// Role is an IAM role.
type Role struct {
	Permissions
	Name, Path, ID string
	Description    string
	Trust          string        // document
	MaxDuration    time.Duration // 0 means 1 h
	Created        time.Time
	account        *Account
}

// ManagedPolicy is a policy with versions.
type ManagedPolicy struct {
	Name, Path, ID, ARN, Description string
	Versions                         []PolicyVersion // oldest first
	Default                          int             // number of the version in effect
	Created, Updated                 time.Time
	Tags                             map[string]string
	last                             int // the highest number ever given
	history                          []effect
}

// PolicyVersion is one version of a managed policy.
type PolicyVersion struct {
	Number   int
	Document string
	Created  time.Time
}

// Provider is an OIDC provider that an account trusts.
type Provider struct {
	ARN, URL  string
	ClientIDs []string
}

// ARN is the user's.
func (u *User) ARN() string { return u.account.arn("iam", "", "user"+u.Path+u.Name) }

// ARN is the role's own, with its path; sessions have another.
func (r *Role) ARN() string { return r.account.arn("iam", "", "role"+r.Path+r.Name) }

// RootARN is the ARN of the account itself.
func (a *Account) RootARN() string { return a.arn("iam", "", "root") }

// arn builds an ARN of this account.
func (a *Account) arn(service, region, resource string) string {
	return strings.Join([]string{"arn", a.Partition, service, region, a.ID, resource}, ":")
}

// AddUser adds a user. Path defaults to "/".
func (a *Account) AddUser(u User) (*User, error) {
	if err := u.check(); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Name, err)
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	if a.Users[u.Name] != nil {
		return nil, fmt.Errorf("user %s exists already", u.Name)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	u.ID, u.Created, u.account = a.world.id("AIDA"), a.world.Now(), a
	a.Users[u.Name] = &u
	return &u, nil
}

// AddRole adds a role. Path defaults to "/".
func (a *Account) AddRole(r Role) (*Role, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("role %s: %w", r.Name, err)
	}
	if _, err := iam.Parse(r.Trust, iam.Trust); err != nil {
		return nil, fmt.Errorf("trust policy of role %s: %w", r.Name, err)
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	if a.Roles[r.Name] != nil {
		return nil, fmt.Errorf("role %s exists already", r.Name)
	}
	if r.Path == "" {
		r.Path = "/"
	}
	if r.MaxDuration == 0 {
		r.MaxDuration = time.Hour
	}
	r.ID, r.Created, r.account = a.world.id("AROA"), a.world.Now(), a
	a.Roles[r.Name] = &r
	return &r, nil
}

// AddPolicy adds a customer managed policy with one version and gives its ARN.
func (a *Account) AddPolicy(name, document string) (string, error) {
	if _, err := iam.Parse(document, iam.Identity); err != nil {
		return "", fmt.Errorf("policy %s: %w", name, err)
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return a.addPolicy(name, "/", "", document, nil).ARN, nil
}

func (a *Account) addPolicy(name, path, description, document string, tags map[string]string) *ManagedPolicy {
	now := a.world.Now()
	p := &ManagedPolicy{Name: name, Path: path, ID: a.world.id("ANPA"), ARN: a.arn("iam", "", "policy"+path+name),
		Description: description, Versions: []PolicyVersion{{1, document, now}}, Default: 1, Created: now, Updated: now,
		Tags: tags, last: 1}
	a.Policies[p.ARN] = p
	return p
}

// AddProvider makes the account trust the tokens of an OIDC issuer for some audiences.
func (a *Account) AddProvider(url string, audiences ...string) *Provider {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	p := &Provider{URL: url, ClientIDs: audiences,
		ARN: a.arn("iam", "", "oidc-provider/"+strings.TrimPrefix(url, "https://"))}
	a.Providers[p.ARN] = p
	return p
}

func (p Permissions) check() error {
	for name, document := range p.Inline {
		if _, err := iam.Parse(document, iam.Identity); err != nil {
			return fmt.Errorf("inline policy %s: %w", name, err)
		}
	}
	return nil
}

func (p *ManagedPolicy) version(number int) *PolicyVersion {
	for i := range p.Versions {
		if p.Versions[i].Number == number {
			return &p.Versions[i]
		}
	}
	return nil
}
