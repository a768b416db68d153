// Package redisusers is what users of ElastiCache and of MemoryDB have in common: at most two passwords, and changes that take time.
package redisusers

import (
	"slices"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
)

// The ways a user authenticates.
const (
	IAM        = "iam"
	Password   = "password"
	NoPassword = "no-password"
)

// Access is how a user authenticates, now and after a change that is on its way.
type Access struct {
	Type      string   `json:"type"` // default password if there are Passwords, otherwise iam
	Passwords []string `json:"passwords"`

	next  *Access
	until time.Time
}

// Change makes next valid after a delay; until then only what is valid now is accepted.
func (a *Access) Change(now time.Time, delay time.Duration, next Access) {
	*a = Access{Type: a.Type, Passwords: a.Passwords, next: &next, until: now.Add(delay)}
	a.Settle(now)
}

// Settle carries a change out whose time has come, and says whether another is still on its way.
func (a *Access) Settle(now time.Time) (changing bool) {
	if a.next == nil {
		return false
	}
	if now.Before(a.until) {
		return true
	}
	*a = *a.next
	return false
}

// Accepts says whether a password opens now.
func (a *Access) Accepts(now time.Time, password string) bool {
	a.Settle(now)
	return a.Type == NoPassword || a.Type == Password && slices.Contains(a.Passwords, password)
}

// Account is what servers know of who authenticates so, and has the rules.
func (a *Access) Account(now time.Time, rules string) fakeaws.RedisAccount {
	a.Settle(now)
	return fakeaws.RedisAccount{Rules: rules, IAM: a.Type == IAM, Passwords: slices.Clone(a.Passwords), NoPassword: a.Type == NoPassword}
}

// Default is the account that everybody is in a database without groups of users or ACL, or with those that AWS makes: it
// may do everything and needs no password.
var Default = fakeaws.RedisAccount{Rules: "on ~* +@all", NoPassword: true}

// Complete fills in what was left open.
func (a *Access) Complete() {
	if a.Type == "" {
		a.Type = IAM
		if len(a.Passwords) > 0 {
			a.Type = Password
		}
	}
}

// Fields describe it without telling the passwords.
func (a *Access) Fields() wire.Fields {
	return wire.Of("Type", a.Type, "PasswordCount", len(a.Passwords))
}

// Read reads what a call asks for: an AuthenticationMode, or passwords and "no password" by themselves (ElastiCache only).
// Without any of them ok is false.
func Read(c *fakeaws.Call) (next Access, ok bool, err error) {
	mode := c.Params.At("AuthenticationMode")
	next = Access{Type: mode.String("Type"), Passwords: mode.Strings("Passwords")}
	if next.Type == "no-password-required" {
		next.Type = NoPassword
	}
	given := c.Params.Strings("Passwords")
	switch {
	case c.Params.Has("AuthenticationMode") && (len(given) > 0 || c.Params.Bool("NoPasswordRequired")):
		return next, false, wire.Errorf("InvalidParameterCombination", "AuthenticationMode cannot be combined with Passwords or NoPasswordRequired")
	case c.Params.Has("AuthenticationMode"):
	case c.Params.Bool("NoPasswordRequired") && len(given) > 0:
		return next, false, wire.Errorf("InvalidParameterCombination", "Passwords cannot be given to a user that needs none")
	case c.Params.Bool("NoPasswordRequired"):
		next = Access{Type: NoPassword}
	case len(given) > 0:
		next = Access{Type: Password, Passwords: given}
	default:
		return next, false, nil
	}
	switch next.Type {
	case IAM, NoPassword:
		if len(next.Passwords) > 0 {
			return next, false, wire.Errorf("InvalidParameterCombination", "Passwords cannot be given for authentication type %s", next.Type)
		}
	case Password:
		if n := len(next.Passwords); n < 1 || n > 2 {
			return next, false, wire.Errorf("InvalidParameterValue", "A user has one or two passwords, not %d", n)
		}
	default:
		return next, false, wire.Errorf("InvalidParameterValue", "Invalid authentication type: %s", next.Type)
	}
	for _, password := range next.Passwords {
		if len(password) < 16 || len(password) > 128 {
			return next, false, wire.Errorf("InvalidParameterValue", "Passwords length must be between 16-128 characters.")
		}
		c.Secret(password)
	}
	return next, true, nil
}
