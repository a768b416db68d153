// Package target puts together what is known of one database in AWS: what its address says, what its
// configuration says, and what its agent found out.
package target

import (
	"errors"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Target is one database.
type Target struct {
	Name     string
	Protocol string
	Type     endpoint.Type
	// Endpoint is the address, read once: what is dialled, signed for and compared with certificates. Type is
	// empty in it for a custom domain, which does not tell.
	Endpoint endpoint.Endpoint
	// AWS is the configuration, with what it leaves open filled in from the address and the agent's findings.
	// Roles and external ids are only ever those of the configuration.
	AWS resource.AWS
}

// Of returns the target that the database is. The error is a fault.
func Of(db *resource.Database) (Target, error) {
	t := Target{Name: db.GetName(), Protocol: db.Spec.Protocol, Type: endpoint.Type(db.Type()), AWS: db.Spec.AWS}
	parsed, err := endpoint.Parse(db.Spec.URI)
	switch {
	case err == nil:
		t.Endpoint = parsed
	case errors.Is(err, endpoint.ErrNotAWS) && t.Type == endpoint.OpenSearch && t.AWS.Region != "":
		// A custom domain. Only AWS can tell whether it is this database's.
	default:
		return Target{}, fault.Wrap(fault.BadParameter, err,
			"the uri %q of database %q %s; write the endpoint as AWS shows it, because credentials are valid for that name only", db.Spec.URI, t.Name, err)
	}
	if t.Endpoint.Type != "" {
		if err := t.agree(); err != nil {
			return Target{}, err
		}
	}
	t.fill(&db.Status.AWS)
	return t, nil
}

// agree refuses an address that is of another service or region than the configuration says: the credentials
// would be made for one and sent to the other.
func (t *Target) agree() error {
	e := &t.Endpoint
	switch {
	case e.Type != t.Type:
		return fault.New(fault.BadParameter, "the uri of database %q is an endpoint of %s, and its aws settings are of %s; correct one of them", t.Name, e.Type, t.Type)
	case t.AWS.Region != "" && t.AWS.Region != e.Region:
		return fault.New(fault.BadParameter, "aws.region %q of database %q does not match the region %q of its uri; leave aws.region out", t.AWS.Region, t.Name, e.Region)
	case t.AWS.AccountID != "" && e.Account != "" && t.AWS.AccountID != e.Account:
		return fault.New(fault.BadParameter, "aws.account_id %q of database %q does not match the account %q of its uri; leave aws.account_id out", t.AWS.AccountID, t.Name, e.Account)
	}
	return nil
}

// fill fills in what the configuration leaves open.
func (t *Target) fill(status *resource.AWS) {
	a, e := &t.AWS, &t.Endpoint
	first(&a.Region, e.Region, status.Region)
	first(&a.AccountID, e.Account, status.AccountID)
	switch t.Type {
	case endpoint.RDS:
		first(&a.RDS.InstanceID, e.InstanceID, status.RDS.InstanceID)
		first(&a.RDS.ClusterID, e.ClusterID, status.RDS.ClusterID)
		first(&a.RDS.ResourceID, status.RDS.ResourceID)
		a.RDS.IAMAuth = a.RDS.IAMAuth || status.RDS.IAMAuth
	case endpoint.RDSProxy:
		first(&a.RDSProxy.Name, e.ProxyName, status.RDSProxy.Name)
		first(&a.RDSProxy.CustomEndpointName, e.ProxyEndpoint, status.RDSProxy.CustomEndpointName)
		first(&a.RDSProxy.ResourceID, status.RDSProxy.ResourceID)
	case endpoint.Redshift:
		first(&a.Redshift.ClusterID, e.ClusterID, status.Redshift.ClusterID)
	case endpoint.RedshiftServerless:
		first(&a.RedshiftServerless.WorkgroupName, e.Workgroup, status.RedshiftServerless.WorkgroupName)
		first(&a.RedshiftServerless.EndpointName, e.VPCEndpoint, status.RedshiftServerless.EndpointName)
		first(&a.RedshiftServerless.WorkgroupID, status.RedshiftServerless.WorkgroupID)
	case endpoint.ElastiCache:
		first(&a.ElastiCache.ReplicationGroupID, e.ReplicationGroup)
		first(&a.ElastiCache.EndpointType, e.Kind)
	case endpoint.MemoryDB:
		first(&a.MemoryDB.ClusterName, e.ClusterName)
		first(&a.MemoryDB.EndpointType, e.Kind)
		first(&a.MemoryDB.ACLName, status.MemoryDB.ACLName)
	case endpoint.OpenSearch:
		first(&a.OpenSearch.DomainName, status.OpenSearch.DomainName)
		first(&a.OpenSearch.DomainID, status.OpenSearch.DomainID)
	case endpoint.DocumentDB:
		first(&a.DocumentDB.ClusterID, e.ClusterID, status.DocumentDB.ClusterID)
		first(&a.DocumentDB.InstanceID, e.InstanceID, status.DocumentDB.InstanceID)
		first(&a.DocumentDB.EndpointType, e.Kind)
	}
}

// first sets an empty field to the first of the values that is not.
func first(field *string, values ...string) {
	for _, value := range values {
		if *field == "" {
			*field = value
		}
	}
}

// Partition returns the partition of the database's region.
func (t *Target) Partition() string { return endpoint.PartitionOf(t.AWS.Region) }

// Account returns the account of the database as far as it is known: its own setting, or the one of the role
// that reaches it.
func (t *Target) Account() string {
	if t.AWS.AccountID != "" {
		return t.AWS.AccountID
	}
	if role, err := endpoint.ParseRole(t.AWS.AssumeRoleARN); err == nil {
		return role.Account
	}
	return ""
}

// Chain returns whose credentials reach the database.
func (t *Target) Chain() credentials.Chain {
	chain := credentials.Chain{Region: t.AWS.Region, AssumeRoleARN: t.AWS.AssumeRoleARN}
	if chain.AssumeRoleARN != "" {
		chain.ExternalID = t.AWS.ExternalID
	}
	return chain
}

// UserChain returns the credentials of a role that a user has in place of a database account.
func (t *Target) UserChain(role, user string) credentials.Chain {
	chain := t.Chain()
	chain.UserRoleARN, chain.User, chain.ExternalID = role, user, t.AWS.ExternalID
	return chain
}

// ARN returns the ARN of something of a service in the database's account and region. Where the account is not
// known it says ACCOUNT_ID, for people to fill in.
func (t *Target) ARN(service, what string) string {
	account := t.Account()
	if account == "" {
		account = "ACCOUNT_ID"
	}
	return endpoint.ARN{Partition: t.Partition(), Service: service, Region: t.AWS.Region, Account: account, Resource: what}.String()
}
