package resource

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport/internal/yamlnode"
)

// Labels written by the cluster.
const (
	LabelOrigin       = "teleport.dev/origin"
	LabelResourceType = "teleport.internal/resource-type"
	LabelDiscovered   = "teleport.internal/discovered-name"

	LabelDiscoveryType   = "teleport.dev/discovery-type"             // type of the matcher, such as rds
	LabelDiscoveryGroup  = "teleport.internal/discovery-group-name"  // absent without a group
	LabelDiscoveryConfig = "teleport.internal/discovery-config-name" // absent for a service's own file

	OriginDynamic    = "dynamic"     // written through the API
	OriginConfigFile = "config-file" // written in a service's file
	OriginCloud      = "cloud"       // found by discovery
	OriginDefaults   = "defaults"    // settings nobody wrote
)

// Database is a database that users can reach.
type Database struct {
	Header
	Spec   DatabaseSpec   `json:"spec"`
	Status DatabaseStatus `json:"status,omitzero"`
}

// DatabaseSpec says where the database is and how to log in to it.
type DatabaseSpec struct {
	Protocol      string          `json:"protocol"`
	URI           string          `json:"uri"`
	CACert        string          `json:"ca_cert,omitempty"` // older place of tls.ca_cert
	DynamicLabels DynamicLabels   `json:"dynamic_labels,omitempty"`
	TLS           DatabaseTLS     `json:"tls,omitzero"`
	AWS           AWS             `json:"aws,omitzero"`
	GCP           GCP             `json:"gcp,omitzero"`
	Azure         Azure           `json:"azure,omitzero"`
	AD            ActiveDirectory `json:"ad,omitzero"`
	MySQL         MySQLOptions    `json:"mysql,omitzero"`
	AdminUser     AdminUser       `json:"admin_user,omitzero"`
	MongoAtlas    MongoAtlas      `json:"mongo_atlas,omitzero"`
	Oracle        OracleOptions   `json:"oracle,omitzero"`
}

// DatabaseStatus is what the serving agent found out. Writers other than agents cannot set it.
type DatabaseStatus struct {
	CACert       string       `json:"ca_cert,omitempty"`
	AWS          AWS          `json:"aws,omitzero"`
	Azure        Azure        `json:"azure,omitzero"`
	MySQL        MySQLOptions `json:"mysql,omitzero"`
	ManagedUsers Strings      `json:"managed_users,omitempty"`
}

// DatabaseTLS says how the agent checks the database's certificate.
type DatabaseTLS struct {
	Mode                TLSMode `json:"mode,omitempty"`
	CACert              string  `json:"ca_cert,omitempty"`     // PEM
	ServerName          string  `json:"server_name,omitempty"` // default: the host of the URI
	TrustSystemCertPool Bool    `json:"trust_system_cert_pool,omitempty"`
}

// TLSMode is how much of the certificate is checked.
type TLSMode string

// Modes of TLSMode, in the order of the numbers that stand for them in older files.
const (
	TLSVerifyFull TLSMode = "verify-full"
	TLSVerifyCA   TLSMode = "verify-ca"
	TLSInsecure   TLSMode = "insecure"
)

// UnmarshalJSON accepts the names and the numbers 0, 1 and 2.
func (m *TLSMode) UnmarshalJSON(data []byte) error {
	name, err := enumName(data, string(TLSVerifyFull), string(TLSVerifyCA), string(TLSInsecure))
	*m = TLSMode(name)
	return err
}

// MySQLOptions are settings of MySQL databases.
type MySQLOptions struct {
	// ServerVersion is what clients are greeted with. Default: the database's own, once it was seen.
	ServerVersion string `json:"server_version,omitempty"`
}

// AdminUser is the database account that manages the accounts of users.
type AdminUser struct {
	Name            string `json:"name,omitempty"`
	DefaultDatabase string `json:"default_database,omitempty"`
}

// MongoAtlas names the Atlas cluster.
type MongoAtlas struct {
	Name string `json:"name,omitempty"`
}

// OracleOptions are settings of Oracle databases.
type OracleOptions struct {
	AuditUser string `json:"audit_user,omitempty"`
}

// ActiveDirectory holds what is needed to log in to SQL Server with Kerberos.
type ActiveDirectory struct {
	KeytabFile  string `json:"keytab_file,omitempty"`
	Krb5File    string `json:"krb5_file,omitempty"`
	Domain      string `json:"domain,omitempty"`
	SPN         string `json:"spn,omitempty"`
	LDAPCert    string `json:"ldap_cert,omitempty"`
	KDCHostName string `json:"kdc_host_name,omitempty"`
}

// AllLabels returns the static labels and the last results of the dynamic ones. A static label wins,
// so that a command's output cannot replace what an administrator wrote.
func (d *Database) AllLabels() map[string]string {
	all := make(map[string]string, len(d.Metadata.Labels)+len(d.Spec.DynamicLabels))
	for name, label := range d.Spec.DynamicLabels {
		if label.Result != "" {
			all[name] = label.Result
		}
	}
	maps.Copy(all, d.Metadata.Labels)
	return all
}

// Origin returns who made the database known, one of the Origin constants, or "".
func (d *Database) Origin() string { return d.Metadata.Labels[LabelOrigin] }

// Validate implements Resource. It also fills in what an endpoint of AWS says about itself: the region,
// ids, and for Redshift Serverless the account.
func (d *Database) Validate() error { return validate(d) }

// ShownURI is the address as lists show it: with a word on a server that anybody can stand in for.
func (d *Database) ShownURI() string {
	switch d.Spec.TLS.Mode {
	case TLSInsecure:
		return d.Spec.URI + " (certificate not verified)"
	case TLSVerifyCA:
		return d.Spec.URI + " (name not verified)"
	default:
		return d.Spec.URI
	}
}

var databaseName = regexp.MustCompile(`^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$`)

// maxDatabaseName leaves room for what clients append to names of files. Names are longer than DNS
// labels: discovery makes them from an id of up to 63 characters, the endpoint, the type, the region and
// the account. On the wire a name is represented by a hash.
const maxDatabaseName = 200

// IsDatabaseName reports whether a database can have the name.
func IsDatabaseName(name string) bool {
	return len(name) <= maxDatabaseName && databaseName.MatchString(name)
}

func (d *Database) check(p *problems) {
	name := d.Metadata.Name
	switch {
	case name == "":
		p.add("metadata.name", "is missing")
	case len(name) > maxDatabaseName:
		p.add("metadata.name", "is longer than %d characters", maxDatabaseName)
	case !databaseName.MatchString(name):
		p.add("metadata.name", "%q must consist of letters, digits and hyphens, begin with a letter and not end with a hyphen", name)
	}
	s := &d.Spec
	s.checkAWS(p)
	if s.Protocol == "" {
		p.add("spec.protocol", "is missing; use %s", yamlnode.AnyOf(ServedProtocols()))
	} else if !slices.Contains(Protocols(), s.Protocol) {
		p.add("spec.protocol", "%q is not known; use %s", s.Protocol, yamlnode.AnyOf(ServedProtocols()))
	} else {
		if !Served(s.Protocol) {
			p.warn("spec.protocol", "is %s, which this version cannot serve: the database is listed only. Served are %s", s.Protocol, strings.Join(ServedProtocols(), ", "))
		}
		if err := s.checkURI(); err != nil {
			p.add("spec.uri", "%s", err)
		}
	}
	if s.TLS.Mode == "" {
		s.TLS.Mode = TLSVerifyFull
	}
	checkOneOf(p, "spec.tls.mode", string(s.TLS.Mode), string(TLSVerifyFull), string(TLSVerifyCA), string(TLSInsecure))
	if s.TLS.CACert == "" {
		s.TLS.CACert, s.CACert = s.CACert, ""
	}
	checkPrintable(p, "spec.admin_user.name", s.AdminUser.Name)
	s.warn(p)
	for _, name := range sortedKeys(s.DynamicLabels) {
		label, path := s.DynamicLabels[name], yamlnode.KeyPath("spec.dynamic_labels", name)
		if len(label.Command) == 0 {
			p.add(path+".command", "is missing")
		}
		if label.Period.Std() < time.Second {
			p.add(path+".period", "must be at least 1s")
		}
		checkPrintable(p, path, name+label.Result)
	}
}

// warn tells what makes the database less safe, or has no effect.
func (s *DatabaseSpec) warn(p *problems) {
	switch s.TLS.Mode {
	case TLSInsecure:
		p.warn("spec.tls.mode", "is insecure: the database's certificate is not verified, so that whoever is on the way can stand in for it; give its authority in ca_cert_file and use verify-full")
	case TLSVerifyCA:
		p.warn("spec.tls.mode", "is verify-ca: the name in the database's certificate is not verified, so that every server of the same authority can stand in for it; use verify-full, with server_name if need be")
	}
	for _, one := range []struct {
		key    string
		unused bool
	}{
		{"admin_user", s.AdminUser != AdminUser{}},
		{"gcp", s.GCP != GCP{}},
		{"azure", s.Azure != Azure{}},
		{"ad", s.AD != ActiveDirectory{}},
		{"mongo_atlas", s.MongoAtlas != MongoAtlas{}},
		{"oracle", s.Oracle != OracleOptions{}},
	} {
		if one.unused {
			p.warn("spec."+one.key, noEffect)
		}
	}
}
