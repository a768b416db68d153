package fakeaws

import (
	"maps"
	"time"

	"sallyport/internal/aws/fakeaws/iam"
)

// Keys are credentials as a client is configured with them.
type Keys struct {
	AccessKeyID, SecretAccessKey string
	SessionToken                 string    // "" for long-lived keys
	Expires                      time.Time // zero for long-lived keys
}

// credential is what this world knows of a pair of keys.
type credential struct {
	Keys
	principal Principal
}

// Principal is who makes a call. Exactly one of Root, User and Role is set, none of them for an anonymous call.
type Principal struct {
	Account     *Account
	Root        bool
	User        *User
	Role        *Role // with SessionName
	SessionName string
	SessionTags map[string]string
	transitive  []string     // keys of session tags that the next session inherits
	session     []iam.Source // session policies
	issued      time.Time
}

// ARN is the one that GetCallerIdentity tells.
func (p Principal) ARN() string {
	switch {
	case p.User != nil:
		return p.User.ARN()
	case p.Role != nil: // without the role's path
		return p.Account.arn("sts", "", "assumed-role/"+p.Role.Name+"/"+p.SessionName)
	case p.Root:
		return p.Account.RootARN()
	}
	return ""
}

// UserID is the unique id that GetCallerIdentity tells.
func (p Principal) UserID() string {
	switch {
	case p.User != nil:
		return p.User.ID
	case p.Role != nil:
		return p.Role.ID + ":" + p.SessionName
	case p.Root:
		return p.Account.ID
	}
	return ""
}

// kind is the value of aws:PrincipalType.
func (p Principal) kind() string {
	switch {
	case p.User != nil:
		return "User"
	case p.Role != nil:
		return "AssumedRole"
	case p.Root:
		return "Account"
	}
	return "Anonymous"
}

// tags are those of the user or role, overlaid by those of the session.
func (p Principal) tags() map[string]string {
	tags := map[string]string{}
	switch {
	case p.User != nil:
		maps.Copy(tags, p.User.Tags)
	case p.Role != nil:
		maps.Copy(tags, p.Role.Tags)
	}
	maps.Copy(tags, p.SessionTags)
	return tags
}

// CreateKeys makes a long-lived access key of a user.
func (u *User) CreateKeys() Keys {
	w := u.account.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.issue(Principal{Account: u.account, User: u}, "AKIA", time.Time{}).Keys
}

// CreateRootKeys makes a long-lived access key of the account's root.
func (a *Account) CreateRootKeys() Keys {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return a.world.issue(Principal{Account: a, Root: true}, "AKIA", time.Time{}).Keys
}

// Session makes temporary keys of a role as the instance metadata and container agents hand them out: no trust policy is
// asked.
func (r *Role) Session(name string, lifetime time.Duration) Keys {
	w := r.account.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.session(name, lifetime).Keys
}

func (r *Role) session(name string, lifetime time.Duration) *credential {
	w := r.account.world
	return w.issue(Principal{Account: r.account, Role: r, SessionName: name}, "ASIA", w.Now().Add(lifetime))
}

// Revoke makes keys unknown.
func (w *World) Revoke(accessKeyID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.credentials, accessKeyID)
}

func (w *World) issue(p Principal, prefix string, expires time.Time) *credential {
	p.issued = w.Now()
	c := &credential{principal: p, Keys: Keys{AccessKeyID: w.id(prefix)[:20], SecretAccessKey: w.secretKey(), Expires: expires}}
	if !expires.IsZero() {
		c.SessionToken = w.sessionToken()
	}
	w.credentials[c.AccessKeyID] = c
	return c
}
