package login

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/resource"
)

// refusesUser reports whether a message of PostgreSQL or MySQL is that it does not believe the account (Appendix A of the
// former's manual): invalid authorization, invalid password.
func refusesUser(code string) bool { return code == "28000" || code == "28P01" }

// holder names whom a policy must be given to.
func holder(t *target.Target) string {
	if t.AWS.AssumeRoleARN != "" {
		return "role " + t.AWS.AssumeRoleARN
	}
	return "the AWS identity of the agent"
}

func allow(action string, resources ...string) string {
	if len(resources) == 1 {
		return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resources[0])
	}
	return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":["%s"]}`, action, strings.Join(resources, `","`))
}

// lacks says which permission may be missing, and why the agent has not added it if that was its task.
func lacks(t *target.Target, action string, resources ...string) string {
	text := holder(t) + " lacks the permission: " + allow(action, resources...)
	if t.PolicyProblem != "" {
		text += " (the agent could not add it: " + t.PolicyProblem + ")"
	}
	return text
}

func quoted(account string) string { return `"` + strings.ReplaceAll(account, `"`, `""`) + `"` }

// outdated is what AWS does not tell either of a token that it does not accept.
const outdated = "the clock of the agent is wrong by minutes, or its AWS credentials have expired: aws sts get-caller-identity"

// rdsAdvice says what to check when RDS does not let an account in, likeliest first.
func rdsAdvice(t *target.Target, user string, r cred.Refusal) string {
	if t.Protocol != resource.ProtocolPostgres {
		return rdsMySQLAdvice(t, user, r)
	}
	grant := fmt.Sprintf("the account lacks the role of IAM users: GRANT rds_iam TO %s", quoted(user))
	off := fmt.Sprintf("IAM authentication is off on the database: aws rds %s --apply-immediately --enable-iam-database-authentication", modifyCommand(t))
	if r.Method != "" {
		return "either " + grant + "; or " + off
	}
	if !refusesUser(r.Code) {
		return ""
	}
	id, known := rdsResource(t)
	return fmt.Sprintf("check in this order: (1) %s; (2) %s; (3) %s%s; (4) %s",
		off, grant, lacks(t, "rds-db:connect", t.ARN("rds-db", "dbuser:"+id+"/"+user)), known, outdated)
}

// rdsResource names the database as policies do, or what stands for it, and where to find it.
func rdsResource(t *target.Target) (id, where string) {
	if id := t.AWS.RDS.ResourceID; id != "" {
		return id, ""
	}
	return "RESOURCE_ID", ", where RESOURCE_ID is the database's (db-... or, for Aurora, cluster-...)"
}

func modifyCommand(t *target.Target) string {
	if t.AWS.RDS.ClusterID != "" {
		return "modify-db-cluster --db-cluster-identifier " + t.AWS.RDS.ClusterID
	}
	if t.AWS.RDS.InstanceID != "" {
		return "modify-db-instance --db-instance-identifier " + t.AWS.RDS.InstanceID
	}
	return "modify-db-cluster --db-cluster-identifier CLUSTER"
}

// proxyAdvice says what to check when an RDS Proxy does not let an account in.
func proxyAdvice(t *target.Target, user string, r cred.Refusal) string {
	secret := fmt.Sprintf("the proxy has no Secrets Manager secret whose username is %q, or IAM authentication is not REQUIRED for that secret", user)
	if r.Method != "" {
		return secret + ": set it in the authentication settings of the proxy"
	}
	if advice, known := proxyTrouble(user, r); known {
		return advice
	}
	id, known := t.AWS.RDSProxy.ResourceID, ""
	if id == "" {
		id, known = "prx-RESOURCE_ID", ", where prx-RESOURCE_ID ends the ARN of the proxy"
	}
	permission := lacks(t, "rds-db:connect", t.ARN("rds-db", "dbuser:"+id+"/"+user)) + known
	if t.Protocol != resource.ProtocolPostgres {
		return fmt.Sprintf("check: (1) %s; (2) the proxy has a secret with username %q, IAM authentication REQUIRED, and the account's password; (3) %s", permission, user, briefly)
	}
	return fmt.Sprintf("check in this order: (1) %s; (2) %s; (3) %s", secret, permission, outdated)
}

// proxyTrouble knows the messages of "Troubleshooting for RDS Proxy" in the RDS user guide, for PostgreSQL and MySQL. Not
// known are refusals of an account, whatever the reason; others have no advice.
func proxyTrouble(user string, r cred.Refusal) (advice string, known bool) {
	text := strings.ToLower(r.Message)
	says := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case says("requires tls", "only with ssl connections"):
		return "", true // cannot be: TLS was on before anything was sent
	case says("has no credentials for the role"):
		return fmt.Sprintf("no secret of the proxy has the username %q: make a secret in Secrets Manager with that username and its password, add it to the authentication settings of the proxy with IAM authentication REQUIRED, and let the role of the proxy read it", user), true
	case says("credentials couldn't be retrieved"):
		return "the proxy cannot read the secret: check that the role of the proxy may read it and use its KMS key, and that its username is " + quoted(user), true
	case says("the password that was provided for the role"):
		return fmt.Sprintf("IAM authentication is not REQUIRED for the secret of %q: the proxy takes the token for a password; change that in its authentication settings", user), true
	case says("too many competing requests", "rate of connection to proxy exceeded", "maximum number of client connections",
		"connections rate limit exceeded", "iam authentication rate limit exceeded", "number simultaneous connections exceeded"):
		return "the proxy has more to do than it may: try again, or raise its limits", true
	case says("doesn't support the option"):
		return "leave that setting out of the connection's options (PGOPTIONS, or options in the connection string): the proxy passes few of them on", true
	case says("timed-out waiting to acquire database connection", "request returned an error"):
		return "the proxy lets the account in, and does not get through to the database: check that its target is available, that the security group of the database lets the proxy in, and that the password in the secret is the account's", true
	case says("variable 'character_set_client'", "variable ''character_set_client''"):
		return "choose another character set in the client, such as utf8mb4", true
	}
	return "", !refusesUser(r.Code) && !says("iam authentication failed")
}
