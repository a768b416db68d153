package config

import (
	"cmp"
	"net"
	"net/url"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// DatabaseFlags describe one database on the command line, for `teleport db start` and
// `teleport db configure create`.
type DatabaseFlags struct {
	Name, Description, Protocol, URI string
	CACertFile                       string
	Labels                           string // key=value and key=[period:command], between commas

	AWSRegion, AWSAccountID, AWSAssumeRoleARN, AWSExternalID string
	AWSRedshiftClusterID, AWSRDSInstanceID, AWSRDSClusterID  string
	AWSElastiCacheGroupID, AWSMemoryDBClusterName            string
	AWSSessionTags                                           string
	GCPProjectID, GCPInstanceID                              string
	ADDomain, ADSPN, ADKeytabFile, ADKrb5File                string
}

// Given reports whether the flags describe a database at all.
func (f *DatabaseFlags) Given() bool { return f.Name != "" || f.Protocol != "" || f.URI != "" }

// Complete checks the flags and fills in a missing name from the host of the URI; the note then says so.
func (f *DatabaseFlags) Complete(env Env) (note string, err error) {
	switch {
	case f.Protocol == "" && f.URI == "":
		return "", fault.New(fault.BadParameter, "--protocol and --uri are missing; a database needs both")
	case f.Protocol == "":
		return "", fault.New(fault.BadParameter, "--protocol is missing; use %s", orList(resource.ServedProtocols()))
	case f.URI == "":
		return "", fault.New(fault.BadParameter, "--uri is missing; write the database's host and port, as in --uri=db.example.com:%s", cmp.Or(resource.ProtocolNamed(f.Protocol).UsualPort, "5432"))
	}
	if f.Name == "" {
		f.Name = firstLabel(f.URI)
		note = "The database is named " + f.Name + " after its host; choose another name with --name."
	}
	_, err = f.database(env)
	return note, err
}

// firstLabel returns what the host of the URI begins with.
func firstLabel(uri string) string {
	host := uri
	if parsed, err := url.Parse(uri); err == nil && parsed.Host != "" {
		host, _, _ = strings.Cut(parsed.Host, ",")
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	label, _, _ := strings.Cut(strings.ToLower(host), ".")
	return label
}

// database makes the resource; problems are told by the names of the flags.
func (f *DatabaseFlags) database(env Env) (*resource.Database, error) {
	e, err := f.entry()
	if err != nil {
		return nil, err
	}
	p := &problems{place: flagOf}
	db := e.database(p, "", env)
	return db, p.err()
}

// flagOf returns the flag that sets a key of a database entry.
func flagOf(path string) string {
	path = strings.TrimPrefix(path, ".")
	switch path {
	case "tls.ca_cert_file":
		return "--ca-cert-file"
	case "aws.elasticache.replication_group_id":
		return "--aws-elasticache-group-id"
	case "aws.memorydb.cluster_name":
		return "--aws-memorydb-cluster-name"
	}
	if strings.HasPrefix(path, "static_labels") || strings.HasPrefix(path, "dynamic_labels") {
		return "--labels"
	}
	return "--" + strings.NewReplacer(".", "-", "_", "-").Replace(path)
}

func (f *DatabaseFlags) entry() (*databaseEntry, error) {
	static, dynamic, err := databaseLabels("--labels", f.Labels)
	if err != nil {
		return nil, err
	}
	tags, err := parseLabels("--aws-session-tags", f.AWSSessionTags)
	if err != nil {
		return nil, err
	}
	e := &databaseEntry{
		Name: f.Name, Description: f.Description, Protocol: f.Protocol, URI: f.URI,
		StaticLabels: pairMap(static), DynamicLabels: dynamic, TLS: tlsSection{CACertFile: f.CACertFile},
		AWS: resource.AWS{
			Region: f.AWSRegion, AccountID: f.AWSAccountID, AssumeRoleARN: f.AWSAssumeRoleARN, ExternalID: f.AWSExternalID,
			SessionTags: pairMap(tags),
			Redshift:    resource.Redshift{ClusterID: f.AWSRedshiftClusterID},
			RDS:         resource.RDS{InstanceID: f.AWSRDSInstanceID, ClusterID: f.AWSRDSClusterID},
			ElastiCache: resource.ElastiCache{ReplicationGroupID: f.AWSElastiCacheGroupID},
			MemoryDB:    resource.MemoryDB{ClusterName: f.AWSMemoryDBClusterName},
		},
		GCP: resource.GCP{ProjectID: f.GCPProjectID, InstanceID: f.GCPInstanceID},
	}
	if f.ADDomain != "" || f.ADSPN != "" || f.ADKeytabFile != "" {
		e.AD = resource.ActiveDirectory{Domain: f.ADDomain, SPN: f.ADSPN, KeytabFile: f.ADKeytabFile, Krb5File: f.ADKrb5File}
	}
	return e, nil
}

func pairMap(pairs [][2]string) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		m[pair[0]] = pair[1]
	}
	return m
}
