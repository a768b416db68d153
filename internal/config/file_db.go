package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"regexp"
	"strings"
	"time"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// dbSection is the section "db_service".
type dbSection struct {
	// Enabled: default no.
	Enabled *resource.Bool `yaml:"enabled"`
	// Databases that this process serves in any case.
	Databases []databaseEntry `yaml:"databases"`
	// Resources select databases written with tctl, by their labels; the first that matches a database
	// counts. Default: none.
	Resources []resource.ResourceSelector `yaml:"resources"`
	// AllowDynamicLabelCommands runs the commands of dynamic labels of databases written with tctl on this
	// host, as the daemon's user: whoever may write databases then runs programs here. Default no.
	AllowDynamicLabelCommands resource.Bool `yaml:"allow_dynamic_label_commands"`
	// ManageIAMPolicy has this process allow itself to log in to its databases in AWS: it keeps an inline policy of the
	// role or user by which it reaches them. Whoever may do that can give itself any permission that a boundary does not
	// keep from it. Default no.
	ManageIAMPolicy resource.Bool `yaml:"manage_iam_policy"`
	// AWS says which databases there are found and served by this process alone.
	AWS []awsMatcher `yaml:"aws"`
	// Azure: databases there are not looked for yet.
	Azure []azureMatcher `yaml:"azure"`
}

// databaseEntry is an entry of db_service.databases.
type databaseEntry struct {
	// Name: lower-case letters, digits and hyphens. Required.
	Name string `yaml:"name"`
	// Description is shown in listings.
	Description string `yaml:"description"`
	// Protocol, such as postgres. Required.
	Protocol string `yaml:"protocol"`
	// URI is host:port, or a URI of the protocol. Required.
	URI string `yaml:"uri"`
	// StaticLabels are labels with the values that are written.
	StaticLabels map[string]string `yaml:"static_labels"`
	// DynamicLabels have the output of commands as values.
	DynamicLabels []dynamicLabel `yaml:"dynamic_labels"`
	// TLS says how the database's certificate is verified.
	TLS tlsSection `yaml:"tls"`
	// CACertFile is the older place of tls.ca_cert_file.
	CACertFile string                   `yaml:"ca_cert_file"`
	MySQL      resource.MySQLOptions    `yaml:"mysql"`
	AdminUser  resource.AdminUser       `yaml:"admin_user"`
	Oracle     resource.OracleOptions   `yaml:"oracle"`
	AWS        resource.AWS             `yaml:"aws"`
	GCP        resource.GCP             `yaml:"gcp"`
	Azure      resource.Azure           `yaml:"azure"`
	AD         resource.ActiveDirectory `yaml:"ad"`
	MongoAtlas resource.MongoAtlas      `yaml:"mongo_atlas"`
}

type dynamicLabel struct {
	Name string `yaml:"name"`
	// Command and its arguments; the trimmed output is the label's value.
	Command textList `yaml:"command"`
	// Period between runs, at least 1s.
	Period duration `yaml:"period"`
}

type tlsSection struct {
	// Mode: verify-full, verify-ca (the host's name is not checked) or insecure. Default verify-full.
	Mode resource.TLSMode `yaml:"mode"`
	// ServerName in the database's certificate. Default: the host of uri.
	ServerName string `yaml:"server_name"`
	// CACertFile holds the authority of the database's certificate in PEM.
	CACertFile string `yaml:"ca_cert_file"`
	// TrustSystemCertPool also trusts the authorities of the system. Default no.
	TrustSystemCertPool resource.Bool `yaml:"trust_system_cert_pool"`
}

func (s *dbSection) apply(p *problems, c *Config, env Env) {
	const at = "db_service."
	c.Databases.Enabled = s.Enabled.Enabled(false)
	places := map[string]string{}
	for i := range s.Databases {
		path := indexPath(at+"databases", i)
		db := s.Databases[i].database(p, path, env)
		if before, taken := places[db.GetName()]; taken && db.GetName() != "" {
			p.add(path+".name", "%q is the name of %s already", db.GetName(), before)
		}
		places[db.GetName()] = path
		c.Databases.Static = append(c.Databases.Static, db)
	}
	c.Databases.Selectors = s.Resources
	c.Databases.RunDynamicCommands = bool(s.AllowDynamicLabelCommands)
	c.Databases.ManageIAMPolicy = bool(s.ManageIAMPolicy)
	s.checkSelectors(p)
	for i, m := range s.AWS {
		c.Databases.AWS = append(c.Databases.AWS, m.matcher(p, indexPath(at+"aws", i), awsDatabaseTypes()))
	}
	for i, m := range s.Azure {
		c.Databases.Azure = append(c.Databases.Azure, m.matcher(p, indexPath(at+"azure", i), azureDatabaseTypes()))
	}
	if c.Databases.Enabled && len(s.Azure) > 0 {
		p.warn("db_service.azure", "databases in Azure are not looked for by this version; list them in databases")
	}
}

func (s *dbSection) checkSelectors(p *problems) {
	service := &resource.DatabaseService{Spec: resource.DatabaseServiceSpec{Resources: s.Resources}}
	service.Metadata.Name = "config"
	p.resource(service, resource.KindDatabaseService, func(path string) string {
		return "db_service." + strings.TrimPrefix(path, "spec.")
	})
	for i, selector := range s.Resources {
		path := indexPath("db_service.resources", i)
		if len(selector.Labels) == 0 {
			p.add(path+".labels", `is missing; write "*": "*" for every database`)
		}
		p.role(path+".aws", selector.AWS.AssumeRoleARN, selector.AWS.ExternalID, false)
	}
}

// database makes the resource that the entry stands for.
func (e *databaseEntry) database(p *problems, path string, env Env) *resource.Database {
	db := &resource.Database{Spec: resource.DatabaseSpec{
		Protocol: e.Protocol, URI: e.URI,
		TLS: resource.DatabaseTLS{Mode: e.TLS.Mode, ServerName: e.TLS.ServerName, TrustSystemCertPool: e.TLS.TrustSystemCertPool},
		AWS: e.AWS, GCP: e.GCP, Azure: e.Azure, AD: e.AD, MySQL: e.MySQL, AdminUser: e.AdminUser,
		MongoAtlas: e.MongoAtlas, Oracle: e.Oracle,
	}}
	db.Metadata.Name, db.Metadata.Description = e.Name, e.Description
	db.Metadata.Labels = map[string]string{}
	maps.Copy(db.Metadata.Labels, e.StaticLabels)
	db.Metadata.Labels[resource.LabelOrigin] = resource.OriginConfigFile
	e.readAuthority(p, path, db, env)
	e.readDynamicLabels(p, path, db)
	if role, err := endpoint.ParseRole(e.AWS.AssumeRoleARN); err == nil && db.Spec.AWS.AccountID == "" {
		db.Spec.AWS.AccountID = role.Account
	}
	place := func(inner string) string { return path + "." + entryKey(inner) }
	switch {
	case len(e.Name) > maxStaticName:
		p.add(path+".name", "is longer than %d characters", maxStaticName)
	case e.Name != "" && !staticName.MatchString(e.Name):
		p.add(path+".name", "%q must consist of lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen", e.Name)
	}
	p.resource(db, resource.KindDatabase, place)
	// They describe what is found in AWS, for people.
	p.warnNoEffect(path+".aws.", "rds.subnets", "rds.vpc_id", "rds.security_groups", "elasticache.endpoint_type", "memorydb.endpoint_type",
		"docdb.endpoint_type", "iam_policy_status", "iam_policy_reason")
	return db
}

// staticName is a label of DNS. Names that discovery makes have more freedom.
var staticName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

const maxStaticName = 63

// entryKey maps a path of the resource to the key of the entry.
func entryKey(inner string) string {
	switch {
	case strings.HasPrefix(inner, "metadata.labels"):
		return "static_labels" + strings.TrimPrefix(inner, "metadata.labels")
	case strings.HasPrefix(inner, "metadata."):
		return strings.TrimPrefix(inner, "metadata.")
	case inner == "spec.tls.ca_cert":
		return "tls.ca_cert_file"
	case strings.HasPrefix(inner, "spec.dynamic_labels"):
		return "dynamic_labels"
	default:
		return strings.TrimPrefix(inner, "spec.")
	}
}

func (e *databaseEntry) readAuthority(p *problems, path string, db *resource.Database, env Env) {
	file, at := e.TLS.CACertFile, path+".tls.ca_cert_file"
	if file == "" {
		file, at = e.CACertFile, path+".ca_cert_file"
	} else if e.CACertFile != "" {
		p.add(path+".ca_cert_file", "is the older form of tls.ca_cert_file; keep one of the two")
	}
	if file == "" {
		return
	}
	data, err := env.ReadFile(file)
	if err != nil {
		p.add(at, "the file %s cannot be read: %s", file, fault.Reason(err))
		return
	}
	if err := checkCertificates(data); err != nil {
		p.add(at, "the file %s %s", file, err)
		return
	}
	db.Spec.TLS.CACert = string(data)
}

// checkCertificates refuses a file that does not hold certificates in PEM.
func checkCertificates(data []byte) error {
	found := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return errors.New("holds a private key; it must hold certificates only")
		case block.Type != "CERTIFICATE":
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return errors.New("holds a certificate that cannot be read")
		}
		found = true
	}
	if !found {
		return errors.New("holds no certificate in PEM")
	}
	return nil
}

func (e *databaseEntry) readDynamicLabels(p *problems, path string, db *resource.Database) {
	for i, label := range e.DynamicLabels {
		at := indexPath(path+".dynamic_labels", i)
		switch _, taken := db.Spec.DynamicLabels[label.Name]; {
		case label.Name == "":
			p.add(at+".name", "is missing")
			continue
		case taken:
			p.add(at+".name", "%q is the name of another label", label.Name)
			continue
		case len(label.Command) == 0:
			p.add(at+".command", "is missing")
			continue
		case time.Duration(label.Period) < time.Second:
			p.add(at+".period", "must be at least 1s")
			continue
		}
		if db.Spec.DynamicLabels == nil {
			db.Spec.DynamicLabels = resource.DynamicLabels{}
		}
		db.Spec.DynamicLabels[label.Name] = resource.DynamicLabel{
			Period: resource.Duration(label.Period), Command: resource.Strings(label.Command)}
	}
}

// role checks the role that is assumed for a selector or a matcher. An external id can do without one
// where it is sent when the role of a database user is assumed.
func (p *problems) role(path, arn, externalID string, usersAreRoles bool) {
	if arn != "" {
		if _, err := endpoint.ParseRole(arn); err != nil {
			p.add(path+".assume_role_arn", "%s", err)
		}
	}
	if arn == "" && externalID != "" && !usersAreRoles {
		p.add(path+".external_id", "is used with assume_role_arn only")
	}
}
