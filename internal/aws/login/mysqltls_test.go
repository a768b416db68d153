package login_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/cred"
	"sallyport/internal/resource"
)

// TestMySQLTokensNeedTLS has servers that lack TLS, and ones whose certificate is not to be trusted: nothing is sent to them.
func TestMySQLTokensNeedTLS(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.Allow("rds-db:connect", "*"))
	c.AddTarget(fakeaws.Target{Service: fakeaws.RDSConnect, Host: myInstance, Account: c.Account("aws", cloudtest.AgentAccount), Region: "us-west-1", ResourceID: "db-ID"})
	hosts := []string{myInstance}
	source := mySource(t, c, c.Provider(), time.Now)
	other := cloudtest.New(t, nil)
	for rule, test := range map[string]struct {
		names  fakeaws.Names
		from   *fakeaws.World
		none   bool
		change func(*resource.Database)
		want   []string
	}{
		"no TLS":                            {none: true, want: []string{"does not offer TLS", "check that its address leads to the database itself"}},
		"another authority":                 {names: fakeaws.Names{DNSNames: []string{"shop.abcdefghijkl.us-west-1.rds.amazonaws.com"}}, from: other.World, want: []string{"x509: certificate signed by unknown authority", "us-west-1-bundle.pem", "tls.ca_cert_file"}},
		"another name":                      {names: fakeaws.Names{DNSNames: []string{"*.rds.amazonaws.com"}}, from: c.World, want: []string{"Database service cannot validate database's certificate", "tls.server_name"}},
		"a common name only":                {names: fakeaws.Names{CommonName: "shop.abcdefghijkl.us-west-1.rds.amazonaws.com"}, from: c.World, want: []string{"x509: certificate relies on legacy Common Name field, use SANs instead"}},
		"verification that is switched off": {names: fakeaws.Names{DNSNames: []string{"shop.abcdefghijkl.us-west-1.rds.amazonaws.com"}}, from: c.World, change: func(db *resource.Database) { db.Spec.TLS.Mode = resource.TLSInsecure }, want: []string{"tls.mode insecure"}},
	} {
		t.Run(rule, func(t *testing.T) {
			config := dataplane.Config{Kind: dataplane.RDS, Engine: dataplane.MySQL, Setup: mySetup, Judge: c.Verify, Endpoints: []dataplane.Endpoint{{Host: myInstance, Listen: "127.0.0.1:0"}}}
			if !test.none {
				var err error
				if config.Certificate, err = test.from.Authority().Issue(test.names); err != nil {
					t.Fatal(err)
				}
			}
			plane, err := dataplane.Start(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(plane.Stop)
			db := database(t, myInstance, func(a *resource.AWS) { a.RDS.InstanceID, a.RDS.ResourceID = "shop", "db-ID" }, "mysql")
			if test.change != nil {
				test.change(db)
			}
			c.ForgetJournal()
			_, err = dialMy(t, myAgent(t, source, db, plane, hosts), "reader")
			for _, text := range test.want {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("the client got %v, want %q", err, text)
				}
			}
			if calls := c.Calls(fakeaws.RDSConnect, "connect"); len(calls) > 0 {
				t.Errorf("it was tried to log in: %+v", calls)
			}
		})
	}
}

// TestMySQLInOtherPartitions signs tokens for China and GovCloud, whose names, authorities and ARNs differ.
func TestMySQLInOtherPartitions(t *testing.T) {
	for _, test := range []struct{ partition, region, host, bundle string }{
		{"aws-cn", "cn-north-1", "shop.abcdefghijkl.rds.cn-north-1.amazonaws.com.cn:3306", "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/cn-north-1/cn-north-1-bundle.pem"},
		{"aws-us-gov", "us-gov-west-1", "shop.abcdefghijkl.us-gov-west-1.rds.amazonaws.com:3306", "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/us-gov-west-1/us-gov-west-1-bundle.pem"},
	} {
		t.Run(test.partition, func(t *testing.T) {
			c := cloudtest.New(t, nil)
			account := c.Account(test.partition, "333333333333")
			arn := "arn:" + test.partition + ":rds-db:" + test.region + ":333333333333:dbuser:db-ID/"
			role, err := account.AddRole(fakeaws.Role{Name: "agent", Trust: cloudtest.Trust("arn:"+test.partition+":iam::333333333333:root", ""), Permissions: cloudtest.Inline(cloudtest.Allow("rds-db:connect", arn+"reader"))})
			if err != nil {
				t.Fatal(err)
			}
			keys := role.Session("i-1", time.Hour)
			cloudtest.Environment(t, map[string]string{"AWS_REGION": test.region, "AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken})
			c.AddTarget(fakeaws.Target{Service: fakeaws.RDSConnect, Host: test.host, Account: account, Region: test.region, ResourceID: "db-ID"})
			db := database(t, test.host, func(a *resource.AWS) {
				a.AccountID, a.RDS.InstanceID, a.RDS.ResourceID = "333333333333", "shop", "db-ID"
			}, "mysql")
			got, err := mySource(t, c, c.Provider(), time.Now).Credential(t.Context(), request(db, "reader"))
			if err != nil {
				t.Fatal(err)
			}
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: test.host, User: "reader", Token: got.Password}); !verdict.Allow {
				t.Error(verdict.Reason)
			}
			if !strings.Contains(got.AuthoritiesFrom, test.bundle) {
				t.Errorf("authorities from %s", got.AuthoritiesFrom)
			}
			if advice := got.Advice(cred.Refusal{Number: 1045, Code: "28000"}); !strings.Contains(advice, arn+"reader") {
				t.Errorf("the advice lacks %s: %s", arn, advice)
			}
		})
	}
}
