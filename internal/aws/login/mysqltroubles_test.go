package login_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/go-sql-driver/mysql"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/resource"
)

// refusing makes a small server refuse every login, before it asks for anything.
func refusing(number uint16, state, text string) func(*mysqltest.Conn) bool {
	return func(c *mysqltest.Conn) bool {
		_ = c.Fail(number, state, text)
		return false
	}
}

// TestMySQLTroublesOfTheGuides has what the guide of RDS Proxy for MySQL tells about happen to a session, and reads what the
// client has of it: cause and next step, within what clients show.
func TestMySQLTroublesOfTheGuides(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 3306}, Err: syscall.ETIMEDOUT}
	for _, test := range []struct {
		name, host string
		policies   []string
		trust      string // external id that the role wants; default the one that is sent
		before     func(*testing.T)
		dial       error
		login      func(*mysqltest.Conn) bool
		number     uint16
		texts      []string
	}{
		{"no credentials", myInstance, nil, "", func(t *testing.T) { cloudtest.Environment(t, nil) }, nil, nil, 1105,
			[]string{"Could not generate RDS IAM auth token", "NoCredentialProviders: no valid providers in chain"}},
		{"no permission to assume the role", myInstance, []string{}, "", nil, nil, nil, 1105,
			[]string{"AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/databases"}},
		{"another external id", myInstance, nil, "other", nil, nil, nil, 1105, []string{"AccessDenied", "sts:AssumeRole"}},
		{"no way to the database", myInstance, nil, "", nil, refused, nil, 1105, []string{"10.0.0.1:3306", "connection timed out", "security group", "nc -zv shop.abcdefghijkl.us-west-1.rds.amazonaws.com 3306"}},
		{"a name that is not there", myInstance, nil, "", nil, &net.DNSError{Err: "no such host", Name: "shop.abcdefghijkl.us-west-1.rds.amazonaws.com", IsNotFound: true}, nil, 1105, []string{"no such host", "DNS of a VPC"}},
		{"an RDS Proxy without a way to its database", myProxy, nil, "", nil, nil, refusing(9501, "HY000", "Timed-out waiting to acquire database connection"), 9501,
			[]string{"Timed-out waiting to acquire database connection; ", "security group of the database", "password in the secret"}},
		{"an RDS Proxy with too much to do", myProxy, nil, "", nil, nil, refusing(1040, "HY000", "IAM authentication rate limit exceeded"), 1040, []string{"IAM authentication rate limit exceeded; ", "try again"}},
		{"an RDS Proxy without a secret that asks for tokens", myProxy, nil, "", nil, nil, refusing(1045, "28000", "Access denied for user 'reader'@'%' (using password: NO)"), 1045,
			[]string{"Access denied for user 'reader'", `username is "reader"`, "IAM authentication is not REQUIRED"}},
		{"an account of RDS without the plugin", myInstance, nil, "", nil, nil, refusing(1045, "28000", "Access denied for user 'reader'@'%' (using password: NO)"), 1045,
			[]string{"did not ask for the token", "AWSAuthenticationPlugin", "modify-db-instance"}},
		{"an RDS without the plugin", myInstance, nil, "", nil, nil, refusing(1524, "HY000", "Plugin 'AWSAuthenticationPlugin' is not loaded"), 1524, []string{"RDS for MySQL 5.7", "upgrade"}},
		{"a logical database that is not there", myInstance, nil, "", nil, nil, refusing(1049, "42000", "Unknown database 'shop'"), 1049, []string{"Unknown database 'shop'"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			policies := test.policies
			if policies == nil {
				policies = []string{cloudtest.AllowAssume}
			}
			c := cloudtest.New(t, nil, policies...)
			want := "right"
			if test.trust != "" {
				want = test.trust
			}
			role := c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), want), cloudtest.Allow("rds-db:connect", "*")).ARN()
			if test.before != nil {
				test.before(t)
			}
			server := mysqltest.Start(t, mysqltest.Options{Login: test.login})
			db := database(t, test.host, func(a *resource.AWS) {
				a.AssumeRoleARN, a.ExternalID = role, "right"
				if test.host == myProxy {
					a.RDSProxy.Name, a.RDSProxy.ResourceID = "pool", "prx-ID"
				} else {
					a.RDS.InstanceID, a.RDS.ResourceID = "shop", "db-ID"
				}
			}, "mysql")
			db.Spec.TLS.ServerName, db.Spec.TLS.CACert = "localhost", string(server.Authority.CertPEM())
			source := login.New(login.Config{Credentials: c.Provider(), Now: time.Now, Roots: roots.New(roots.Config{
				Dir: t.TempDir(), Client: &http.Client{Transport: bundles{server.Authority.CertPEM()}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
			agent := enginetest.Start(t, enginetest.Config{
				Engine: mysql.New(mysql.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), Database: db, Credentials: source,
				Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					if test.dial != nil {
						return nil, test.dial
					}
					return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
				},
			})
			_, err := dialMy(t, agent, "reader")
			said, _ := errors.AsType[*client.MySQLError](err)
			if said == nil || said.Number != test.number {
				t.Fatalf("the client got %v", err)
			}
			if len(said.Message) > 511 {
				t.Errorf("clients do not show all of the %d bytes", len(said.Message))
			}
			cause := agent.Visit(t, 0).Wait(t)
			for _, text := range test.texts {
				if !strings.Contains(said.Message, text) {
					t.Errorf("the client does not read %q: %s", text, said.Message)
				}
				if cause == nil || !strings.Contains(cause.Error(), text) {
					t.Errorf("the cause does not tell %q: %v", text, cause)
				}
			}
			for _, secret := range c.Secrets() {
				if strings.Contains(said.Message+cause.Error(), secret) {
					t.Error("a secret is told")
				}
			}
		})
	}
}
