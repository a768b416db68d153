package audit

// JoinTokenCreate says that a token for joining the cluster was made. Name is masked if it is a secret.
type JoinTokenCreate struct {
	UserMeta
	ResourceMeta
	SystemRoles []string
	JoinMethod  string
}

// Type implements Event.
func (*JoinTokenCreate) Type() string { return "join_token.create" }

// Code implements Event.
func (*JoinTokenCreate) Code() string { return "TJT00I" }

func (v *JoinTokenCreate) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	e.texts("roles", v.SystemRoles)
	e.text("join_method", v.JoinMethod)
}

// InstanceJoin says that a host joined the cluster, or tried to.
type InstanceJoin struct {
	ConnectionMeta
	Status
	HostID     string
	NodeName   string
	Role       string
	Method     string
	TokenName  string            // masked if it is a secret
	Attributes map[string]string // what the method proved about the host
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
	e.labels("attributes", v.Attributes)
	v.Status.appendTo(e)
}
