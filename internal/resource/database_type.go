package resource

import (
	"reflect"

	"sallyport/internal/aws/endpoint"
)

// Types of databases as shown in listings and audit events.
const (
	TypeSelfHosted            = "self-hosted"
	TypeRDS                   = string(endpoint.RDS)
	TypeRDSProxy              = string(endpoint.RDSProxy)
	TypeRedshift              = string(endpoint.Redshift)
	TypeRedshiftServerless    = string(endpoint.RedshiftServerless)
	TypeElastiCache           = string(endpoint.ElastiCache)
	TypeElastiCacheServerless = string(endpoint.ElastiCacheServerless)
	TypeMemoryDB              = string(endpoint.MemoryDB)
	TypeKeyspaces             = string(endpoint.Keyspaces)
	TypeDynamoDB              = string(endpoint.DynamoDB)
	TypeOpenSearch            = string(endpoint.OpenSearch)
	TypeDocumentDB            = string(endpoint.DocumentDB)
	TypeGCP                   = "gcp"
	TypeAzure                 = "azure"
	TypeMongoAtlas            = "mongo-atlas"
)

// Type returns what the database is: one of the Type constants. For AWS the fields that are filled in
// decide; where none is, the endpoint does. A region alone says nothing, for it may be there to name the
// place of a database of one's own.
func (d *Database) Type() string {
	if t, ok := d.Spec.awsType(); ok {
		return string(t)
	}
	switch s := &d.Spec; {
	case s.GCP.ProjectID != "":
		return TypeGCP
	case s.Azure.Name != "" || s.Azure.ResourceID != "":
		return TypeAzure
	case s.MongoAtlas.Name != "":
		return TypeMongoAtlas
	default:
		return TypeSelfHosted
	}
}

// InAWS reports whether the database is one of AWS, which is logged in to with IAM and not with a
// certificate of the cluster.
func (d *Database) InAWS() bool {
	_, ok := d.Spec.awsType()
	return ok
}

// SameUser returns a function that compares two ways to write a user of the database, as endpoint.RoleUser.Same does. It is
// nil where users are names of the database's own, which are written in one way.
func (d *Database) SameUser() func(a, b string) (same, maybe bool) {
	t, ok := d.Spec.awsType()
	if !ok || t != endpoint.Redshift && !t.UsersAreRoles() {
		return nil
	}
	who := endpoint.RoleUser{Type: t, Region: d.Spec.AWS.Region, Account: d.Spec.AWS.AccountID, AssumeRoleARN: d.Spec.AWS.AssumeRoleARN}
	if e, err := d.AWSEndpoint(); err == nil && who.Region == "" {
		who.Region = e.Region
	}
	if who.Account == "" {
		who.Account = d.Status.AWS.AccountID
	}
	return who.Same
}

func (s *DatabaseSpec) awsType() (endpoint.Type, bool) {
	if t, ok := s.writtenType(); ok {
		return t, true
	}
	e, err := endpoint.Parse(s.URI)
	return e.Type, err == nil
}

// writtenType returns the type that the protocol or the ids say. The first that applies counts.
func (s *DatabaseSpec) writtenType() (endpoint.Type, bool) {
	aws := &s.AWS
	for _, one := range []struct {
		applies bool
		is      endpoint.Type
	}{
		{s.Protocol == ProtocolCassandra && !reflect.ValueOf(aws).Elem().IsZero(), endpoint.Keyspaces},
		{s.Protocol == ProtocolDynamoDB, endpoint.DynamoDB},
		{s.Protocol == ProtocolOpenSearch, endpoint.OpenSearch},
		{aws.Redshift != (Redshift{}), endpoint.Redshift},
		{aws.RedshiftServerless != (RedshiftServerless{}), endpoint.RedshiftServerless},
		{aws.ElastiCacheServerless.CacheName != "", endpoint.ElastiCacheServerless},
		{aws.ElastiCache.ReplicationGroupID != "", endpoint.ElastiCache},
		{aws.MemoryDB.ClusterName != "", endpoint.MemoryDB},
		{aws.RDSProxy != (RDSProxy{}), endpoint.RDSProxy},
		{aws.DocumentDB.ClusterID != "" || aws.DocumentDB.InstanceID != "", endpoint.DocumentDB},
		{aws.RDS.InstanceID != "" || aws.RDS.ClusterID != "" || aws.RDS.ResourceID != "", endpoint.RDS},
	} {
		if one.applies {
			return one.is, true
		}
	}
	return "", false
}
