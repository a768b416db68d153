package audit

// DatabaseHealth says that a database can no longer be reached from an agent, or can again. Success is whether it is healthy
// now; Error is what the checks ran into.
type DatabaseHealth struct {
	DatabaseMeta
	ServerMeta // the agent
	Status
	Address  string // that was checked, host:port, several separated by commas
	Protocol string // of the check: TCP or TLS
	Health   string // healthy, unhealthy
	Was      string // what it was before
	Reason   string // see resource.TargetHealth
}

// Type implements Event.
func (*DatabaseHealth) Type() string { return "db.health" }

// Code implements Event.
func (v *DatabaseHealth) Code() string { return v.code("SDB02I", "SDB02W") }

func (v *DatabaseHealth) appendFields(e *encoder) {
	v.DatabaseMeta.appendTo(e)
	v.ServerMeta.appendTo(e)
	e.text("health", v.Health)
	e.text("health_before", v.Was)
	e.text("health_reason", v.Reason)
	e.text("check_address", v.Address)
	e.text("check_protocol", v.Protocol)
	v.Status.appendTo(e)
}

// HealthCheckConfigChange is a change of what databases are checked, and how.
type HealthCheckConfigChange struct {
	UserMeta
	ResourceMeta
	Action Action
}

// Type implements Event.
func (v *HealthCheckConfigChange) Type() string {
	return [...]string{Created: "health_check_config.create", Updated: "health_check_config.update", Deleted: "health_check_config.delete"}[v.Action]
}

// Code implements Event.
func (v *HealthCheckConfigChange) Code() string {
	return [...]string{Created: "THC00I", Updated: "THC01I", Deleted: "THC02I"}[v.Action]
}

func (v *HealthCheckConfigChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
}
