package audit

// RoleChange is a change of the role that ResourceMeta names.
type RoleChange struct {
	UserMeta
	ResourceMeta
	Action Action
}

// Type implements Event.
func (v *RoleChange) Type() string {
	return [...]string{Created: "role.created", Updated: "role.updated", Deleted: "role.deleted"}[v.Action]
}

// Code implements Event.
func (v *RoleChange) Code() string {
	return [...]string{Created: "T9000I", Updated: "T9002I", Deleted: "T9001I"}[v.Action]
}

func (v *RoleChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
}
