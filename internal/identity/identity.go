// Package identity says who a certificate speaks for, and puts that into an X.509 certificate.
//
// The whole information set travels as JSON in one private extension. The subject repeats the name for
// people who look at certificates; nothing is ever decided by the subject.
package identity

import (
	"slices"
	"time"
)

// Kind says which authority may issue the identity: a user's is never accepted where a host's is due.
type Kind string

// The kinds of identity.
const (
	User Kind = "user"
	Host Kind = "host"
)

// Route names the one database that a certificate is for.
type Route struct {
	Service  string `json:"service"`
	Protocol string `json:"protocol"`
	User     string `json:"user,omitempty"`     // default database user
	Database string `json:"database,omitempty"` // default database name
}

// Identity is who a certificate speaks for and what restricts it. Expires and Issued mirror the
// certificate's validity and are not part of the extension.
type Identity struct {
	Kind    Kind   `json:"kind"`
	Cluster string `json:"cluster"`
	Name    string `json:"name"` // user name, or host id (UUIDv4)

	// Hosts.
	SystemRoles []string `json:"system_roles,omitempty"`
	JoinToken   string   `json:"join_token,omitempty"` // hash of the token the host joined with; groups hosts that an administrator let in together

	// Users.
	Roles           []string            `json:"roles,omitempty"`
	Traits          map[string][]string `json:"traits,omitempty"`
	Route           *Route              `json:"route,omitempty"`
	ProxyTerminated bool                `json:"proxy_terminated,omitempty"` // the proxy may end this client's TLS
	ProxySession    bool                `json:"proxy_session,omitempty"`    // issued to a proxy for one connection
	MFADevice       string              `json:"mfa_device,omitempty"`
	LoginIP         string              `json:"login_ip,omitempty"`
	PinnedIP        string              `json:"pinned_ip,omitempty"`
	Impersonator    string              `json:"impersonator,omitempty"`
	DisallowReissue bool                `json:"disallow_reissue,omitempty"`
	Epoch           int                 `json:"epoch,omitempty"`        // of the user's credentials; a certificate of an earlier one is void
	LoginExpires    time.Time           `json:"login_expires,omitzero"` // when the login that everything is derived from ends

	Issued  time.Time `json:"-"`
	Expires time.Time `json:"-"`
}

// HasSystemRole reports whether a host's identity carries the system role. False for users.
func (id *Identity) HasSystemRole(role string) bool {
	return id.Kind == Host && slices.Contains(id.SystemRoles, role)
}

// String names the identity for logs: "user alice" or "host <uuid>".
func (id *Identity) String() string { return string(id.Kind) + " " + id.Name }
