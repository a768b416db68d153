package login

import (
	"cmp"
	"fmt"
	"strings"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

// unencrypted says that nothing is sent to a database without TLS.
func unencrypted(t *target.Target) error {
	how := "aws elasticache modify-replication-group --transit-encryption-enabled --transit-encryption-mode preferred --apply-immediately --replication-group-id " + t.AWS.ElastiCache.ReplicationGroupID
	if t.Type == endpoint.MemoryDB {
		how = "make a cluster with TLS, from a snapshot of this one"
	}
	return fault.New(fault.BadParameter, "in-transit encryption is off on database %q, and the agent connects with TLS only; switch it on (%s), and register the endpoint that AWS shows then", t.Name, how)
}

// connecting returns the action that a policy must allow for logging in with a token, and on what.
func connecting(t *target.Target, id string) (action string, resources []string) {
	switch t.Type {
	case endpoint.ElastiCache:
		return "elasticache:Connect", []string{t.ARN("elasticache", "replicationgroup:"+t.AWS.ElastiCache.ReplicationGroupID), t.ARN("elasticache", "user:"+id)}
	case endpoint.ElastiCacheServerless:
		return "elasticache:Connect", []string{t.ARN("elasticache", "serverlesscache:"+t.AWS.ElastiCacheServerless.CacheName), t.ARN("elasticache", "user:"+id)}
	default: // with slashes, unlike ElastiCache
		return "memorydb:Connect", []string{t.ARN("memorydb", "cluster/"+t.AWS.MemoryDB.ClusterName), t.ARN("memorydb", "user/"+id)}
	}
}

// attach says how a user gets into a database.
func attach(t *target.Target, id string) string {
	switch t.Type {
	case endpoint.ElastiCache:
		return fmt.Sprintf("aws elasticache create-user-group --engine redis --user-group-id GROUP --user-ids default %s, then aws elasticache modify-replication-group --replication-group-id %s --user-group-ids-to-add GROUP",
			id, t.AWS.ElastiCache.ReplicationGroupID)
	case endpoint.ElastiCacheServerless:
		return fmt.Sprintf("aws elasticache modify-user-group --user-group-id %s --user-ids-to-add %s", cmp.Or(strings.Join(redisusers.Known(t), ""), "GROUP"), id)
	default:
		return fmt.Sprintf("aws memorydb update-acl --acl-name %s --user-names-to-add %s", cmp.Or(t.AWS.MemoryDB.ACLName, "ACL"), id)
	}
}

// iamAdvice says what to check when a database does not take a token, likeliest first.
func iamAdvice(t *target.Target, user redisusers.User, r cred.Refusal) string {
	if r.Code != "WRONGPASS" && r.Code != "NOAUTH" {
		return ""
	}
	group := "the user is in no group that is attached to the database: " + attach(t, user.ID)
	switch {
	case user.In(redisusers.Known(t)):
		group = "the user was attached to the database a moment ago, and it does not know it yet"
	case t.Type == endpoint.MemoryDB:
		group = "the user is not in the ACL of the cluster: " + attach(t, user.ID)
	}
	action, resources := connecting(t, user.ID)
	return fmt.Sprintf("check in this order: (1) %s; (2) %s; (3) %s", group, lacks(t, action, resources...), outdated)
}

// plainAdvice says why a client has to open an account itself.
func plainAdvice(t *target.Target, name string, found foundUser, r cred.Refusal) string {
	if r.Code != "WRONGPASS" && r.Code != "NOAUTH" {
		return ""
	}
	action := string(serviceOf(t)) + ":DescribeUsers"
	switch {
	case found.problem != nil:
		return fmt.Sprintf("whether AWS could open it is not known, because the agent could not ask (%s): %s; for users of IAM give %s the permission %s",
			action, fault.Message(found.problem), holder(t), allow(action, "*"))
	case found.user.ID == "":
		return fmt.Sprintf("%s knows no user %q in %s; check the name, and the region and account of the database", t.Type.Title(), name, t.AWS.Region)
	case found.user.Kind == redisusers.NoPassword:
		return "the user needs no password, and the database does not know it: " + attach(t, found.user.ID)
	default:
		return fmt.Sprintf("the user is not IAM-enabled, and its password is not managed by the agent: give it the tag %s with the value true and attach it to the database, and wait some minutes; or change it to IAM: %s",
			redisusers.ManagedTag, toIAM(t, found.user.ID))
	}
}

func toIAM(t *target.Target, id string) string {
	if t.Type == endpoint.MemoryDB {
		return "aws memorydb update-user --authentication-mode Type=iam --user-name " + id
	}
	return "aws elasticache modify-user --authentication-mode Type=iam --user-id " + id
}

// tellRedis tells how an account is opened.
func tellRedis(t *target.Target, c, trust *cred.Credential, err error, tell func(cred.Step)) (*cred.Credential, error) {
	switch {
	case err != nil:
		tell(cred.Failure(stepUser, err))
		return trust, err
	case c.Lasts > 0:
		tell(cred.Passing(stepUser, "%q is a user of IAM", c.User))
		tell(cred.Passing(stepToken, "signed for %s as %q, valid for %s", signedFor(t), c.User, tokenLife))
	case c.Password != "":
		tell(cred.Passing(stepUser, "the password of %q is managed", c.User))
		tell(cred.Passing(stepPassword, "the agent has it from AWS Secrets Manager"))
	default:
		step := cred.Passing(stepUser, "AWS does not open %q: clients give its password with AUTH, if it has one", c.User)
		step.Result, step.Advice = cred.Doubtful, c.Advice(cred.Refusal{Code: "NOAUTH"})
		tell(step)
	}
	return c, nil
}

// signedFor returns the name that tokens are for.
func signedFor(t *target.Target) string {
	return cmp.Or(t.AWS.ElastiCache.ReplicationGroupID, t.AWS.ElastiCacheServerless.CacheName, t.AWS.MemoryDB.ClusterName)
}
