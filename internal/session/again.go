package session

import (
	"context"
	"errors"

	"sallyport/internal/fault"
)

// DialAgain opens another connection to the database of a session that is open already, for a request
// that the protocol wants on a connection of its own. Address, account and TLS settings are those of the
// first one. The caller closes its Conn. Safe for concurrent use once Open has returned.
func (s *Session) DialAgain(ctx context.Context) (*Upstream, error) {
	if s.way.tls == nil {
		return nil, errors.New("the session has not reached its database")
	}
	conn, err := s.way.dial(ctx)
	if err != nil {
		return nil, err
	}
	return s.way.upstream(conn, s.way.credential), nil
}

// LogInAgain is DialAgain for a connection that is to be logged in to: a password or token, which may be good for minutes
// only, is got anew.
func (s *Session) LogInAgain(ctx context.Context) (*Upstream, error) {
	up, err := s.DialAgain(ctx)
	if err != nil || up.Password == "" {
		return up, err
	}
	fresh, err := s.credential(ctx, s.account, s.asked)
	if err == nil && (fresh.Password == "" || fresh.Address != s.way.credential.Address) {
		err = fault.New(fault.ConnectionProblem, "the credential for database %q has changed; connect again", s.cfg.Database.GetName())
	}
	if err != nil {
		_ = up.Conn.Close() // nothing was said on it
		return nil, err
	}
	return s.way.upstream(up.Conn, fresh), nil
}

// DialMember opens a connection to another member, at host:port, of the database of a session that is open already.
// What it shows is verified for that host; account and credential are those of the first one, which must be good for that
// address. The caller closes its Conn. Safe for concurrent use once Open has returned.
func (s *Session) DialMember(ctx context.Context, address string) (*Upstream, error) {
	if s.way.tls == nil {
		return nil, errors.New("the session has not reached its database")
	}
	credential := s.way.credential
	if credential.Address != "" && (credential.Member == nil || !credential.Member(address)) {
		return nil, fault.New(fault.ConnectionProblem, "the database at %s refers to %s, and the credential is for the former only", s.way.address, address)
	}
	member := s.way
	if err := member.useAt(credential, address); err != nil {
		return nil, err
	}
	conn, err := member.dial(ctx)
	if err != nil {
		return nil, err
	}
	return member.upstream(conn, credential), nil
}
