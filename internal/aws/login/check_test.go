package login_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// TestChecks walks the way to databases of AWS, and reads which steps there are and what they say.
func TestChecks(t *testing.T) {
	const workgroup = "etl.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439"
	rds := func(role string) *resource.Database {
		return database(t, strings.ToUpper(instance), func(a *resource.AWS) {
			a.AssumeRoleARN, a.ExternalID, a.RDS.InstanceID, a.RDS.ResourceID = role, "right", "orders", "db-ID"
		})
	}
	for _, test := range []struct {
		name, account string
		policies      []string // of the agent's role
		database      func(role string) *resource.Database
		before        func(t *testing.T)
		steps         []string // each with its result and what it says, in order
	}{
		{"all is well", "reader", []string{cloudtest.AllowAssume}, rds, nil, []string{
			"name ok: orders.abcdefghijkl.us-west-1.rds.amazonaws.com resolves to 10.0.0.1",
			"connection ok: accepts connections",
			"authorities ok: the authorities in https://truststore.pki.rds.amazonaws.com/us-west-1/us-west-1-bundle.pem",
			"AWS credentials ok: from the environment (AWS_ACCESS_KEY_ID); AWS knows the caller as arn:aws:sts::111111111111:assumed-role/agent/i-1",
			"role ok: assumed arn:aws:iam::222222222222:role/databases with the external id, valid until |AWS knows the caller as arn:aws:sts::222222222222:assumed-role/databases/sallyport-host",
			"token ok: signed for " + instance + ` as "reader", valid for 15m0s`,
			"TLS doubt: for localhost, 127.0.0.1",
			`login ok: as "reader" to database "postgres"`,
			`server ok: version "15.0"`,
		}},
		{"an account that AWS does not allow", "writer", []string{cloudtest.AllowAssume}, rds, nil, []string{
			"name ok", "connection ok", "authorities ok", "AWS credentials ok", "role ok", "token ok", "TLS doubt",
			`login failed: PAM authentication failed for user "writer"|(1) IAM authentication is off|dbuser:db-ID/writer`,
		}},
		{"no permission to assume the role", "reader", nil, rds, nil, []string{
			"name ok", "connection ok", "authorities ok", "AWS credentials ok",
			"role failed: AccessDenied|the permissions policy of arn:aws:sts::111111111111:assumed-role/agent/i-1 does not allow it|hop 1",
			"TLS doubt: localhost",
		}},
		{"no credentials", "reader", nil, rds, func(t *testing.T) { cloudtest.Environment(t, nil) }, []string{
			"name ok", "connection ok", "authorities ok",
			"AWS credentials failed: NoCredentialProviders: no valid providers in chain|AWS_ACCESS_KEY_ID not set|web identity|shared files|container credentials|EC2 instance metadata",
			"TLS doubt",
		}},
		{"a role as database user, behind another", "analyst", []string{cloudtest.AllowAssume}, func(role string) *resource.Database {
			return database(t, workgroup, func(a *resource.AWS) {
				a.AssumeRoleARN, a.ExternalID, a.RedshiftServerless.WorkgroupName = role, "right", "etl"
			})
		}, nil, []string{
			"name ok", "connection ok", "authorities ok: amazon-trust-ca-bundle", "AWS credentials ok",
			"role ok: assumed arn:aws:iam::222222222222:role/databases with the external id",
			"role ok: assumed arn:aws:iam::222222222222:role/analyst, valid until |arn:aws:sts::222222222222:assumed-role/analyst/admin",
			`password ok: AWS gave one for account "IAMR:analyst"`,
			"TLS doubt", `login failed`,
		}},
		{"a name that is no role", "IAM:analyst", []string{cloudtest.AllowAssume}, func(role string) *resource.Database {
			return database(t, workgroup, func(a *resource.AWS) {
				a.AssumeRoleARN, a.ExternalID, a.RedshiftServerless.WorkgroupName = role, "right", "etl"
			})
		}, nil, []string{"name ok", "connection ok", "authorities ok", "AWS credentials ok", "role ok", "database user failed: without the prefix", "TLS doubt"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cloudtest.New(t, redshifts(), test.policies...)
			role := databases(t, c, cloudtest.AllowAssume, cloudtest.Allow("rds-db:connect", "arn:aws:rds-db:us-west-1:222222222222:dbuser:db-ID/reader"))
			c.Role(t, cloudtest.DatabaseAccount, "analyst", cloudtest.Trust(role, ""), cloudtest.Allow("redshift-serverless:GetCredentials", "*"))
			target(c, instance, "db-ID")
			c.AddTarget(fakeaws.Target{Service: fakeaws.RedshiftServerless, Host: workgroup, Account: c.Account("aws", cloudtest.DatabaseAccount), Region: "us-west-1", ResourceID: "etl"})
			if test.before != nil {
				test.before(t)
			}
			server := pgtest.Start(t, pgtest.Options{Login: judge(c)})
			db := test.database(role)
			db.Spec.TLS.ServerName = "localhost"
			source := login.New(login.Config{Credentials: c.Provider(), Now: time.Now, Roots: roots.New(roots.Config{
				Dir: t.TempDir(), Client: &http.Client{Transport: bundles{server.Authority.CertPEM()}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
			steps, err := enginetest.Probe(t, postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), db, test.account, cred.Dispatch{AWS: source}, func(cfg *session.ProbeConfig) {
				cfg.Request.User = "admin"
				cfg.Resolve = func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
				}
				cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if want := strings.ToLower(db.Spec.URI); address != want {
						t.Errorf("dialled %s, want %s", address, want)
					}
					return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
				}
			})
			wantSteps(t, c, steps, err, test.steps)
		})
	}
}

// wantSteps compares what a check told, and its error, with steps that are each "name result: part|part".
func wantSteps(t *testing.T, c *cloudtest.Cloud, steps []cred.Step, err error, want []string) {
	t.Helper()
	var told []string
	failed := false
	for _, step := range steps {
		failed = failed || step.Result == cred.Failed
		told = append(told, step.Name+" "+[]string{"", "ok", "doubt", "failed"}[step.Result]+": "+step.Detail+" "+step.Advice)
	}
	if failed != (err != nil) {
		t.Errorf("the check returned %v", err)
	}
	text := strings.Join(told, "\n")
	if len(told) != len(want) {
		t.Fatalf("%d steps, want %d:\n%s", len(told), len(want), text)
	}
	for i, wanted := range want {
		head, rest, _ := strings.Cut(wanted, ": ")
		for part := range strings.SplitSeq(rest, "|") {
			if !strings.HasPrefix(told[i], head+": ") || !strings.Contains(told[i], part) {
				t.Errorf("step %d is\n%s\nwant %s with %q", i+1, told[i], head, part)
			}
		}
	}
	for _, secret := range c.Secrets() {
		if strings.Contains(text, secret) {
			t.Error("a secret is told")
		}
	}
}
