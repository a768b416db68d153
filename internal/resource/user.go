package resource

import (
	"strings"
	"time"
	"unicode"

	"sallyport/internal/yamlnode"
)

// User is a person or program that logs in.
type User struct {
	Header
	Spec UserSpec `json:"spec"`
}

// UserSpec is what administrators and the authority write about a user.
type UserSpec struct {
	Roles            Strings     `json:"roles"`
	Traits           Traits      `json:"traits,omitempty"`
	Expires          *time.Time  `json:"expires,omitempty"` // of the account; nil means never
	CreatedBy        *CreatedBy  `json:"created_by,omitempty"`
	Status           LoginStatus `json:"status,omitzero"`
	OIDCIdentities   []Identity  `json:"oidc_identities,omitempty"`
	SAMLIdentities   []Identity  `json:"saml_identities,omitempty"`
	GitHubIdentities []Identity  `json:"github_identities,omitempty"`
	LocalAuth        *LocalAuth  `json:"local_auth,omitempty"`
}

// CreatedBy says who made a user; it survives updates.
type CreatedBy struct {
	Time      time.Time     `json:"time,omitzero"`
	User      CreatedByUser `json:"user,omitzero"`
	Connector *ConnectorRef `json:"connector,omitempty"`
}

// CreatedByUser names the creator.
type CreatedByUser struct {
	Name string `json:"name,omitempty"`
}

// ConnectorRef names the login connector a user came from.
type ConnectorRef struct {
	Type     string `json:"type,omitempty"`
	ID       string `json:"id,omitempty"`
	Identity string `json:"identity,omitempty"`
}

// Identity is a user's name at an identity provider.
type Identity struct {
	ConnectorID string `json:"connector_id"`
	Username    string `json:"username"`
}

// LoginStatus says whether failed logins or an administrator block the user.
type LoginStatus struct {
	IsLocked                   bool       `json:"is_locked"`
	LockedMessage              string     `json:"locked_message,omitempty"`
	LockedTime                 *time.Time `json:"locked_time,omitempty"`
	LockExpires                *time.Time `json:"lock_expires,omitempty"`
	RecoveryAttemptLockExpires *time.Time `json:"recovery_attempt_lock_expires,omitempty"`
}

// LocalAuth holds the password hash and second factors, sealed by the authority. It is a secret.
type LocalAuth struct {
	Sealed []byte `json:"sealed,omitempty"`
}

// String keeps the sealed bytes out of logs.
func (*LocalAuth) String() string { return "[secret]" }

// Validate implements Resource.
func (u *User) Validate() error { return validate(u) }

func (u *User) check(p *problems) {
	checkName(p, "metadata.name", u.Metadata.Name)
	checkUserName(p, u.Metadata.Name)
	if u.Spec.Roles == nil {
		u.Spec.Roles = Strings{}
	}
	for i, role := range u.Spec.Roles {
		checkName(p, yamlnode.IndexPath("spec.roles", i), role)
	}
	for _, trait := range sortedKeys(u.Spec.Traits) {
		path := yamlnode.KeyPath("spec.traits", trait)
		checkPrintable(p, path, trait)
		if trait == "" {
			p.add(path, "a trait needs a name")
		}
		for i, value := range u.Spec.Traits[trait] {
			checkPrintable(p, yamlnode.IndexPath(path, i), value)
			if trait == "db_roles" && value == "*" {
				p.add(yamlnode.IndexPath(path, i), `"*" is not allowed; name the database roles`)
			}
		}
	}
	checkProse(p, "spec.status.locked_message", u.Spec.Status.LockedMessage)
}

// checkUserName refuses names that cannot be given to commands, which take lists of names and flags.
func checkUserName(p *problems, name string) {
	switch {
	case strings.ContainsFunc(strings.TrimSpace(name), unicode.IsSpace) || strings.Contains(name, ","):
		p.add("metadata.name", "must not contain spaces or commas")
	case strings.HasPrefix(name, "-") || strings.Trim(name, ".") == "" && name != "":
		p.add("metadata.name", "must not begin with a hyphen or consist of dots")
	}
}

// CanonicalUserName returns the form under which names that people type are counted and compared
// for lockouts: without surrounding space and in lower case. Names are stored as typed.
func CanonicalUserName(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
