package audit

// DatabaseChange is a change of a dynamic database resource.
type DatabaseChange struct {
	UserMeta
	ResourceMeta
	DatabaseMeta // printed unless the database was deleted
	Action       Action
	Labels       map[string]string
	AWSRegion    string
}

// Type implements Event.
func (v *DatabaseChange) Type() string {
	return [...]string{Created: "db.create", Updated: "db.update", Deleted: "db.delete"}[v.Action]
}

// Code implements Event.
func (v *DatabaseChange) Code() string {
	return [...]string{Created: "TDB03I", Updated: "TDB04I", Deleted: "TDB05I"}[v.Action]
}

func (v *DatabaseChange) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ResourceMeta.appendTo(e)
	if v.Action == Deleted {
		return
	}
	v.DatabaseMeta.appendTo(e)
	e.labels("db_labels", v.Labels)
	e.text("db_aws_region", v.AWSRegion)
}
