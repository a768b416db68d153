package audit

import "time"

// JoinTokenChange says that a token for joining the cluster was made, changed or removed. Name is masked
// if it is a secret.
type JoinTokenChange struct {
	UserMeta
	ResourceMeta
	Action      Action
	SystemRoles []string
	JoinMethod  string
}

// Type implements Event.
func (v *JoinTokenChange) Type() string {
	return [...]string{Created: "join_token.create", Updated: "join_token.update", Deleted: "join_token.delete"}[v.Action]
}

// Code implements Event.
func (v *JoinTokenChange) Code() string {
	return [...]string{Created: "TJT00I", Updated: "TJT01I", Deleted: "TJT02I"}[v.Action]
}

func (v *JoinTokenChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	e.texts("roles", v.SystemRoles)
	e.text("join_method", v.JoinMethod)
}

// InstanceJoin says that a host joined the cluster, or tried to.
type InstanceJoin struct {
	ConnectionMeta
	Status
	HostID    string
	NodeName  string
	Role      string
	Method    string
	TokenName string // masked if it is a secret
	// TokenExpires is when the token ends; zero when it does not, or is not known.
	TokenExpires time.Time
	Attributes   map[string]string // what the method proved about the host
}

// Type implements Event.
func (*InstanceJoin) Type() string { return "instance.join" }

// Code implements Event.
func (v *InstanceJoin) Code() string { return v.code("TJ002I", "TJ002E") }

func (v *InstanceJoin) appendFields(e *encoder) {
	v.ConnectionMeta.appendTo(e)
	e.text("host_id", v.HostID)
	e.text("node_name", v.NodeName)
	e.text("role", v.Role)
	e.text("method", v.Method)
	e.text("token_name", v.TokenName)
	e.time("token_expires", v.TokenExpires)
	e.labels("attributes", v.Attributes)
	v.Status.appendTo(e)
}
