package audit

// LockTarget is what a lock stops: everything that matches all fields that are set.
type LockTarget struct {
	User          string
	Role          string
	MFADevice     string
	AccessRequest string
	ServerID      string
	JoinToken     string // its hash
}

// LockChange says that the lock that ResourceMeta names was set or lifted. The action is Created or Deleted.
type LockChange struct {
	UserMeta
	ResourceMeta
	Action  Action
	Target  LockTarget
	Message string // what locked people read
}

// Type implements Event.
func (v *LockChange) Type() string {
	if v.Action == Deleted {
		return "lock.deleted"
	}
	return "lock.created"
}

// Code implements Event.
func (v *LockChange) Code() string {
	if v.Action == Deleted {
		return "TLK01I"
	}
	return "TLK00I"
}

func (v *LockChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	e.object("target", func() {
		e.text("user", v.Target.User)
		e.text("role", v.Target.Role)
		e.text("mfa_device", v.Target.MFADevice)
		e.text("access_request", v.Target.AccessRequest)
		e.text("server_id", v.Target.ServerID)
		e.text("join_token", v.Target.JoinToken)
	})
	e.text("message", v.Message)
}
