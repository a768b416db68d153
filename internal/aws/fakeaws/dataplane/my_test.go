package dataplane_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/fakeawstest"
	"sallyport/internal/aws/fakeaws/rds"
)

// openMy is open for MySQL and MariaDB. The driver sends a password as it is only where that is allowed, and it is here.
func (d *database) openMy(t *testing.T, l login) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name, _, err := net.SplitHostPort(l.host)
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.User, config.Passwd, config.DBName = "tcp", l.host, l.user, l.password, l.database
	config.AllowCleartextPasswords, config.AllowNativePasswords = true, true
	config.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.addresses[l.host])
	}
	if !l.noTLS {
		config.TLS = &tls.Config{RootCAs: d.cloud.Authority().Pool(), ServerName: name}
		if l.serverName != "" {
			config.TLS.ServerName = l.serverName
		}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var who string
	err = db.QueryRowContext(ctx, "SELECT CONCAT(user(), '@', database())").Scan(&who)
	return who, err
}

// expectMy compares the outcome: the account, or the number and a part of the text of a refusal.
func (d *database) expectMy(t *testing.T, l login, who string, number uint16, text string) {
	t.Helper()
	got, err := d.openMy(t, l)
	if who != "" {
		if account, _, _ := strings.Cut(got, "@"); err != nil || account != who || !strings.HasSuffix(got, "@"+l.database) {
			t.Errorf("got %q, %v", got, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %q, %v", got, err)
	}
	if refused, ok := errors.AsType[*mysql.MySQLError](err); number != 0 && (!ok || refused.Number != number) {
		t.Errorf("got %v, want number %d", err, number)
	}
}

const mySetup = `
CREATE DATABASE shop;
CREATE USER alice IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'; GRANT SELECT ON shop.* TO alice;
CREATE USER bob IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'; GRANT SELECT ON shop.* TO bob;
CREATE USER carol IDENTIFIED BY 'secret'; GRANT SELECT ON shop.* TO carol;
CREATE USER ` + "`Dora, the 2nd`" + ` IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'; GRANT SELECT ON shop.* TO ` + "`Dora, the 2nd`"

func TestRDSForMySQLAndMariaDB(t *testing.T) {
	for _, engine := range []dataplane.Engine{dataplane.MariaDB, dataplane.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			c, k, keys := aurora(t, "aurora-mysql")
			names := fakeaws.Names{}
			for _, addr := range k.Addrs() {
				names.DNSNames = append(names.DNSNames, strings.TrimSuffix(addr, ":3306"))
			}
			d := start(t, c, dataplane.Config{Kind: dataplane.RDS, Engine: engine, Certificate: certificate(t, c, names), Setup: mySetup,
				VerifyCommand: fakeawstest.VerifyCommand(t, c.World)}, k.Addrs()...)
			writer, reader, custom := k.Addrs()[0], k.Addrs()[1], k.Addrs()[2]
			token := func(host, user string) string { return c.Token(t, keys, "rds-db", host, "DBUser", user) }
			const refused = "Access denied for user "
			for _, one := range []struct {
				rule   string
				login  login
				who    string
				number uint16
				text   string
			}{
				{"a token for the writer", login{host: writer, user: "alice", password: token(writer, "alice")}, "alice", 0, ""},
				{"a token for the reader", login{host: reader, user: "alice", password: token(reader, "alice")}, "alice", 0, ""},
				{"a token for the custom endpoint", login{host: custom, user: "alice", password: token(custom, "alice")}, "alice", 0, ""},
				{"a token for another endpoint of the same cluster", login{host: custom, user: "alice", password: token(writer, "alice")}, "", 1045, refused + "'alice'"},
				{"a token for another user", login{host: writer, user: "alice", password: token(writer, "carol")}, "", 1045, refused + "'alice'"},
				{"a token changed by one letter", login{host: writer, user: "alice", password: token(writer, "alice") + "0"}, "", 1045, refused + "'alice'"},
				{"a name with a comma", login{host: writer, user: "Dora, the 2nd", password: token(writer, "Dora, the 2nd")}, "Dora, the 2nd", 0, ""},
				{"a user whom the policy denies", login{host: writer, user: "bob", password: token(writer, "bob")}, "", 1045, refused + "'bob'"},
				{"a token of one without the plugin", login{host: writer, user: "carol", password: token(writer, "carol")}, "", 1045, refused + "'carol'"},
				{"a user that does not exist", login{host: writer, user: "ghost", password: token(writer, "ghost")}, "", 1045, refused + "'ghost'"},
				{"without TLS", login{host: writer, user: "alice", password: token(writer, "alice"), noTLS: true}, "", 1045, refused + "'alice'"},
			} {
				t.Run(one.rule, func(t *testing.T) {
					one.login.database = "shop"
					d.expectMy(t, one.login, one.who, one.number, one.text)
				})
			}
			good := login{host: writer, user: "alice", database: "shop", password: token(writer, "alice")}
			exec := func(sql string) {
				if _, err := d.Exec(t.Context(), "mysql", sql); err != nil {
					t.Fatal(err)
				}
			}
			exec("ALTER USER alice IDENTIFIED BY 'secret'")
			d.expectMy(t, good, "", 1045, refused)
			exec("ALTER USER alice IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'")
			d.expectMy(t, good, "alice", 0, "")
			c.Clock.Advance(15*time.Minute + time.Second)
			d.expectMy(t, good, "", 1045, refused)
		})
	}
}

func TestProxyForMySQLAndMariaDB(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	r := rds.New(c.World)
	c.Add(r.Service())
	p := &rds.Proxy{Place: fakeawstest.Here, Name: "front", EngineFamily: "MYSQL", Endpoints: []*rds.ProxyEndpoint{{Name: "reads"}}}
	if err := r.Add(p); err != nil {
		t.Fatal(err)
	}
	d := start(t, c, dataplane.Config{Kind: dataplane.Proxy, Engine: dataplane.MySQL, Certificate: certificate(t, c, fakeaws.Names{DNSNames: []string{p.CertificateName()}}),
		Setup: "CREATE DATABASE shop; CREATE USER app IDENTIFIED BY 'alice''s secret'; GRANT SELECT ON shop.* TO app; CREATE USER stale IDENTIFIED BY 'secret'; CREATE USER old IDENTIFIED BY 'of old'; GRANT SELECT ON shop.* TO old",
		Secret: func(_, user string) (fakeaws.Secret, bool) {
			secret, ok := map[string]fakeaws.Secret{"alice": {User: "app", Password: "alice's secret"}, "stale": {User: "stale", Password: "changed since"}, "old": {User: "old", Password: "of old", IAMOff: true}}[user]
			return secret, ok
		}}, p.Addrs()...)
	keys := c.User(t, "u", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:111111111111:dbuser:`+p.ResourceID+`/*"}]}`)
	token := func(host, user string) login {
		return login{host: host, user: user, database: "shop", password: c.Token(t, keys, "rds-db", host, "DBUser", user)}
	}
	main, custom := p.Addrs()[0], p.Addrs()[1]
	d.expectMy(t, token(main, "alice"), "app", 0, "")
	d.expectMy(t, token(custom, "alice"), "", 0, "certificate is valid for *.proxy-")
	with := func(l login, change func(*login)) login { change(&l); return l }
	named := func(l *login) { l.serverName = strings.TrimSuffix(main, ":3306") }
	const refused = "Access denied for user "
	for _, one := range []struct {
		rule   string
		login  login
		who    string
		number uint16
		text   string
	}{
		{"a custom endpoint, with the default endpoint's name", with(token(custom, "alice"), named), "app", 0, ""},
		{"a custom endpoint with a token for the default one", with(token(main, "alice"), func(l *login) { l.host = custom; named(l) }), "", 1045, refused + "'alice'"},
		{"a token for another user", with(token(main, "bob"), func(l *login) { l.user = "alice" }), "", 1045, refused + "'alice'"},
		{"a user without a secret", token(main, "bob"), "", 1045, refused + "'bob'"},
		{"a secret that is wrong", token(main, "stale"), "", 1045, refused + "'stale'"},
		{"the database's own password", login{host: main, user: "alice", database: "shop", password: "alice's secret"}, "", 1045, refused},
		{"a database that does not exist", with(token(main, "alice"), func(l *login) { l.database = "none" }), "", 1044, "Access denied for user 'app'@'%' to database 'none'"},
		{"without TLS", with(token(main, "alice"), func(l *login) { l.noTLS = true }), "", 3159, "requires TLS"},
		{"the password of one without IAM", login{host: main, user: "old", database: "shop", password: "of old"}, "old", 0, ""},
		{"a token of one without IAM", token(main, "old"), "", 1045, refused + "'old'"},
	} {
		t.Run(one.rule, func(t *testing.T) { d.expectMy(t, one.login, one.who, one.number, one.text) })
	}
}

// TestFrontOfMySQLWithoutTLS has a front without a certificate, which a careful client leaves.
func TestFrontOfMySQLWithoutTLS(t *testing.T) {
	t.Parallel()
	c := fakeawstest.New(t)
	const host = "orders.abcdef012345.us-west-1.rds.amazonaws.com:3306"
	d := start(t, c, dataplane.Config{Kind: dataplane.RDS, Engine: dataplane.MySQL}, host)
	d.expectMy(t, login{host: host, user: "alice", password: "x"}, "", 0, "does not support TLS")
}
