package agent_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/guard"
	"sallyport/internal/ca"
	"sallyport/internal/engine/postgres/pgtest"
)

const (
	rdsInstance = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	rdsProxy    = "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	redshiftOne = "dwh.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439"
	workgroup   = "etl.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439"
	vpcEndpoint = "near-endpoint-abcdefghijkl.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439"
	agentRole   = "arn:aws:sts::111111111111:assumed-role/agent/i-1"
	dbRole      = "arn:aws:iam::222222222222:role/databases"
	connectTo   = `{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:222222222222:dbuser:db-ID/reader"}`
	noProviders = "NoCredentialProviders: no valid providers in chain"
)

// refusing answers a login as a server does that reads a token and says no; without a code it says nothing.
func refusing(code, message string) pgtest.Options {
	return pgtest.Options{Login: func(c *pgtest.Conn) bool {
		c.Send(&pgproto3.AuthenticationCleartextPassword{})
		if c.Flush() != nil || c.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
			return false
		}
		if _, err := c.Receive(); err != nil || code == "" {
			return false
		}
		c.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
		_ = c.Flush()
		return false
	}}
}

// asking answers a login by asking for a password that a token is none for.
func asking(c *pgtest.Conn) bool {
	c.Send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})
	_ = c.Flush()
	_, _ = c.Receive() // until the agent hangs up
	return false
}

// withoutTLS answers the request for TLS as a server does that has none.
func withoutTLS(conn net.Conn) bool {
	_, _ = conn.Write([]byte{'N'})
	return false
}

func certificates() []trouble {
	return []trouble{
		{name: "a certificate with a common name only", server: pgtest.Options{NoNames: true},
			texts: []string{"x509: certificate relies on legacy Common Name field, use SANs instead", "before July 2020", "rotate it"}},
		{name: "a certificate of an unknown authority",
			change: func(t *testing.T, s *setting) {
				other, err := ca.New(ca.DatabaseCA, "other", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				s.db.Spec.TLS.CACert = string(other.CertPEM())
			},
			texts: []string{"x509: certificate signed by unknown authority", "the authorities in tls.ca_cert", "tls.ca_cert_file"}},
		{name: "a certificate that the published authorities did not sign",
			change: func(t *testing.T, s *setting) {
				other, err := ca.New(ca.DatabaseCA, "other", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				s.published = published(other.CertPEM())
			},
			texts: []string{"x509: certificate signed by unknown authority", "https://truststore.pki.rds.amazonaws.com/us-west-1/us-west-1-bundle.pem, downloaded ", "tls.ca_cert_file", "nothing between agent and database ends TLS"}},
		{name: "no way to the published authorities",
			change: func(_ *testing.T, s *setting) { s.published = away{} },
			texts:  []string{"cannot be downloaded from https://truststore.pki.rds.amazonaws.com/us-west-1/us-west-1-bundle.pem", "no route to host", "tls.ca_cert_file"}},
		{name: "a certificate for another name",
			change: func(_ *testing.T, s *setting) { s.db.Spec.TLS.ServerName = "" },
			texts:  []string{"x509: certificate is valid for localhost, not orders.abcdefghijkl.us-west-1.rds.amazonaws.com", "let the agent describe database", "tls.server_name"}},
		{name: "something else at the address, without TLS", server: pgtest.Options{BeforeTLS: withoutTLS},
			texts: []string{"does not offer TLS", "check that its address leads to the database itself"}},
	}
}

func withoutCredentials() []trouble {
	environment := func(set map[string]string) func(*testing.T, *setting) {
		return func(t *testing.T, _ *setting) { cloudtest.Environment(t, set) }
	}
	return []trouble{
		{name: "no credentials", change: environment(nil),
			texts: []string{"Could not generate RDS IAM auth token: " + noProviders, "no EC2 IMDS role found", "AWS_ACCESS_KEY_ID not set", "shared files (profile default)"}},
		{name: "a hop limit before the instance metadata",
			change: func(t *testing.T, _ *setting) {
				world, err := fakeaws.New(fakeaws.Config{})
				if err != nil {
					t.Fatal(err)
				}
				instance := world.AddInstance(&fakeaws.Instance{Account: world.Account("aws", cloudtest.AgentAccount), Mode: fakeaws.MetadataHopLimit})
				server := httptest.NewServer(instance)
				t.Cleanup(server.Close)
				cloudtest.Environment(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL})
			},
			texts: []string{noProviders, "no answer", "HttpPutResponseHopLimit 1", "--http-put-response-hop-limit 2"}},
		{name: "the instance metadata is switched off", change: environment(map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}),
			texts: []string{noProviders, "access disabled to EC2 IMDS via client option", "unset AWS_EC2_METADATA_DISABLED"}},
		{name: "a profile that is in no file", change: environment(map[string]string{"AWS_PROFILE": "databases"}),
			texts: []string{`the AWS profile "databases" is in none of the configuration files`, "AWS_PROFILE"}},
		{name: "a service account that the role does not trust",
			change: func(t *testing.T, _ *setting) {
				token := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(token, []byte("e30.e30.AA"), 0o600); err != nil {
					t.Fatal(err)
				}
				cloudtest.Environment(t, map[string]string{"AWS_REGION": "us-west-1", "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::111111111111:role/agent"})
			},
			texts: []string{"the token of the service account does not give credentials of the role in AWS_ROLE_ARN", "OIDC provider", "condition on sub"}},
		{name: "a container whose service gives none", change: environment(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials"}),
			texts: []string{"the container credentials service gives no credentials", "EKS Pod Identity association"}},
		{name: "credentials that AWS does not know", change: environment(map[string]string{"AWS_REGION": "us-west-1", "AWS_ACCESS_KEY_ID": "AKIAAAAAAAAAAAAAAAAA", "AWS_SECRET_ACCESS_KEY": "x"}),
			texts: []string{"InvalidClientTokenId", "does not know the credentials of this machine", "aws sts get-caller-identity"}},
	}
}

func noWay() []trouble {
	return []trouble{
		{name: "no answer of the database",
			change: func(_ *testing.T, s *setting) {
				s.cfg.DialAWS = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{Deadline: time.Unix(1, 0)}).DialContext(ctx, network, "10.1.2.3:5432") // given up before anything is sent
				}
			},
			texts: []string{"i/o timeout", rdsInstance + " (10.1.2.3:5432)", "security group", "nc -zv orders.abcdefghijkl.us-west-1.rds.amazonaws.com 5432"}},
		{name: "nobody at the database's port",
			change: func(_ *testing.T, s *setting) {
				s.cfg.DialAWS = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:1")
				}
			},
			texts: []string{"connection refused", rdsInstance + " (127.0.0.1:1)", "nc -zv orders.abcdefghijkl.us-west-1.rds.amazonaws.com 5432"}},
		{name: "a name without an address",
			change: func(_ *testing.T, s *setting) {
				s.cfg.DialAWS = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "orders.abcdefghijkl.us-west-1.rds.amazonaws.com", IsNotFound: true}}
				}
			},
			texts: []string{"cannot be resolved", "the database still exists", "DNS of a VPC"}},
		{name: "a name that leads to the agent itself",
			change: func(_ *testing.T, s *setting) {
				s.cfg.DialAWS = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return guard.Dialer(net.Dialer{}).DialContext(ctx, network, "127.0.0.1:1")
				}
			},
			texts: []string{"127.0.0.1 is this host's own", "check what the name of the database resolves to"}},
		{name: "no way to STS",
			change: func(_ *testing.T, s *setting) { s.aws = away{} },
			texts:  []string{"the AWS endpoint sts.us-west-1.amazonaws.com:443 cannot be reached", "nc -zv sts.us-west-1.amazonaws.com 443"}},
	}
}

// away is where nothing gets to.
type away struct{}

func (away) Do(r *http.Request) (*http.Response, error) {
	// As the transport of net/http words it.
	return nil, errors.Join(errors.New(r.Method+` "`+r.URL.String()+`"`), &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: no route to host")})
}

func (a away) RoundTrip(r *http.Request) (*http.Response, error) { return a.Do(r) }

func roles() []trouble {
	nobody := []string{}
	return []trouble{
		{name: "a trust policy that lets another in", trust: cloudtest.Trust("arn:aws:iam::111111111111:role/other", "right"),
			texts: []string{"AccessDenied: User: " + agentRole + " is not authorized to perform: sts:AssumeRole on resource: " + dbRole, "AWS does not say which policy is missing", "(1) the trust policy of " + dbRole + ": its Principal must be the role of " + agentRole, "(2) the permissions policy", "hop 1", "aws sts assume-role --role-arn " + dbRole}},
		{name: "a trust policy that wants another external id", trust: cloudtest.Trust("arn:aws:iam::111111111111:role/agent", "other"),
			texts: []string{"AccessDenied: ", "an external id was sent", "sts:ExternalId", "aws.external_id of the database"}},
		{name: "no permission to assume the role", policies: nobody,
			texts: []string{"AccessDenied: ", "the permissions policy of " + agentRole + " does not allow it", `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + dbRole + `"}`}},
		{name: "a boundary that does not allow it", boundary: cloudtest.Allow("s3:*", "*"),
			texts: []string{"AccessDenied: ", "the permissions boundary of " + agentRole + " does not allow it", "the boundary needs"}},
		{name: "a role as database user that does not trust the first", uri: workgroup, user: "closed",
			texts: []string{"AccessDenied: User: arn:aws:sts::222222222222:assumed-role/databases/", "on resource: arn:aws:iam::222222222222:role/closed", "hop 2, no external id was sent", "the trust policy of arn:aws:iam::222222222222:role/closed does not allow it"}},
		{name: "a role as database user of another account", uri: workgroup, user: "arn:aws:iam::333333333333:role/reader",
			texts: []string{"the role arn:aws:iam::333333333333:role/reader is not of account 222222222222"}},
	}
}

func logins() []trouble {
	const full = "the inline policies of the role " + dbRole + " may have 10240 characters together (LimitExceeded: Maximum policy size of 10240 bytes exceeded for role databases)"
	notAdded := func(_ *testing.T, s *setting) { s.db.Status.AWS.IAMPolicyReason = full }
	pam := refusing("28000", `PAM authentication failed for user "reader"`)
	return []trouble{
		{name: "an account that RDS does not believe", server: pam,
			texts: []string{`PAM authentication failed for user "reader"`, "(1) IAM authentication is off", `(2) the account lacks the role of IAM users: GRANT rds_iam TO "reader"`, "(3) role " + dbRole + " lacks the permission: " + connectTo, "(4) the clock", "have expired"}},
		{name: "an account whose permission the agent could not add", server: pam, change: notAdded,
			texts: []string{"lacks the permission: " + connectTo + " (the agent could not add it: " + full}},
		{name: "an account that RDS asks for a password", server: pgtest.Options{Login: asking},
			texts: []string{"a password in SCRAM instead of an IAM token", `GRANT rds_iam TO "reader"`, "IAM authentication is off on the database", "modify-db-instance --db-instance-identifier orders"}},
		{name: "a database that breaks off", server: refusing("", ""), not: "tctl auth sign",
			texts: []string{"broke the connection off during the login", "it may be restarting or failing over"}},
		{name: "an account without a secret at the proxy", uri: rdsProxy,
			server: refusing("28000", "This RDS proxy has no credentials for the role reader. Check the credentials for this role and try again."),
			texts:  []string{"This RDS proxy has no credentials for the role reader", "Secrets Manager", `username "reader"`, "REQUIRED"}},
		{name: "an account that the proxy does not believe", uri: rdsProxy, change: notAdded,
			server: refusing("28000", "The IAM authentication failed for the role reader. Check the IAM token for this role and try again."),
			texts:  []string{"The IAM authentication failed for the role reader", "(1) the proxy has no Secrets Manager secret", "rds-db:connect", "the agent could not add it: " + full, "(3) the clock"}},
		{name: "a proxy that cannot read its secret", uri: rdsProxy, server: refusing("XX000", "Credentials couldn't be retrieved"),
			texts: []string{"Credentials couldn't be retrieved", "role of the proxy", "KMS key"}},
		{name: "a proxy that takes the token for a password", uri: rdsProxy, server: refusing("28P01", "The password that was provided for the role reader is wrong."),
			texts: []string{"The password that was provided for the role reader is wrong", `IAM authentication is not REQUIRED for the secret of "reader"`}},
		{name: "a proxy that does not get through", uri: rdsProxy, server: refusing("08006", "Timed-out waiting to acquire database connection."),
			texts: []string{"Timed-out waiting to acquire database connection", "the security group of the database lets the proxy in", "password in the secret"}},
		{name: "a proxy with too much to do", uri: rdsProxy, server: refusing("28000", "The IAM authentication failed because of too many competing requests."),
			texts: []string{"too many competing requests", "try again, or raise its limits"}},
		{name: "an option that the proxy does not know", uri: rdsProxy, server: refusing("0A000", "RDS Proxy currently doesn't support the option geqo."),
			texts: []string{"doesn't support the option geqo", "leave that setting out", "PGOPTIONS"}},
	}
}

func passwords() []trouble {
	const prefix = "Could not generate Redshift IAM auth token: AccessDenied"
	return []trouble{
		{name: "an account for which Redshift gives no password", uri: redshiftOne,
			texts: []string{prefix, "give role " + dbRole + " the permission", `"arn:aws:redshift:us-west-1:222222222222:dbuser:dwh/reader","arn:aws:redshift:us-west-1:222222222222:dbname:dwh/dev"`, "some minutes"}},
		{name: "a permission for Redshift that the agent could not add", uri: redshiftOne,
			change: func(_ *testing.T, s *setting) { s.db.Status.AWS.IAMPolicyReason = "there is no room" },
			texts:  []string{prefix, "the agent could not add it: there is no room"}},
		{name: "a role for which Redshift gives no password", uri: redshiftOne, user: "role/reader",
			texts: []string{prefix, "give role arn:aws:iam::222222222222:role/reader the permission", `"redshift:GetClusterCredentialsWithIAM"`, "dbname:dwh/dev"}},
		{name: "a role for which Redshift Serverless gives no password", uri: workgroup, user: "reader",
			texts: []string{prefix, `"redshift-serverless:GetCredentials"`, "arn:aws:redshift-serverless:us-west-1:222222222222:workgroup/"}},
		{name: "a VPC endpoint of a workgroup that is not known", uri: vpcEndpoint, user: "reader",
			texts: []string{`the workgroup of VPC endpoint "near" is not known`, "redshift-serverless:GetEndpointAccess", "aws.redshift_serverless.workgroup_name"}},
		{name: "an account that Redshift does not have", uri: redshiftOne, server: refusing("28000", `password authentication failed for user "IAM:reader"`),
			change: func(_ *testing.T, s *setting) {
				s.databases.Inline["redshift"] = cloudtest.Allow("redshift:GetClusterCredentials", "*")
			},
			texts: []string{`password authentication failed for user "IAM:reader"`, "AWS gives passwords for accounts that do not exist", `CREATE USER "reader" PASSWORD DISABLE`}},
	}
}
