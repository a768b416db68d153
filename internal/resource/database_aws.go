package resource

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"sallyport/internal/aws/endpoint"
)

// AWSEndpoint returns the one reading of the database's address: its host and port are what is dialled,
// signed for and checked against the certificate. It refuses databases that are not in AWS, and hosts
// outside the domain of the database's service, region and partition; only DynamoDB and OpenSearch may
// have a host of one's own, which an administrator wrote together with the region.
func (d *Database) AWSEndpoint() (endpoint.Endpoint, error) {
	s := &d.Spec
	t, ok := s.awsType()
	if !ok {
		return endpoint.Endpoint{}, fmt.Errorf("the database %q is not one of AWS", d.GetName())
	}
	e, err := endpoint.Parse(s.URI)
	switch {
	case errors.Is(err, endpoint.ErrNotAWS) && mayHaveOwnHost(t):
		return endpoint.ParseCustom(t, s.AWS.Region, s.URI)
	case err != nil:
		return endpoint.Endpoint{}, err
	case e.Type != t:
		return endpoint.Endpoint{}, fmt.Errorf("%q is an endpoint of %s, not of %s", e.Host, e.Type.Title(), t.Title())
	case s.AWS.Region != "" && e.Region != s.AWS.Region:
		return endpoint.Endpoint{}, fmt.Errorf("%q is not in region %s", e.Host, s.AWS.Region)
	}
	return e, nil
}

func mayHaveOwnHost(t endpoint.Type) bool { return t == endpoint.OpenSearch || t == endpoint.DynamoDB }

// checkAWS fills in what the endpoint says and checks what is written about AWS.
func (s *DatabaseSpec) checkAWS(p *problems) {
	a := &s.AWS
	a.checkForm(p)
	t, isAWS := s.awsType()
	if a.ExternalID != "" && a.AssumeRoleARN == "" && !(isAWS && t.UsersAreRoles()) {
		p.add("spec.aws.external_id", "is used with assume_role_arn only")
	}
	if s.URI == "" && isAWS {
		s.fillURI(t)
	}
	e, err := endpoint.Parse(s.URI)
	switch {
	case s.URI == "":
	case err == nil:
		s.agree(p, t, e)
	default:
		s.unread(p, t, isAWS, err)
	}
	switch t {
	case endpoint.Keyspaces, endpoint.DynamoDB, endpoint.OpenSearch:
		if a.AccountID == "" {
			p.add("spec.aws.account_id", "is missing; roles of database users are looked for in this AWS account")
		}
		if a.Region == "" {
			p.add("spec.aws.region", "is missing and cannot be told from spec.uri")
		}
	}
	if role, err := endpoint.ParseRole(a.AssumeRoleARN); err == nil && endpoint.IsRegion(a.Region) && role.Partition != endpoint.PartitionOf(a.Region) {
		p.add("spec.aws.assume_role_arn", "is a role in partition %s, and region %s is in %s", role.Partition, a.Region, endpoint.PartitionOf(a.Region))
	}
	if len(p.list) == 0 { // otherwise it is not known what the database is
		s.warnIdle(p, t, isAWS)
	}
}

// checkForm checks each field by itself.
func (a *AWS) checkForm(p *problems) {
	if a.AccountID != "" && !endpoint.IsAccount(a.AccountID) {
		p.add("spec.aws.account_id", "must be the 12 digits of an account, in quotes")
	}
	if a.Region != "" && !endpoint.IsRegion(a.Region) {
		p.add("spec.aws.region", "%q is not a region, as in us-west-1", a.Region)
	}
	checkRole(p, "spec.aws.assume_role_arn", a.AssumeRoleARN)
	checkPrintable(p, "spec.aws.external_id", a.ExternalID)
	if a.IAMPolicyStatus < 0 || a.IAMPolicyStatus > IAMPolicySuccess {
		p.add("spec.aws.iam_policy_status", "must be between 0 and %d", IAMPolicySuccess)
	}
}

func checkRole(p *problems, path, arn string) {
	if arn == "" {
		return
	}
	if _, err := endpoint.ParseRole(arn); err != nil {
		p.add(path, "%s", err)
	}
}

// fillURI writes the endpoint of services that have one for each region.
func (s *DatabaseSpec) fillURI(t endpoint.Type) {
	host, err := endpoint.HostOf(t, s.AWS.Region)
	switch {
	case err != nil:
	case t == endpoint.DynamoDB:
		s.URI = "aws://" + host
	default:
		s.URI = net.JoinHostPort(host, "9142")
	}
}

// agree compares what is written with what the endpoint says, and then fills in the rest.
func (s *DatabaseSpec) agree(p *problems, t endpoint.Type, e endpoint.Endpoint) {
	a := &s.AWS
	switch {
	case e.Type != t && (t == endpoint.DynamoDB || t == endpoint.OpenSearch || t == endpoint.Keyspaces):
		p.add("spec.uri", "%q is an endpoint of %s, and a %s database needs one of %s", e.Host, e.Type.Title(), s.Protocol, t.Title())
		return
	case e.Type != t:
		p.add("spec.uri", "%q is an endpoint of %s, and spec.aws describes a database of %s", e.Host, e.Type.Title(), t.Title())
		return
	case a.Region != "" && a.Region != e.Region && e.Type == endpoint.DynamoDB:
		p.add("spec.aws.region", "%q does not match the configured URI region %s; leave the URI out", a.Region, e.Region)
	case a.Region != "" && a.Region != e.Region:
		p.add("spec.aws.region", "%q does not match the configured URI region %s", a.Region, e.Region)
	}
	s.URI = canonical(s.URI, e.Host)
	fill(&a.Region, e.Region)
	s.fillIDs(p, e)
	if e.Type == endpoint.RDS && e.Kind == endpoint.KindCustom && a.RDS.ClusterID == "" {
		p.add("spec.aws.rds.cluster_id", "missing RDS ClusterID for RDS Aurora custom endpoint, whose name does not say which cluster it is of")
	}
}

// fillIDs fills in ids. What was written stays; where the name says something else, that is a warning.
func (s *DatabaseSpec) fillIDs(p *problems, e endpoint.Endpoint) {
	a := &s.AWS
	type id struct {
		path    string
		to      *string
		endsAs  string
		applies bool
	}
	isRDS, isDocDB := e.Type == endpoint.RDS, e.Type == endpoint.DocumentDB
	for _, one := range []id{
		{"account_id", &a.AccountID, e.Account, true},
		{"rds.instance_id", &a.RDS.InstanceID, e.InstanceID, isRDS},
		{"rds.cluster_id", &a.RDS.ClusterID, e.ClusterID, isRDS},
		{"rdsproxy.name", &a.RDSProxy.Name, e.ProxyName, true},
		{"rdsproxy.custom_endpoint_name", &a.RDSProxy.CustomEndpointName, e.ProxyEndpoint, true},
		{"redshift.cluster_id", &a.Redshift.ClusterID, e.ClusterID, e.Type == endpoint.Redshift},
		{"redshift_serverless.workgroup_name", &a.RedshiftServerless.WorkgroupName, e.Workgroup, true},
		{"redshift_serverless.endpoint_name", &a.RedshiftServerless.EndpointName, e.VPCEndpoint, true},
		{"elasticache.replication_group_id", &a.ElastiCache.ReplicationGroupID, e.ReplicationGroup, true},
		{"elasticache_serverless.cache_name", &a.ElastiCacheServerless.CacheName, e.CacheName, true},
		{"memorydb.cluster_name", &a.MemoryDB.ClusterName, e.ClusterName, true},
		{"docdb.instance_id", &a.DocumentDB.InstanceID, e.InstanceID, isDocDB},
		{"docdb.cluster_id", &a.DocumentDB.ClusterID, e.ClusterID, isDocDB},
	} {
		if !one.applies || one.endsAs == "" {
			continue
		}
		fill(one.to, one.endsAs)
		if *one.to != one.endsAs {
			p.warn("spec.aws."+one.path, "is %q, and the endpoint in spec.uri names %q; the first is used", *one.to, one.endsAs)
		}
	}
	switch e.Type {
	case endpoint.ElastiCache:
		a.ElastiCache.TransitEncryptionEnabled, a.ElastiCache.EndpointType = e.TLS == endpoint.TLSOn, e.Kind
	case endpoint.MemoryDB:
		a.MemoryDB.TLSEnabled, a.MemoryDB.EndpointType = e.TLS == endpoint.TLSOn, e.Kind
	case endpoint.DocumentDB:
		fill(&a.DocumentDB.EndpointType, e.Kind)
	}
}

// unread judges an address that is not read as an endpoint of AWS.
func (s *DatabaseSpec) unread(p *problems, t endpoint.Type, isAWS bool, err error) {
	form, inAWS := errors.AsType[*endpoint.FormError](err)
	oneForRegion := t == endpoint.DynamoDB || t == endpoint.OpenSearch || t == endpoint.Keyspaces
	lookAlike := endpoint.LooksLikeAWS(hostOf(s.URI))
	switch {
	case errors.Is(err, endpoint.ErrUnsupported), inAWS && form.Type == endpoint.Redshift:
		p.add("spec.uri", "%s", err)
	case inAWS && oneForRegion:
		p.add("spec.uri", "%s; a %s database needs an endpoint of %s", err, s.Protocol, t.Title())
	case inAWS:
		p.warn("spec.uri", "%s", err)
	case lookAlike && isAWS:
		p.add("spec.uri", "it only looks like an endpoint of AWS: %s", err)
	case lookAlike:
		p.warn("spec.uri", "it only looks like an endpoint of AWS: %s", err)
	case isAWS && !mayHaveOwnHost(t):
		p.warn("spec.uri", "%s, and the database is one of %s; the Database Service makes no token of AWS for it", err, t.Title())
	}
}

// canonical writes the host of an address as it is dialled and signed. Hosts are ASCII here, so the
// lower-case form is as long as the one written.
func canonical(uri, host string) string {
	at := strings.Index(strings.ToLower(uri), host)
	return uri[:at] + host + uri[at+len(host):]
}

// hostOf returns what stands where a URI has its host, as written.
func hostOf(uri string) string {
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		uri = rest
	}
	if end := strings.IndexAny(uri, "/?#"); end >= 0 {
		uri = uri[:end]
	}
	if host, _, err := net.SplitHostPort(uri); err == nil {
		return host
	}
	return uri
}

func fill(to *string, value string) {
	if *to == "" {
		*to = value
	}
}
