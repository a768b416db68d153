package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

const dialTimeout = 10 * time.Second

// way leads to one database: where it is dialled, and whose certificate it may show.
type way struct {
	database *resource.Database
	dialer   func(ctx context.Context, network, address string) (net.Conn, error)

	tls        *tls.Config // nil until a credential is used
	credential *cred.Credential
	account    string // in the database
	address    string // that is dialled
	// authorities says in words where the accepted ones are from; may be empty
	authorities string
	// shaken is told of each TLS handshake; may be nil.
	shaken func(conn *tls.Conn, err error)
}

// use has the way lead where the credential is for, or else to the address, or else to the database's URI.
func (w *way) use(credential *cred.Credential, address string) error {
	return w.useAt(credential, cmp.Or(credential.Address, address, w.database.Spec.URI))
}

// useAt has the way lead to the address, where the credential is to be shown.
func (w *way) useAt(credential *cred.Credential, address string) error {
	if (credential.Password != "" || credential.Prove != nil) && w.database.Spec.TLS.Mode == resource.TLSInsecure {
		return fault.New(fault.BadParameter, "database %q has tls.mode insecure, and a password is sent only to a database whose certificate was verified; set tls.mode to verify-full", w.database.GetName())
	}
	w.credential, w.authorities, w.account = credential, credential.AuthoritiesFrom, credential.User
	w.address = address
	var err error
	w.tls, err = tlsConfig(w.database, w.address, credential)
	return err
}

func (w *way) upstream(conn net.Conn, credential *cred.Credential) *Upstream {
	return &Upstream{Conn: conn, User: credential.User, Password: credential.Password, Token: credential.Token, Lasts: credential.Lasts, Renew: credential.Renew,
		Prove: credential.Prove, way: w, advice: credential.Advice}
}

func (w *way) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := w.dialer(ctx, "tcp", w.address)
	if err != nil {
		return nil, w.explainDial(err)
	}
	return conn, nil
}

func (w *way) explainDial(err error) error {
	if _, known := errors.AsType[*fault.Error](err); known {
		return err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return w.explainName(dns, err)
	}
	if !w.database.InAWS() {
		return fault.Wrap(fault.ConnectionProblem, err, "the database at %s cannot be reached from the agent: %s; check that it runs and that a firewall lets the agent in", w.address, dialReason(err))
	}
	where := ""
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		where = " (" + op.Addr.String() + ")"
	}
	return fault.Wrap(fault.ConnectionProblem, err,
		"the database at %s%s cannot be reached from the agent: %s; check that its security group lets the agent in, and that there is a route to its subnets: nc -zv %s",
		w.address, where, dialReason(err), strings.Replace(w.address, ":", " ", 1))
}

// explainName says that the name of the database has no address, which is no matter of firewalls.
func (w *way) explainName(dns *net.DNSError, err error) error {
	switch {
	case dns.IsTimeout:
		return fault.Wrap(fault.ConnectionProblem, err, "the name server of the agent does not answer for %s, the name of database %q; check the agent's DNS settings", dns.Name, w.database.GetName())
	case w.database.InAWS():
		return fault.Wrap(fault.ConnectionProblem, err, "the name %s of database %q cannot be resolved by the agent (no such host); check that the database still exists, and that the agent uses the DNS of a VPC that knows its private name", dns.Name, w.database.GetName())
	default:
		return fault.Wrap(fault.ConnectionProblem, err, "the name %s of database %q cannot be resolved by the agent (no such host); correct its uri, or the agent's DNS settings", dns.Name, w.database.GetName())
	}
}

func dialReason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}
