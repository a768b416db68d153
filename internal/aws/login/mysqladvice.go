package login

import (
	"fmt"

	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
)

// briefly is outdated for clients of MySQL, which show 511 bytes of a message.
const briefly = "the clock and the AWS credentials of the agent"

// noSuchPlugin is the number of an error of MySQL: the account uses a plugin that the server does not have.
const noSuchPlugin = 1524

// rdsMySQLAdvice says what to check when RDS for MySQL or MariaDB, or Aurora MySQL, does not let an account in.
func rdsMySQLAdvice(t *target.Target, user string, r cred.Refusal) string {
	const plugin = "IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"
	switch {
	case r.Number == noSuchPlugin:
		return "IAM authentication needs RDS for MySQL 5.7 or newer, RDS for MariaDB 10.6 or newer, or Aurora MySQL; upgrade the database"
	case r.Method != "":
		return fmt.Sprintf("the database did not ask for the token: either the account does not exist, or was not made %s; or IAM authentication is off on the database: aws rds %s --apply-immediately --enable-iam-database-authentication", plugin, modifyCommand(t))
	case !refusesUser(r.Code):
		return ""
	}
	id, known := rdsResource(t)
	return fmt.Sprintf("check: (1) IAM authentication is on; (2) the account was made %s; (3) %s%s; (4) %s",
		plugin, lacks(t, "rds-db:connect", t.ARN("rds-db", "dbuser:"+id+"/"+user)), known, briefly)
}
