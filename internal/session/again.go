package session

import (
	"context"
	"errors"
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
