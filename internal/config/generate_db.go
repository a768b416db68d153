package config

import (
	"strings"
	"time"

	"sallyport/internal/resource"
)

// DatabaseFile is what `teleport db configure create` was asked for.
type DatabaseFile struct {
	Nodename string
	DataDir  string // default DefaultDataDir
	Proxy    string // address of the proxy
	Token    string // value, or absolute path of a file that need not exist yet
	CAPins   []string
	Database DatabaseFlags // at most one; see DatabaseFlags.Given

	// Regions to look in, by type of database; entries may hold several between commas.
	AWSDiscovery   map[string][]string
	AWSTags        string
	AzureDiscovery map[string][]string
	// Subscriptions and resource groups to look in; none means all.
	AzureSubscriptions, AzureResourceGroups []string
	AzureTags                               string
	// DynamicLabels select databases written with tctl; each entry is one selector.
	DynamicLabels []string
}

// GenerateDatabase returns a file for a Database Service. The note, if any, is for the person at the
// terminal. Certificates that the flags name must exist; tokens need not.
func GenerateDatabase(f DatabaseFile, env Env) (text []byte, note string, err error) {
	p := &problems{place: func(path string) string { return path }}
	proxy := p.server("--proxy", f.Proxy, defaultProxyPort)
	for _, pin := range f.CAPins {
		if problem := checkPin(pin); problem != "" {
			p.add("--ca-pin", "%s", problem)
		}
	}
	if err := p.err(); err != nil {
		return nil, "", err
	}
	if f.DataDir == "" {
		f.DataDir = DefaultDataDir
	}
	y := &yamlText{}
	y.comment(0, databaseFileHead)
	y.line(0, "version: v3")
	y.line(0, "teleport:")
	y.pair(1, "nodename", f.Nodename)
	y.pair(1, "data_dir", f.DataDir)
	y.comment(1, "The proxy through which this process joins the cluster and serves users.")
	y.pair(1, "proxy_server", proxy)
	y.join(f.Token)
	y.list(1, "ca_pin", f.CAPins)
	y.line(0, "db_service:")
	y.line(1, `enabled: "yes"`)
	if err := y.selectors(f.DynamicLabels); err != nil {
		return nil, "", err
	}
	if err := y.discovery(f); err != nil {
		return nil, "", err
	}
	if note, err = y.databases(f.Database, env); err != nil {
		return nil, "", err
	}
	for _, section := range []string{"auth_service", "ssh_service", "proxy_service"} {
		y.line(0, "%s:", section)
		y.line(1, `enabled: "no"`)
	}
	return []byte(y.b.String()), note, nil
}

const databaseFileHead = `
A process that serves databases to the users of a cluster.
Check the file after changes with: teleport configure --test FILE`

func (y *yamlText) join(token string) {
	if token == "" {
		return
	}
	y.line(1, "join_params:")
	y.line(2, `join_method: "token"`)
	y.comment(2, "The token itself, or the absolute path of a file that holds it until the first start.")
	y.pair(2, "token_name", token)
}

const selectorsExample = `
Databases that administrators write with "tctl create" are served when their labels match:
resources:
- labels:
    "env": "dev"`

func (y *yamlText) selectors(entries []string) error {
	if len(entries) == 0 {
		y.comment(1, selectorsExample)
		return nil
	}
	y.comment(1, `Databases that administrators write with "tctl create" are served when their labels match.`)
	y.line(1, "resources:")
	for _, entry := range entries {
		labels, err := labelSelector("--dynamic-resources-labels", entry)
		if err != nil {
			return err
		}
		y.labels(1, "- labels", labels)
	}
	return nil
}

// labelSelector reads "k=v,k2=v2"; values of a repeated key are alternatives.
func labelSelector(flag, text string) (resource.Labels, error) {
	pairs, err := parseLabels(flag, text)
	if err != nil {
		return nil, err
	}
	if len(pairs) == 0 {
		return resource.Labels{"*": {"*"}}, nil
	}
	labels := resource.Labels{}
	for _, pair := range pairs {
		labels[pair[0]] = append(labels[pair[0]], pair[1])
	}
	return labels, nil
}

func splitList(entries []string) []string {
	var list []string
	for _, entry := range entries {
		for item := range strings.SplitSeq(entry, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

func (y *yamlText) databases(f DatabaseFlags, env Env) (note string, err error) {
	if !f.Given() {
		y.comment(1, databasesExample)
		return "", nil
	}
	if note, err = f.Complete(env); err != nil {
		return "", err
	}
	static, dynamic, err := databaseLabels("--labels", f.Labels)
	if err != nil {
		return "", err
	}
	y.line(1, "databases:")
	y.pair(1, "- name", f.Name)
	y.pair(2, "description", f.Description)
	y.pair(2, "protocol", f.Protocol)
	y.pair(2, "uri", f.URI)
	if len(static) > 0 {
		y.line(2, "static_labels:")
	}
	for _, pair := range static {
		y.line(3, "%s: %s", quote(pair[0]), quote(pair[1]))
	}
	if len(dynamic) > 0 {
		y.line(2, "dynamic_labels:")
	}
	for _, label := range dynamic {
		y.pair(2, "- name", label.Name)
		y.pair(3, "period", time.Duration(label.Period).String())
		y.list(3, "command", label.Command)
	}
	y.group(2, "tls", [2]string{"ca_cert_file", f.CACertFile})
	y.databaseClouds(f)
	return note, nil
}

func (y *yamlText) databaseClouds(f DatabaseFlags) {
	tags, _ := parseLabels("--aws-session-tags", f.AWSSessionTags) // checked by Complete
	aws := &yamlText{}
	for _, pair := range [][2]string{{"region", f.AWSRegion}, {"account_id", f.AWSAccountID},
		{"assume_role_arn", f.AWSAssumeRoleARN}, {"external_id", f.AWSExternalID}} {
		aws.pair(3, pair[0], pair[1])
	}
	if len(tags) > 0 {
		aws.line(3, "session_tags:")
	}
	for _, pair := range tags {
		aws.line(4, "%s: %s", quote(pair[0]), quote(pair[1]))
	}
	aws.group(3, "redshift", [2]string{"cluster_id", f.AWSRedshiftClusterID})
	aws.group(3, "rds", [2]string{"instance_id", f.AWSRDSInstanceID}, [2]string{"cluster_id", f.AWSRDSClusterID})
	aws.group(3, "elasticache", [2]string{"replication_group_id", f.AWSElastiCacheGroupID})
	aws.group(3, "memorydb", [2]string{"cluster_name", f.AWSMemoryDBClusterName})
	if aws.b.Len() > 0 {
		y.line(2, "aws:")
		y.b.WriteString(aws.b.String())
	}
	y.group(2, "gcp", [2]string{"project_id", f.GCPProjectID}, [2]string{"instance_id", f.GCPInstanceID})
	if f.ADDomain != "" || f.ADSPN != "" || f.ADKeytabFile != "" {
		if f.ADKrb5File == "" {
			f.ADKrb5File = "/etc/krb5.conf"
		}
		y.group(2, "ad", [2]string{"keytab_file", f.ADKeytabFile}, [2]string{"domain", f.ADDomain},
			[2]string{"spn", f.ADSPN}, [2]string{"krb5_file", f.ADKrb5File})
	}
}

const databasesExample = `
Databases that this process serves in any case. Take away the number signs in front of one and change it:
databases:

# A server of your own:
- name: "orders"
  description: "Orders of the web shop"
  protocol: "postgres"
  uri: "orders.internal.example.com:5432"
  static_labels:
    "env": "prod"
  tls:
    ca_cert_file: "/etc/ssl/orders-ca.pem"

# RDS in AWS:
- name: "rds"
  protocol: "postgres"
  uri: "rds.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"

# Aurora in AWS:
- name: "aurora"
  protocol: "mysql"
  uri: "aurora.cluster-abcdefghijkl.us-west-1.rds.amazonaws.com:3306"

# Redshift in AWS:
- name: "redshift"
  protocol: "postgres"
  uri: "redshift.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439"

# ElastiCache in AWS:
- name: "elasticache"
  protocol: "redis"
  uri: "rediss://master.elasticache.abcdef.usw1.cache.amazonaws.com:6379"
  aws:
    elasticache:
      replication_group_id: "elasticache"

# MemoryDB in AWS:
- name: "memorydb"
  protocol: "redis"
  uri: "rediss://clustercfg.memorydb.abcdef.memorydb.us-west-1.amazonaws.com:6379"
  aws:
    memorydb:
      cluster_name: "memorydb"`
