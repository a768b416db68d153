// Package target puts together what is known of one database in AWS: what its address says, what its
// configuration says, and what its agent found out.
package target

import (
	"net"
	"strconv"
	"strings"

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
	// Endpoint is the address, read once: what is dialled, signed for and compared with certificates.
	Endpoint endpoint.Endpoint
	// AWS is the configuration, with what it leaves open filled in from the address and the agent's findings.
	// Roles and external ids are only ever those of the configuration.
	AWS resource.AWS
	// Version is that of the database's engine, empty if it is not known.
	Version string
	// Unencrypted says that the database takes connections without TLS only.
	Unencrypted bool
	// PolicyProblem is why the agent could not permit itself to log in, where it was told to; empty otherwise.
	PolicyProblem string
}

// Of returns the target that the database is. The error is a fault.
func Of(db *resource.Database) (Target, error) {
	t := Target{Name: db.GetName(), Protocol: db.Spec.Protocol, Type: endpoint.Type(db.Type()), AWS: db.Spec.AWS, PolicyProblem: db.Status.AWS.IAMPolicyReason}
	var err error
	if t.Endpoint, err = db.AWSEndpoint(); err != nil {
		return Target{}, fault.Wrap(fault.BadParameter, err,
			"the uri %q of database %q does not do: %s; write the endpoint as AWS shows it, because credentials are valid for that name only", db.Spec.URI, t.Name, err)
	}
	first(&t.AWS.Region, t.Endpoint.Region)
	t.fill(&db.Status.AWS)
	t.Version = db.Metadata.Labels[engineVersion]
	t.Unencrypted = t.Endpoint.TLS == endpoint.TLSOff ||
		t.Type == endpoint.ElastiCache && db.Status.AWS.ElastiCache.ReplicationGroupID != "" && !bool(t.AWS.ElastiCache.TransitEncryptionEnabled) ||
		t.Type == endpoint.MemoryDB && db.Status.AWS.MemoryDB.ClusterName != "" && !bool(t.AWS.MemoryDB.TLSEnabled)
	return t, nil
}

// engineVersion is the label with the version, which package labels writes.
const engineVersion = "engine-version"

// fill fills in what the agent found out.
func (t *Target) fill(status *resource.AWS) {
	a := &t.AWS
	first(&a.AccountID, status.AccountID)
	switch t.Type {
	case endpoint.RDS:
		first(&a.RDS.InstanceID, status.RDS.InstanceID)
		first(&a.RDS.ClusterID, status.RDS.ClusterID)
		first(&a.RDS.ResourceID, status.RDS.ResourceID)
		a.RDS.IAMAuth = a.RDS.IAMAuth || status.RDS.IAMAuth
	case endpoint.RDSProxy:
		first(&a.RDSProxy.Name, status.RDSProxy.Name)
		first(&a.RDSProxy.ResourceID, status.RDSProxy.ResourceID)
	case endpoint.RedshiftServerless:
		first(&a.RedshiftServerless.WorkgroupName, status.RedshiftServerless.WorkgroupName)
		first(&a.RedshiftServerless.WorkgroupID, status.RedshiftServerless.WorkgroupID)
	case endpoint.ElastiCache:
		a.ElastiCache.UserGroupIDs = status.ElastiCache.UserGroupIDs
		a.ElastiCache.TransitEncryptionEnabled = status.ElastiCache.TransitEncryptionEnabled
	case endpoint.ElastiCacheServerless:
		a.ElastiCacheServerless.UserGroupIDs = status.ElastiCacheServerless.UserGroupIDs
	case endpoint.MemoryDB:
		first(&a.MemoryDB.ACLName, status.MemoryDB.ACLName)
		a.MemoryDB.TLSEnabled = status.MemoryDB.TLSEnabled
	case endpoint.OpenSearch:
		first(&a.OpenSearch.DomainName, status.OpenSearch.DomainName)
		first(&a.OpenSearch.DomainID, status.OpenSearch.DomainID)
	case endpoint.DocumentDB:
		first(&a.DocumentDB.ClusterID, status.DocumentDB.ClusterID)
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

// Join makes an address of what AWS tells apart.
func Join(host string, port int32) string {
	return net.JoinHostPort(strings.ToLower(host), strconv.Itoa(int(port)))
}
