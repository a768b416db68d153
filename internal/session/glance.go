package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Glance is a look at one address of a database from outside: the door for checks of its health. There is no account and no
// credential behind it, so that nothing can be done there but to find out whether sessions would get so far. What is told is
// what sessions would be told. All fields must be set.
type Glance struct {
	Database *resource.Database
	Address  string // host:port
	// Knock finds out whether anybody listens at an address.
	Knock func(ctx context.Context, address string) error
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	// Trusted says whose certificate the database may show; other fields of the credential are not used.
	Trusted func(ctx context.Context, db *resource.Database) (*cred.Credential, error)
}

// Listens finds out whether anybody listens at the address.
func (g Glance) Listens(ctx context.Context) error {
	if err := g.Knock(ctx, g.Address); err != nil {
		return g.way().explainDial(err)
	}
	return nil
}

// ErrNotTrusted is in the error of a look for which it is not known whose certificate the database may show.
var ErrNotTrusted = errors.New("trusted authorities are not known")

// Shakes dials the address, has the database asked for TLS on an Upstream without an account, does the handshake, and hangs up.
func (g Glance) Shakes(ctx context.Context, ask func(up *Upstream) error) error {
	w := g.way()
	trusted, err := g.Trusted(ctx, g.Database)
	if err == nil {
		err = w.useAt(&cred.Credential{Authorities: trusted.Authorities, SystemAuthorities: trusted.SystemAuthorities, AuthoritiesFrom: trusted.AuthoritiesFrom}, g.Address)
	}
	if err != nil {
		return errors.Join(err, ErrNotTrusted)
	}
	conn, err := g.Dial(ctx, "tcp", g.Address)
	if err != nil {
		return w.explainDial(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	up := w.upstream(conn, w.credential)
	var secured *tls.Conn
	if err = ask(up); err == nil {
		if secured, err = up.StartTLS(ctx); err == nil {
			_ = secured.CloseWrite() // says goodbye; the database will notice anyhow
		}
	}
	if err != nil && ctx.Err() != nil {
		err = fault.Wrap(fault.ConnectionProblem, ctx.Err(), "the database at %s accepts connections and did not complete the TLS handshake in time; check its load, and whether its process is stopped", g.Address)
	}
	return err
}

func (g Glance) way() *way {
	return &way{database: g.Database, dialer: g.Dial, address: g.Address}
}
