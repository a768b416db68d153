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
