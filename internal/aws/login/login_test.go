package login_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const (
	instance = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	cluster  = "books.cluster-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	reader   = "books.cluster-ro-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	custom   = "night.cluster-custom-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	proxy    = "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	proxyTwo = "pool-ro.endpoint.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
)

// bundles publishes the authorities of the cloud under every address.
type bundles struct{ pem []byte }

func (b bundles) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b.pem)), Request: r}, nil
}

func newSource(t testing.TB, c *cloudtest.Cloud) *login.Source {
	return login.New(login.Config{
		Credentials: c.Provider(), Now: time.Now,
		Roots: roots.New(roots.Config{Dir: t.TempDir(), Client: &http.Client{Transport: bundles{c.Authority().PEM()}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now}),
	})
}

// unchecked returns a database of AWS at the address that nothing has judged yet.
func unchecked(uri string, change func(*resource.AWS), protocol ...string) *resource.Database {
	db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: strings.Join(append(protocol, "postgres")[:1], ""), URI: uri}}
	db.Kind, db.Version, db.Metadata.Name = resource.KindDatabase, "v3", "orders"
	change(&db.Spec.AWS)
	return db
}

// database returns a valid database of AWS at the address.
func database(t testing.TB, uri string, change func(*resource.AWS), protocol ...string) *resource.Database {
	t.Helper()
	db := unchecked(uri, change, protocol...)
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

func request(db *resource.Database, account string) cred.Request {
	return cred.Request{Database: db, User: "alice", DatabaseUser: account, DatabaseName: "dev"}
}

// target makes an RDS server in the databases' account known to the cloud.
func target(c *cloudtest.Cloud, host, id string) {
	c.AddTarget(fakeaws.Target{Service: fakeaws.RDSConnect, Host: host, Account: c.Account("aws", cloudtest.DatabaseAccount), Region: "us-west-1", ResourceID: id})
}

// databases makes the role through which the databases are reached.
func databases(t *testing.T, c *cloudtest.Cloud, policies ...string) string {
	return c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "right"), policies...).ARN()
}

func TestTokensOfRDS(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	role := databases(t, c, cloudtest.Allow("rds-db:connect", "arn:aws:rds-db:us-west-1:222222222222:dbuser:*/reader", "arn:aws:rds-db:us-west-1:222222222222:dbuser:*/auditor"))
	source := newSource(t, c)
	for _, test := range []struct {
		name, host string
		aws        resource.AWS
	}{
		{"an instance", instance, resource.AWS{RDS: resource.RDS{InstanceID: "orders"}}},
		{"the writer of a cluster", cluster, resource.AWS{RDS: resource.RDS{ClusterID: "books"}}},
		{"its readers", reader, resource.AWS{RDS: resource.RDS{ClusterID: "books"}}},
		{"a custom endpoint", custom, resource.AWS{RDS: resource.RDS{ClusterID: "books"}}},
		{"a proxy", proxy, resource.AWS{RDSProxy: resource.RDSProxy{Name: "pool"}}},
		{"a custom endpoint of a proxy", proxyTwo, resource.AWS{RDSProxy: resource.RDSProxy{CustomEndpointName: "pool-ro"}}},
		{"an address in another spelling", strings.ToUpper(instance), resource.AWS{RDS: resource.RDS{InstanceID: "orders"}}},
		{"an address with a scheme", "postgres://" + instance, resource.AWS{RDS: resource.RDS{InstanceID: "orders"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := strings.ToLower(strings.TrimPrefix(test.host, "postgres://"))
			target(c, host, "db-ID")
			db := database(t, test.host, func(a *resource.AWS) {
				*a = test.aws
				a.AssumeRoleARN, a.ExternalID = role, "right"
			})
			got, err := source.Credential(t.Context(), request(db, "reader"))
			if err != nil {
				t.Fatal(err)
			}
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: host, User: got.User, Token: got.Password}); !verdict.Allow {
				t.Error(verdict.Reason)
			}
			if got.Address != host || got.User != "reader" || !got.Token || got.Certificate != nil {
				t.Errorf("got address %q, user %q, token %t, certificate %v", got.Address, got.User, got.Token, got.Certificate)
			}
			if isProxy := test.aws.RDSProxy != (resource.RDSProxy{}); got.SystemAuthorities != isProxy || (len(got.Authorities) > 0) == isProxy {
				t.Errorf("authorities: system %t, %d", got.SystemAuthorities, len(got.Authorities))
			}
			second, err := source.Credential(t.Context(), request(db, "auditor"))
			if err != nil {
				t.Fatal(err)
			}
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: host, User: "auditor", Token: second.Password}); !verdict.Allow {
				t.Errorf("a second account: %s", verdict.Reason)
			}
			other, err := source.Credential(t.Context(), request(db, "writer"))
			if err != nil {
				t.Fatal(err)
			}
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: host, User: "writer", Token: other.Password}); verdict.Allow {
				t.Error("an account that no policy allows was let in")
			}
		})
	}
}

// TestAThousandConnections lets no connection but the first wait for AWS, and each has a token of its own time.
func TestAThousandConnections(t *testing.T) {
	cloudtest.Environment(t, nil)
	synctest.Test(t, func(t *testing.T) {
		c := cloudtest.New(t, nil, cloudtest.AllowAssume)
		role := databases(t, c, cloudtest.Allow("rds-db:connect", "*"))
		source := newSource(t, c)
		target(c, instance, "db-ID")
		db := database(t, instance, func(a *resource.AWS) { a.AssumeRoleARN, a.ExternalID = role, "right"; a.RDS.InstanceID = "orders" })
		if _, err := source.Credential(t.Context(), request(db, "reader")); err != nil {
			t.Fatal(err)
		}
		c.ForgetJournal()
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				got, err := source.Credential(t.Context(), request(db, "reader"))
				if err != nil {
					t.Error(err)
				} else if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: instance, User: "reader", Token: got.Password}); !verdict.Allow {
					t.Error(verdict.Reason)
				}
			})
		}
		group.Wait()
		if calls := c.Calls("sts", ""); len(calls) > 0 {
			t.Errorf("%d calls of STS", len(calls))
		}
		// Over hours each token is accepted when it is used, 14 minutes after it was signed.
		for range 30 {
			got, err := source.Credential(t.Context(), request(db, "reader"))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Minute)
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: instance, User: "reader", Token: got.Password}); !verdict.Allow {
				t.Error(verdict.Reason)
			}
			time.Sleep(11 * time.Minute)
			if verdict := c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: instance, User: "reader", Token: got.Password}); verdict.Allow {
				t.Error("a token of 16 minutes was accepted")
			}
		}
	})
}

func TestWhatIsNotLoggedInTo(t *testing.T) {
	c := cloudtest.New(t, redshifts(), cloudtest.AllowAssume)
	source := newSource(t, c)
	rds := func(a *resource.AWS) { a.RDS.InstanceID = "orders" }
	for _, test := range []struct {
		name, host string
		change     func(*resource.AWS)
		texts      []string
	}{
		{"a host of somebody else", "orders.rds.amazonaws.com.evil.example:5432", rds, []string{"is not a host name of AWS", "endpoint as AWS shows it"}},
		{"an alias", "orders.example.com:5432", rds, []string{"is not a host name of AWS"}},
		{"an address", "169.254.169.254:80", rds, []string{"is not a host name of AWS"}},
		{"a host of another service", "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", rds, []string{"is an endpoint of Redshift, not of RDS"}},
		{"another region than configured", instance, func(a *resource.AWS) { rds(a); a.Region = "us-east-1" }, []string{"is not in region us-east-1"}},
		{"a role that does not exist", instance, func(a *resource.AWS) { rds(a); a.AssumeRoleARN = "arn:aws:iam::222222222222:role/none" }, []string{"AccessDenied", "hop 1", "trust policy"}},
		{"a cluster without permission", "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", func(a *resource.AWS) { a.Redshift.ClusterID = "warehouse"; a.AccountID = "111111111111" },
			[]string{"Could not generate Redshift IAM auth token", `"Action":"redshift:GetClusterCredentials"`, `"arn:aws:redshift:us-west-1:111111111111:dbuser:warehouse/reader"`, `"arn:aws:redshift:us-west-1:111111111111:dbname:warehouse/dev"`, "the AWS identity of the agent"}},
		{"OpenSearch", "search-logs-abcdefghijkl.us-west-1.es.amazonaws.com:443", func(a *resource.AWS) { a.OpenSearch.DomainName = "logs"; a.AccountID = "111111111111" }, []string{"opensearch, which this version cannot log in to"}},
	} {
		_, err := source.Credential(t.Context(), request(unchecked(test.host, test.change, map[bool]string{true: "opensearch", false: "postgres"}[test.name == "OpenSearch"]), "reader"))
		for _, text := range test.texts {
			if err == nil || !strings.Contains(fault.Message(err), text) {
				t.Errorf("%s: the message lacks %q: %v", test.name, text, err)
			}
		}
	}
}

// TestFilesComeFirst gives the authorities by file: none are downloaded.
func TestFilesComeFirst(t *testing.T) {
	c := cloudtest.New(t, nil)
	source := login.New(login.Config{Credentials: c.Provider(), Now: time.Now,
		Roots: roots.New(roots.Config{Dir: t.TempDir(), Client: &http.Client{Transport: bundles{nil}}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
	db := database(t, instance, func(a *resource.AWS) { a.RDS.InstanceID = "orders" })
	if _, err := source.Credential(t.Context(), request(db, "reader")); !fault.Is(err, fault.ConnectionProblem) || !strings.Contains(fault.Message(err), "tls.ca_cert_file") {
		t.Errorf("without a file: %v", err)
	}
	db.Spec.TLS.CACert = string(c.Authority().PEM())
	got, err := source.Credential(t.Context(), request(db, "reader"))
	if err != nil || len(got.Authorities) > 0 || got.SystemAuthorities {
		t.Errorf("with a file: %+v, %v", got, err)
	}
}

func TestAdvice(t *testing.T) {
	c := cloudtest.New(t, redshifts(), cloudtest.AllowAssume, cloudtest.Allow("redshift:GetClusterCredentials", "*"))
	source := newSource(t, c)
	for _, test := range []struct {
		name, host string
		change     func(*resource.AWS)
		refusal    cred.Refusal
		texts      []string // none: no advice
	}{
		{"RDS does not believe the token", instance, func(a *resource.AWS) {
			a.RDS.InstanceID, a.RDS.ResourceID, a.AccountID = "orders", "db-ABC", "111111111111"
		},
			cred.Refusal{Code: "28000", Message: `PAM authentication failed for user "reader"`},
			[]string{"(1) IAM authentication is off", "modify-db-instance --db-instance-identifier orders", `(2) the account lacks the role of IAM users: GRANT rds_iam TO "reader"`, `"rds-db:connect"`, "arn:aws:rds-db:us-west-1:111111111111:dbuser:db-ABC/reader", "(4) the clock"}},
		{"Aurora, of which nothing is known", cluster, func(a *resource.AWS) { a.RDS.ClusterID = "books" },
			cred.Refusal{Code: "28P01"}, []string{"modify-db-cluster --db-cluster-identifier books", "dbuser:RESOURCE_ID/reader", "where RESOURCE_ID is", "ACCOUNT_ID"}},
		{"RDS asks for a password", instance, func(a *resource.AWS) { a.RDS.InstanceID = "orders" }, cred.Refusal{Method: "a password in SCRAM"}, []string{"GRANT rds_iam", "IAM authentication is off"}},
		{"RDS lacks the logical database", instance, func(a *resource.AWS) { a.RDS.InstanceID = "orders" }, cred.Refusal{Code: "3D000"}, nil},
		{"a proxy does not believe the token", proxy, func(a *resource.AWS) { a.RDSProxy.Name, a.RDSProxy.ResourceID = "pool", "prx-1" }, cred.Refusal{Code: "28000"}, []string{"Secrets Manager", "REQUIRED", "dbuser:prx-1/reader"}},
		{"a proxy cannot read its secret", proxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" }, cred.Refusal{Code: "XX000", Message: "Credentials couldn't be retrieved"}, []string{"the role of the proxy", "KMS"}},
		{"a proxy has no secret of the account", proxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Code: "28000", Message: "This RDS proxy has no credentials for the role reader. Check the credentials for this role and try again."}, []string{`username "reader"`, "Secrets Manager", "REQUIRED"}},
		{"a proxy takes the token for a password", proxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Code: "28P01", Message: "The password that was provided for the role reader is wrong."}, []string{"not REQUIRED"}},
		{"a proxy does not reach its database", proxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Code: "08006", Message: "Timed-out waiting to acquire database connection."}, []string{"security group of the database", "password in the secret"}},
		{"RDS for MySQL does not believe the token", myInstance, func(a *resource.AWS) {
			a.RDS.InstanceID, a.RDS.ResourceID, a.AccountID = "shop", "db-ABC", "111111111111"
		}, cred.Refusal{Number: 1045, Code: "28000", Message: "Access denied for user 'reader'@'10.0.0.1' (using password: YES)"},
			[]string{"(1) IAM authentication is on", "(2) the account was made IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'", `{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:db-ABC/reader"}`, "(4) the clock"}},
		{"Aurora MySQL, of which nothing is known", myWriter, func(a *resource.AWS) { a.RDS.ClusterID = "books" },
			cred.Refusal{Number: 1045, Code: "28000"}, []string{"dbuser:RESOURCE_ID/reader", "where RESOURCE_ID is", "ACCOUNT_ID"}},
		{"RDS for MySQL did not ask for the token", myInstance, func(a *resource.AWS) { a.RDS.InstanceID = "shop" },
			cred.Refusal{Number: 1045, Code: "28000", Method: `a proof by "mysql_native_password"`}, []string{"did not ask for the token", "AWSAuthenticationPlugin", "modify-db-instance --db-instance-identifier shop"}},
		{"Aurora MySQL did not ask for the token", myWriter, func(a *resource.AWS) { a.RDS.ClusterID = "books" },
			cred.Refusal{Number: 1045, Code: "28000", Method: `a proof by "mysql_native_password"`}, []string{"modify-db-cluster --db-cluster-identifier books"}},
		{"RDS for MySQL is too old", myInstance, func(a *resource.AWS) { a.RDS.InstanceID = "shop" },
			cred.Refusal{Number: 1524, Code: "HY000", Message: "Plugin 'AWSAuthenticationPlugin' is not loaded"}, []string{"RDS for MariaDB 10.6", "upgrade"}},
		{"RDS for MySQL lacks the logical database", myInstance, func(a *resource.AWS) { a.RDS.InstanceID = "shop" }, cred.Refusal{Number: 1049, Code: "42000"}, nil},
		{"a proxy of MySQL does not let the account in", myProxy, func(a *resource.AWS) { a.RDSProxy.Name, a.RDSProxy.ResourceID = "pool", "prx-1" },
			cred.Refusal{Number: 1045, Code: "28000", Message: "Access denied for user 'reader'@'%' (using password: YES)"}, []string{"dbuser:prx-1/reader", `secret with username "reader"`, "REQUIRED", "(3) the clock"}},
		{"a proxy of MySQL asks for a password", myProxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Number: 1045, Code: "28000", Method: `a proof by "mysql_native_password"`}, []string{`whose username is "reader"`, "not REQUIRED"}},
		{"a proxy of MySQL does not reach its database", myProxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Number: 9501, Code: "HY000", Message: "Timed-out waiting to acquire database connection"}, []string{"security group of the database"}},
		{"a proxy of MySQL has too much to do", myProxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Number: 1040, Code: "HY000", Message: "IAM authentication rate limit exceeded"}, []string{"try again"}},
		{"a proxy of MySQL does not take a character set", myProxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Number: 1231, Code: "42000", Message: "Variable ''character_set_client'' can't be set to the value of ucs2"}, []string{"utf8mb4"}},
		{"a proxy of MySQL wants TLS, which there is", myProxy, func(a *resource.AWS) { a.RDSProxy.Name = "pool" },
			cred.Refusal{Number: 3159, Code: "HY000", Message: "This RDS Proxy requires TLS connections."}, nil},
		{"Redshift does not know the account", "warehouse.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439", func(a *resource.AWS) { a.Redshift.ClusterID = "warehouse" }, cred.Refusal{Code: "28000"}, []string{`CREATE USER "reader" PASSWORD DISABLE`}},
	} {
		protocol := "postgres"
		if strings.HasSuffix(test.host, ":3306") {
			protocol = "mysql"
		}
		got, err := source.Credential(t.Context(), request(database(t, test.host, test.change, protocol), "reader"))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		advice := got.Advice(test.refusal)
		if test.texts == nil && advice != "" {
			t.Errorf("%s: %s", test.name, advice)
		}
		for _, text := range test.texts {
			if !strings.Contains(advice, text) {
				t.Errorf("%s: the advice lacks %q: %s", test.name, text, advice)
			}
		}
	}
}
