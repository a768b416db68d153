package dataplane_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/realserver"
)

const setup = `
CREATE ROLE alice LOGIN; GRANT rds_iam TO alice;
CREATE ROLE bob LOGIN; GRANT rds_iam TO bob;
CREATE ROLE carol LOGIN PASSWORD 'secret';
CREATE ROLE "Dora, the 2nd" LOGIN; GRANT rds_iam TO "Dora, the 2nd";`

// aurora is a cluster with IAM authentication, and keys of one who may connect to it as anybody but bob.
func aurora(t *testing.T, engine string) (*fakeawstest.Cloud, *rds.Cluster, fakeaws.Keys) {
	t.Helper()
	c := fakeawstest.New(t)
	r := rds.New(c.World)
	c.Add(r.Service())
	k := &rds.Cluster{Place: fakeawstest.Here, ID: "orders", Engine: engine, IAMAuth: true, Members: []rds.Member{{ID: "orders-1", Writer: true}}, CustomEndpoints: []string{"analysts"}}
	if err := r.Add(k); err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:rds-db:us-west-1:111111111111:dbuser:"
	role, err := c.Account.AddRole(fakeaws.Role{Name: "agent", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		Permissions: fakeaws.Permissions{Inline: map[string]string{"p": `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"rds-db:connect","Resource":"` + arn + k.ResourceID + `/*"},
			{"Effect":"Deny","Action":"rds-db:connect","Resource":"` + arn + k.ResourceID + `/bob"}]}`}}})
	if err != nil {
		t.Fatal(err)
	}
	return c, k, role.Session("i-1", time.Hour) // tokens of a session are longer than 511 bytes
}

func TestRDS(t *testing.T) {
	for _, authentication := range []dataplane.Authentication{dataplane.LDAP, dataplane.PAM} {
		t.Run(string(authentication), func(t *testing.T) {
			t.Parallel()
			c, k, keys := aurora(t, "aurora-postgresql")
			names := fakeaws.Names{}
			for _, addr := range k.Addrs() {
				names.DNSNames = append(names.DNSNames, strings.TrimSuffix(addr, ":5432"))
			}
			d := start(t, c, dataplane.Config{Kind: dataplane.RDS, Certificate: certificate(t, c, names), Setup: setup, Authentication: authentication,
				VerifyCommand: fakeawstest.VerifyCommand(t, c.World)}, k.Addrs()...)
			writer, reader, custom := k.Addrs()[0], k.Addrs()[1], k.Addrs()[2]
			refused := strings.ToUpper(string(authentication)) + " authentication failed for user "
			token := func(host, user string) string { return c.Token(t, keys, "rds-db", host, "DBUser", user) }
			if n := len(token(writer, "alice")); n < 1000 {
				t.Errorf("a token of %d bytes proves little", n)
			}
			for _, one := range []struct {
				rule       string
				login      login
				who        string
				code, text string
			}{
				{"a token for the writer", login{host: writer, user: "alice", password: token(writer, "alice")}, "alice@postgres", "", ""},
				{"a token for the reader", login{host: reader, user: "alice", password: token(reader, "alice")}, "alice@postgres", "", ""},
				{"a token for the custom endpoint", login{host: custom, user: "alice", password: token(custom, "alice")}, "alice@postgres", "", ""},
				{"a token for another endpoint of the same cluster", login{host: custom, user: "alice", password: token(writer, "alice")}, "", "28000", refused + `"alice"`},
				{"a token for another user", login{host: writer, user: "alice", password: token(writer, "carol")}, "", "28000", refused + `"alice"`},
				{"a token changed by one letter", login{host: writer, user: "alice", password: token(writer, "alice") + "0"}, "", "28000", refused + `"alice"`},
				{"a name with a comma", login{host: writer, user: "Dora, the 2nd", password: token(writer, "Dora, the 2nd")}, "Dora, the 2nd@postgres", "", ""},
				{"a user whom the policy denies", login{host: writer, user: "bob", password: token(writer, "bob")}, "", "28000", refused + `"bob"`},
				{"a password of one without rds_iam", login{host: writer, user: "carol", password: "secret"}, "carol@postgres", "", ""},
				{"a token of one without rds_iam", login{host: writer, user: "carol", password: token(writer, "carol")}, "", "28P01", "password authentication failed"},
				{"without TLS", login{host: writer, user: "alice", password: token(writer, "alice"), noTLS: true}, "", "28000", "no encryption"},
			} {
				t.Run(one.rule, func(t *testing.T) {
					one.login.database = "postgres"
					d.expect(t, one.login, one.who, one.code, one.text)
				})
			}
			good := login{host: writer, user: "alice", database: "postgres", password: token(writer, "alice")}
			exec := func(sql string) {
				if _, err := d.Exec(t.Context(), "postgres", sql); err != nil {
					t.Fatal(err)
				}
			}
			exec("REVOKE rds_iam FROM alice")
			d.expect(t, good, "", "28P01", "password authentication failed")
			exec("GRANT rds_iam TO alice")
			d.expect(t, good, "alice@postgres", "", "")
			c.Clock.Advance(15*time.Minute + time.Second)
			d.expect(t, good, "", "28000", refused)
		})
	}
}

// TestMain makes this program a verifier when PAM runs it.
func TestMain(m *testing.M) {
	realserver.Undisturbed()
	fakeawstest.Main(m)
}
