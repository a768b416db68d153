package audit

import "time"

// CertificateIdentity is what went into a certificate.
type CertificateIdentity struct {
	User           string
	Roles          []string
	Traits         map[string][]string
	Expires        time.Time
	Cluster        string
	ClientIP       string // the address the certificate is pinned to
	MFADeviceUUID  string
	AccessRequests []string
	Route          DatabaseRoute
	DatabaseUsers  []string // the accounts that the roles allow
	DatabaseNames  []string
	Impersonator   string
}

// DatabaseRoute is the one database that a certificate is for; the zero value is none.
type DatabaseRoute struct {
	ServiceName string
	Protocol    string
	Username    string
	Database    string
}

// CertificateCreate says that a certificate was issued to UserMeta.User.
type CertificateCreate struct {
	UserMeta
	ConnectionMeta
	CertType string // user, host, listener, db or db_client
	Identity CertificateIdentity
}

// Type implements Event.
func (*CertificateCreate) Type() string { return "cert.create" }

// Code implements Event.
func (*CertificateCreate) Code() string { return "TC000I" }

func (v *CertificateCreate) appendFields(e *encoder) {
	v.UserMeta.appendTo(e)
	v.ConnectionMeta.appendTo(e)
	e.text("cert_type", v.CertType)
	e.object("identity", func() { v.Identity.appendTo(e) })
}

func (m *CertificateIdentity) appendTo(e *encoder) {
	e.text("user", m.User)
	e.text("impersonator", m.Impersonator)
	e.texts("roles", m.Roles)
	e.time("expires", m.Expires)
	e.text("teleport_cluster", m.Cluster)
	e.text("route_to_cluster", m.Cluster)
	e.text("client_ip", m.ClientIP)
	e.object("route_to_database", func() {
		e.text("service_name", m.Route.ServiceName)
		e.text("protocol", m.Route.Protocol)
		e.text("username", m.Route.Username)
		e.text("database", m.Route.Database)
	})
	e.texts("database_users", m.DatabaseUsers)
	e.texts("database_names", m.DatabaseNames)
	e.text("mfa_device_uuid", m.MFADeviceUUID)
	e.texts("access_requests", m.AccessRequests)
	e.lists("traits", m.Traits)
}
