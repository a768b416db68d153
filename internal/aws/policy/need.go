package policy

import (
	"regexp"
	"strings"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/aws/labels"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/aws/target"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// need is a database whose users log in by a permission of the identity that reaches it. Equal needs ask for the same.
type need struct {
	name     string
	of       iampolicy.Target
	region   string
	role     string // that is assumed; empty for the agent's own identity
	holder   string // the id of that role
	external string
}

// needOf returns what a database needs; false if there is nothing that a policy of the agent could give: users of some
// services are roles, which the agent assumes.
func needOf(db *resource.Database) (need, bool) {
	if !db.InAWS() {
		return need{}, false
	}
	t, err := target.Of(db)
	if err != nil {
		return need{}, false // no credentials are made for it either
	}
	n := need{
		name: t.Name, region: t.AWS.Region, role: t.AWS.AssumeRoleARN,
		of: iampolicy.Target{Type: t.Type, Partition: t.Partition(), Region: t.AWS.Region, Account: t.Account(), ID: idOf(&t)},
	}
	if n.role != "" {
		h, err := holderOfRole(n.role)
		if err != nil {
			return need{}, false // likewise
		}
		n.holder, n.external = h.id(), t.AWS.ExternalID
	}
	statements, _ := iampolicy.Connect(n.of)
	return n, len(statements) > 0 && redisusers.KnowIAM(t.Type, db.Metadata.Labels[labels.EngineVersion])
}

// idOf returns what ARNs name the database by.
func idOf(t *target.Target) string {
	switch t.Type {
	case endpoint.RDS:
		return t.AWS.RDS.ResourceID
	case endpoint.RDSProxy:
		return t.AWS.RDSProxy.ResourceID
	case endpoint.Redshift:
		return t.AWS.Redshift.ClusterID
	case endpoint.ElastiCache:
		return t.AWS.ElastiCache.ReplicationGroupID
	case endpoint.ElastiCacheServerless:
		return t.AWS.ElastiCacheServerless.CacheName
	case endpoint.MemoryDB:
		return t.AWS.MemoryDB.ClusterName
	default:
		return ""
	}
}

// chain returns whose credentials change the policy.
func (n need) chain() credentials.Chain {
	return credentials.Chain{Region: n.region, AssumeRoleARN: n.role, ExternalID: n.external}
}

// plainID keeps out what would be a wildcard or a variable in a policy. Whoever writes ids of databases must not get more
// than a database for it.
var plainID = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// permissions returns what the holder needs to log in. The error is a fault that says what is not known.
func (n need) permissions(h holder) ([]Permission, error) {
	of := n.of
	switch {
	case of.ID == "":
		return nil, fault.New(fault.BadParameter, "the id of database %q by which policies name it is not known; let the %s call %s, or set %s", n.name, h, strings.Join(describing(of.Type), " and "), idSetting(of.Type))
	case !plainID.MatchString(of.ID):
		return nil, fault.New(fault.BadParameter, "%q is not an id of a database; correct %s of database %q", of.ID, idSetting(of.Type), n.name)
	case of.Account == "":
		of.Account = h.account // a policy allows nothing in another
	case of.Account != h.account:
		return nil, fault.New(fault.BadParameter, "database %q is in account %s, and the %s cannot log in there: set aws.assume_role_arn of the database to a role of that account", n.name, of.Account, h)
	}
	statements, missing := iampolicy.Connect(of)
	if len(missing) > 0 {
		return nil, fault.New(fault.BadParameter, "%s of database %q is not known", strings.Join(missing, ", "), n.name)
	}
	var all []Permission
	for _, s := range statements {
		for _, action := range s.Actions {
			for _, resource := range s.Resources {
				all = append(all, Permission{action, resource})
			}
		}
	}
	return all, nil
}

// describing are the actions by which AWS tells the id.
func describing(t endpoint.Type) []string {
	var all []string
	for _, s := range (iampolicy.Need{Type: t, Purposes: iampolicy.Metadata}).Statements() {
		all = append(all, s.Actions...)
	}
	return all
}

// idSetting is where an administrator writes the id.
func idSetting(t endpoint.Type) string {
	switch t {
	case endpoint.RDS:
		return "aws.rds.resource_id"
	case endpoint.RDSProxy:
		return "aws.rdsproxy.resource_id"
	case endpoint.Redshift:
		return "aws.redshift.cluster_id"
	case endpoint.ElastiCache:
		return "aws.elasticache.replication_group_id"
	case endpoint.ElastiCacheServerless:
		return "aws.elasticache_serverless.cache_name"
	default:
		return "aws.memorydb.cluster_name"
	}
}
