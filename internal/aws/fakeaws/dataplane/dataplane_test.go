package dataplane_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/fakeawstest"
)

// database is a data plane in a cloud, with clients that reach it under its own names.
type database struct {
	*dataplane.Plane
	cloud     *fakeawstest.Cloud
	addresses map[string]string // where a host really listens
}

func start(t *testing.T, c *fakeawstest.Cloud, config dataplane.Config, hosts ...string) *database {
	t.Helper()
	config.Judge = c.Verify
	for _, host := range hosts {
		config.Endpoints = append(config.Endpoints, dataplane.Endpoint{Host: host, Listen: "127.0.0.1:0"})
	}
	plane, err := dataplane.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	d := &database{plane, c, map[string]string{}}
	t.Cleanup(func() {
		plane.Stop()
		if t.Failed() {
			t.Logf("log of the server:\n%s", plane.Log())
		}
	})
	for i, address := range plane.Addresses() {
		d.addresses[hosts[i]] = address
	}
	return d
}

func certificate(t *testing.T, c *fakeawstest.Cloud, names fakeaws.Names) *tls.Certificate {
	t.Helper()
	issued, err := c.Authority().Issue(names)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// login connects as a client does that checks the name of the server; serverName "" is the host's own.
type login struct {
	host, user, database, password string
	serverName                     string
	noTLS                          bool
}

// open logs in and says who the server takes it for.
func (d *database) open(t *testing.T, l login) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config, err := pgx.ParseConfig("postgres://")
	if err != nil {
		t.Fatal(err)
	}
	name, _, err := net.SplitHostPort(l.host)
	if err != nil {
		t.Fatal(err)
	}
	config.Host, config.Port, config.User, config.Database, config.Password = name, 5432, l.user, l.database, l.password
	config.Fallbacks = nil
	config.TLSConfig = &tls.Config{RootCAs: d.cloud.Authority().Pool(), ServerName: name}
	if l.serverName != "" {
		config.TLSConfig.ServerName = l.serverName
	}
	if l.noTLS {
		config.TLSConfig = nil
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	config.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.addresses[l.host])
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var who string
	err = conn.QueryRow(ctx, "SELECT current_user || '@' || current_database()").Scan(&who)
	return who, err
}

// expect compares the outcome: who, or the code and a part of the text of a refusal.
func (d *database) expect(t *testing.T, l login, who, code, text string) {
	t.Helper()
	got, err := d.open(t, l)
	if who != "" {
		if err != nil || got != who {
			t.Errorf("got %q, %v", got, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %q, %v", got, err)
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); code != "" && (!ok || refused.Code != code) {
		t.Errorf("got %v, want code %s", err, code)
	}
}

func TestStrangeCertificates(t *testing.T) {
	c := fakeawstest.New(t)
	const host = "orders.abcdef012345.us-west-1.rds.amazonaws.com"
	other := fakeawstest.New(t)
	for _, one := range []struct {
		rule, text  string
		certificate *tls.Certificate
	}{
		{"only a common name", "legacy Common Name", certificate(t, c, fakeaws.Names{CommonName: host})},
		{"another authority", "unknown authority", certificate(t, other, fakeaws.Names{DNSNames: []string{host}})},
		{"none", "refused TLS", nil},
	} {
		t.Run(one.rule, func(t *testing.T) {
			t.Parallel()
			d := start(t, c, dataplane.Config{Kind: dataplane.RDS, Certificate: one.certificate}, host+":5432")
			d.expect(t, login{host: host + ":5432", user: "alice", database: "postgres", password: "x"}, "", "", one.text)
		})
	}
}
