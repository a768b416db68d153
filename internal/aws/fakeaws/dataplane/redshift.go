package dataplane

import (
	"context"
	"fmt"
	"net"
	"strings"

	"sallyport/internal/aws/fakeaws"
)

// redshiftOpener lets in who has a password that was issued, under the names that Redshift gives: IAM:name is the database
// user name, or one of the whole name, and must exist; IAMA:name is name and is made if need be. IAMR:role, and all names
// of Redshift Serverless, are users of the whole name that are made at their first login.
type redshiftOpener struct {
	config Config
	plane  *Plane
}

func (o redshiftOpener) clear(parameters map[string]string, client net.Addr) error {
	host, _, _ := net.SplitHostPort(client.String())
	return refusef("28000", "no pg_hba.conf entry for host \"%s\", user \"%s\", database \"%s\", SSL off", host, parameters["user"], parameters["database"])
}

func (o redshiftOpener) open(ctx context.Context, endpoint Endpoint, parameters map[string]string, password string) (account, error) {
	name := parameters["user"]
	failed := refusef("28000", "password authentication failed for user \"%s\"", name)
	service := fakeaws.Redshift
	if o.config.Kind == RedshiftServerless {
		service = fakeaws.RedshiftServerless
	}
	host, _, err := net.SplitHostPort(endpoint.Host)
	if err != nil {
		host = endpoint.Host
	}
	verdict := o.config.Judge(fakeaws.Login{Service: service, Host: host, User: name, Database: parameters["database"], Token: password})
	if !verdict.Allow {
		return account{}, failed
	}
	kind, user, ok := strings.Cut(name, ":")
	if !ok {
		return account{}, failed
	}
	switch {
	case kind == "IAM" && service == fakeaws.Redshift:
		known, err := o.plane.Exec(ctx, "postgres", "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname = "+literal(user))
		if err != nil {
			return account{}, err
		}
		if known == "1" {
			return account{user: user}, nil
		}
		own, err := o.plane.Exec(ctx, "postgres", "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname = "+literal(name))
		if err != nil {
			return account{}, err
		}
		if own != "1" {
			return account{}, failed
		}
		return account{user: name}, nil
	case kind == "IAMA":
		name = user
	}
	return account{user: name}, o.create(ctx, name)
}

// create makes a user that is not there yet.
func (o redshiftOpener) create(ctx context.Context, name string) error {
	create := "CREATE ROLE " + identifier(name) + " LOGIN"
	_, err := o.plane.Exec(ctx, "postgres", fmt.Sprintf("DO $do$ BEGIN EXECUTE %s; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $do$", literal(create)))
	return err
}

func literal(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "$", `\x24`).Replace(text) + "'"
}

func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// proxyOpener verifies tokens for the proxy's own resource, and logs in behind with a secret.
type proxyOpener struct{ config Config }

func (o proxyOpener) clear(map[string]string, net.Addr) error {
	return refusef("28000", "This RDS Proxy requires TLS connections")
}

func (o proxyOpener) open(_ context.Context, endpoint Endpoint, parameters map[string]string, password string) (account, error) {
	user := parameters["user"]
	if o.config.Secret == nil {
		return account{}, refusef("28000", "This RDS proxy has no credentials for the role %s. Check the credentials for this role and try again.", user)
	}
	verdict := o.config.Judge(fakeaws.Login{Service: fakeaws.RDSConnect, Host: endpoint.Host, User: user, Token: password})
	secret, ok := o.config.Secret(endpoint.Host, user)
	switch {
	case ok && secret.IAMOff && password != secret.Password:
		return account{}, refusef("28P01", "The password that was provided for the role %s is wrong.", user)
	case !verdict.Allow && !(ok && secret.IAMOff):
		return account{}, refusef("28000", "The IAM authentication failed for the role %s. Check the IAM token for this role and try again.", user)
	case !ok:
		return account{}, refusef("28000", "This RDS proxy has no credentials for the role %s. Check the credentials for this role and try again.", user)
	}
	return account{user: secret.User, password: secret.Password}, nil
}
