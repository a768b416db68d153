package resource

import (
	"fmt"
	"strings"
	"time"
)

// Lock stops whom it targets: no new certificates, calls or sessions, and running ones end.
type Lock struct {
	Header
	Spec LockSpec `json:"spec"`
}

// LockSpec says whom, why and until when.
type LockSpec struct {
	Target    LockTarget `json:"target"`
	Message   string     `json:"message,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"` // nil means until the lock is removed
	CreatedAt *time.Time `json:"created_at,omitempty"`
	CreatedBy string     `json:"created_by,omitempty"`
}

// LockTarget selects by the fields that are set; all of them must match.
type LockTarget struct {
	User           string `json:"user,omitempty"`
	Role           string `json:"role,omitempty"`
	Login          string `json:"login,omitempty"`
	Node           string `json:"node,omitempty"` // older name of server_id
	MFADevice      string `json:"mfa_device,omitempty"`
	WindowsDesktop string `json:"windows_desktop,omitempty"`
	AccessRequest  string `json:"access_request,omitempty"`
	Device         string `json:"device,omitempty"`
	ServerID       string `json:"server_id,omitempty"`
	BotInstanceID  string `json:"bot_instance_id,omitempty"`
	JoinToken      string `json:"join_token,omitempty"` // stored as its hash: hosts that joined with it
}

// String renders the target as in: User:"bob" Role:"dba".
func (t LockTarget) String() string {
	var parts []string
	for _, f := range []struct{ name, value string }{
		{"User", t.User}, {"Role", t.Role}, {"Login", t.Login}, {"MFADevice", t.MFADevice},
		{"WindowsDesktop", t.WindowsDesktop}, {"AccessRequest", t.AccessRequest}, {"Device", t.Device},
		{"ServerID", t.ServerID}, {"ServerID", t.Node}, {"BotInstanceID", t.BotInstanceID}, {"JoinToken", t.JoinToken},
	} {
		if f.value != "" {
			parts = append(parts, fmt.Sprintf("%s:%q", f.name, f.value))
		}
	}
	return strings.Join(parts, " ")
}

// Validate implements Resource.
func (l *Lock) Validate() error { return validate(l) }

func (l *Lock) check(p *problems) {
	checkName(p, "metadata.name", l.Metadata.Name)
	t := &l.Spec.Target
	if t.ServerID == "" {
		t.ServerID, t.Node = t.Node, ""
	} else if t.Node == t.ServerID {
		t.Node = ""
	}
	if t.Node != "" {
		p.add("spec.target.node", "names another server than server_id; leave it out")
	}
	for _, f := range []struct{ key, value, what string }{
		{"login", t.Login, "logins of operating systems"}, {"windows_desktop", t.WindowsDesktop, "desktops"},
		{"access_request", t.AccessRequest, "access requests"}, {"device", t.Device, "trusted devices"},
		{"bot_instance_id", t.BotInstanceID, "bots"},
	} {
		if f.value != "" { // a lock that stops nobody is worse than none
			p.add("spec.target."+f.key, "this cluster has no %s, so the lock would stop nobody; use user, role, mfa_device, server_id or join_token", f.what)
		}
	}
	if *t == (LockTarget{}) {
		p.add("spec.target", "name at least one target, such as user")
	}
	checkPrintable(p, "spec.target", t.User+t.Role+t.MFADevice+t.ServerID+t.JoinToken)
	checkProse(p, "spec.message", l.Spec.Message)
}
