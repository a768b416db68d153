package dataplane_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	redshiftsdk "github.com/aws/aws-sdk-go-v2/service/redshift"
	serverlesssdk "github.com/aws/aws-sdk-go-v2/service/redshiftserverless"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/rds"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
)

func TestRedshift(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	r := redshift.New(c.World)
	c.Add(r.Service())
	k := &redshift.Cluster{Place: fakeawstest.Here, ID: "dw"}
	if err := r.Add(k); err != nil {
		t.Fatal(err)
	}
	host := fmt.Sprintf("%s:%d", k.Host, k.Port)
	d := start(t, c, dataplane.Config{Kind: dataplane.Redshift, Certificate: certificate(t, c, fakeaws.Names{DNSNames: []string{k.Host}}),
		Setup: "CREATE ROLE alice LOGIN; CREATE DATABASE dev; CREATE DATABASE prod"}, host)
	client := redshiftsdk.NewFromConfig(c.Config(c.Admin, fakeawstest.Region))
	issue := func(user string, create bool) login {
		out, err := client.GetClusterCredentials(t.Context(), &redshiftsdk.GetClusterCredentialsInput{ClusterIdentifier: &k.ID, DbUser: &user, DbName: aws.String("dev"), AutoCreate: &create})
		if err != nil {
			t.Fatal(err)
		}
		return login{host: host, user: *out.DbUser, database: "dev", password: *out.DbPassword}
	}
	role, err := c.Account.AddRole(fakeaws.Role{Name: "Reader", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
		Permissions: fakeaws.Permissions{Inline: map[string]string{"p": fakeawstest.Everything}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := redshiftsdk.NewFromConfig(c.Config(role.Session("s1", time.Hour), fakeawstest.Region)).GetClusterCredentialsWithIAM(t.Context(),
		&redshiftsdk.GetClusterCredentialsWithIAMInput{ClusterIdentifier: &k.ID, DbName: aws.String("dev")})
	if err != nil {
		t.Fatal(err)
	}
	asRole := login{host: host, user: *out.DbUser, database: "dev", password: *out.DbPassword}
	alice := issue("alice", false)
	const refused = "password authentication failed for user "
	with := func(l login, change func(*login)) login { change(&l); return l }
	for _, one := range []struct {
		rule       string
		login      login
		who        string
		code, text string
	}{
		{"an existing user", alice, "alice@dev", "", ""},
		{"the name that was asked for instead of the one returned", with(alice, func(l *login) { l.user = "alice" }), "", "28000", refused + `"alice"`},
		{"another user", with(alice, func(l *login) { l.user = "IAM:bob" }), "", "28000", refused + `"IAM:bob"`},
		{"another database", with(alice, func(l *login) { l.database = "prod" }), "", "28000", refused + `"IAM:alice"`},
		{"a wrong password", with(alice, func(l *login) { l.password += "x" }), "", "28000", refused + `"IAM:alice"`},
		{"without TLS", with(alice, func(l *login) { l.noTLS = true }), "", "28000", "SSL off"},
		{"a user that does not exist", issue("ghost", false), "", "28000", refused + `"IAM:ghost"`},
		{"a user to be made", issue(`o'neil "x" \ $do$`, true), `o'neil "x" \ $do$@dev`, "", ""},
		{"a role", asRole, "IAMR:reader@dev", "", ""},
		{"the role once more", asRole, "IAMR:reader@dev", "", ""},
	} {
		t.Run(one.rule, func(t *testing.T) { d.expect(t, one.login, one.who, one.code, one.text) })
	}
	c.Clock.Advance(15*time.Minute + time.Second)
	d.expect(t, alice, "", "28000", refused)
}

func TestRedshiftServerless(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	s := redshiftserverless.New(c.World)
	c.Add(s.Service())
	g := &redshiftserverless.Workgroup{Place: fakeawstest.Here, Name: "sales", Endpoints: []*redshiftserverless.Endpoint{{Name: "inner"}}}
	if err := s.Add(g); err != nil {
		t.Fatal(err)
	}
	workgroup, inner := g.Host+":5439", g.Endpoints[0].Host+":5439"
	d := start(t, c, dataplane.Config{Kind: dataplane.RedshiftServerless, Certificate: certificate(t, c, fakeaws.Names{DNSNames: []string{g.Host}}),
		Setup: "CREATE DATABASE dev"}, workgroup, inner)
	out, err := serverlesssdk.NewFromConfig(c.Config(c.Admin, fakeawstest.Region)).GetCredentials(t.Context(), &serverlesssdk.GetCredentialsInput{WorkgroupName: &g.Name, DbName: aws.String("dev")})
	if err != nil {
		t.Fatal(err)
	}
	good := login{host: workgroup, user: *out.DbUser, database: "dev", password: *out.DbPassword}
	d.expect(t, good, "IAM:admin@dev", "", "")
	good.host = inner // its certificate is the workgroup's
	d.expect(t, good, "", "", "certificate is valid for "+g.Host)
	good.serverName = g.Host
	d.expect(t, good, "IAM:admin@dev", "", "")
	good.password += "x"
	d.expect(t, good, "", "28000", `password authentication failed for user "IAM:admin"`)
}

func TestProxy(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	r := rds.New(c.World)
	c.Add(r.Service())
	p := &rds.Proxy{Place: fakeawstest.Here, Name: "front", Endpoints: []*rds.ProxyEndpoint{{Name: "reads"}}}
	if err := r.Add(p); err != nil {
		t.Fatal(err)
	}
	d := start(t, c, dataplane.Config{Kind: dataplane.Proxy, Certificate: certificate(t, c, fakeaws.Names{DNSNames: []string{p.CertificateName()}}),
		Setup: "CREATE ROLE app LOGIN PASSWORD 'alice''s secret'; CREATE ROLE stale LOGIN PASSWORD 'secret'",
		Secret: func(_, user string) (fakeaws.Secret, bool) {
			secret, ok := map[string]fakeaws.Secret{"alice": {User: "app", Password: "alice's secret"}, "stale": {User: "stale", Password: "changed since"}}[user]
			return secret, ok
		}}, p.Addrs()...)
	keys := c.User(t, "u", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:`+p.ResourceID+`/*"}]}`)
	token := func(host, user string) login {
		return login{host: host, user: user, database: "postgres", password: c.Token(t, keys, "rds-db", host, "DBUser", user)}
	}
	main, custom := p.Addrs()[0], p.Addrs()[1]
	d.expect(t, token(main, "alice"), "app@postgres", "", "")
	d.expect(t, token(custom, "alice"), "", "", "certificate is valid for *.proxy-")
	with := func(l login, change func(*login)) login { change(&l); return l }
	named := func(l *login) { l.serverName = strings.TrimSuffix(main, ":5432") }
	const refused = "The IAM authentication failed for the role "
	for _, one := range []struct {
		rule       string
		login      login
		who        string
		code, text string
	}{
		{"a custom endpoint, with the default endpoint's name", with(token(custom, "alice"), named), "app@postgres", "", ""},
		{"a custom endpoint with a token for the default one", with(token(main, "alice"), func(l *login) { l.host = custom; named(l) }), "", "28000", refused + "alice"},
		{"a token for another user", with(token(main, "bob"), func(l *login) { l.user = "alice" }), "", "28000", refused + "alice"},
		{"a user without a secret", token(main, "bob"), "", "28000", "has no credentials for the role bob"},
		{"a secret that is wrong", token(main, "stale"), "", "28P01", "password authentication failed"},
		{"the database's own password", login{host: main, user: "alice", database: "postgres", password: "alice's secret"}, "", "28000", refused},
		{"a database that does not exist", with(token(main, "alice"), func(l *login) { l.database = "none" }), "", "3D000", "does not exist"},
		{"without TLS", with(token(main, "alice"), func(l *login) { l.noTLS = true }), "", "28000", "requires TLS"},
	} {
		t.Run(one.rule, func(t *testing.T) { d.expect(t, one.login, one.who, one.code, one.text) })
	}
}
