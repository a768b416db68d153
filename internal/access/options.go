package access

import (
	"time"

	"sallyport/internal/resource"
)

// Defaults are the cluster's settings that roles may tighten.
type Defaults struct {
	ClientIdleTimeout     time.Duration // 0 means none
	DisconnectExpiredCert bool
	LockingMode           string // resource.Strict or resource.BestEffort
	RequireMFA            bool
}

// DefaultsOf collects the cluster's settings. Either argument may be nil.
func DefaultsOf(auth *resource.AuthPreference, network *resource.NetworkingConfig) Defaults {
	d := Defaults{LockingMode: resource.BestEffort}
	if auth != nil {
		d.DisconnectExpiredCert = bool(auth.Spec.DisconnectExpiredCert)
		d.LockingMode = auth.Spec.LockingMode
		d.RequireMFA = auth.Spec.RequireSessionMFA.Required()
	}
	if network != nil {
		d.ClientIdleTimeout = network.Spec.ClientIdleTimeout.Std()
	}
	return d
}

// SessionOptions are the options of all roles combined, the strictest of each.
type SessionOptions struct {
	MaxSessionTTL           time.Duration // of certificates
	ClientIdleTimeout       time.Duration // 0 means none
	DisconnectExpiredCert   bool
	PinSourceIP             bool
	LockingMode             string        // resource.Strict or resource.BestEffort
	RequireMFA              bool          // some role or the cluster asks; Check says whether it applies to a database
	MFAVerificationInterval time.Duration // 0 means none
	MaxConnections          int           // 0 means no limit
	MaxSessions             int           // 0 means no limit
	RecordingMode           string        // resource.Strict ends a session that cannot be recorded
	RecordProtocol          bool          // the protocol's own messages are recorded, not only statements
	LocalInfile             bool          // LOAD DATA LOCAL of MySQL may read files of the client: a role says so, and none says no
}

// Options combines the options of roles with the cluster's settings.
func Options(roles []*resource.Role, cluster Defaults) SessionOptions {
	out := SessionOptions{
		MaxSessionTTL:         resource.DefaultMaxSessionTTL,
		ClientIdleTimeout:     cluster.ClientIdleTimeout,
		DisconnectExpiredCert: cluster.DisconnectExpiredCert,
		LockingMode:           stricter("", cluster.LockingMode),
		RequireMFA:            cluster.RequireMFA,
		RecordingMode:         resource.BestEffort,
	}
	ttl := time.Duration(0)
	noLocalInfile := false
	for _, role := range roles {
		o := &role.Spec.Options
		roleTTL := o.MaxSessionTTL.Std()
		if roleTTL <= 0 {
			roleTTL = resource.DefaultMaxSessionTTL
		}
		ttl = lowest(ttl, roleTTL)
		out.ClientIdleTimeout = lowest(out.ClientIdleTimeout, o.ClientIdleTimeout.Std())
		out.MFAVerificationInterval = lowest(out.MFAVerificationInterval, o.MFAVerificationInterval.Std())
		out.MaxConnections = lowest(out.MaxConnections, o.MaxConnections)
		out.MaxSessions = lowest(out.MaxSessions, o.MaxSessions)
		out.DisconnectExpiredCert = out.DisconnectExpiredCert || bool(o.DisconnectExpiredCert)
		out.PinSourceIP = out.PinSourceIP || bool(o.PinSourceIP)
		out.RequireMFA = out.RequireMFA || o.RequireSessionMFA.Required()
		out.LockingMode = stricter(out.LockingMode, o.Lock)
		if o.MySQLLocalInfile != nil {
			out.LocalInfile = out.LocalInfile || bool(*o.MySQLLocalInfile)
			noLocalInfile = noLocalInfile || !bool(*o.MySQLLocalInfile)
		}
		if o.RecordSession != nil {
			out.RecordingMode = stricter(out.RecordingMode, o.RecordSession.Default)
			out.RecordProtocol = out.RecordProtocol || bool(o.RecordSession.DatabaseProtocol)
		}
	}
	out.LocalInfile = out.LocalInfile && !noLocalInfile
	if ttl > 0 {
		out.MaxSessionTTL = ttl
	}
	return out
}

// lowest returns the smaller of two limits, where 0 and less mean no limit.
func lowest[T time.Duration | int](a, b T) T {
	switch {
	case a <= 0:
		return max(b, 0)
	case b <= 0:
		return a
	default:
		return min(a, b)
	}
}

func stricter(a, b string) string {
	if a == resource.Strict || b == resource.Strict {
		return resource.Strict
	}
	return resource.BestEffort
}
