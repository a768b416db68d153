package mysql

import (
	"context"
	"net"
	"sync"
	"time"

	"sallyport/internal/mysqlwire"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// known is what the greeting of a database said. Clients get the same from us, who greet them before the database
// may be dialled for them.
type known struct {
	version   string
	flags     mysqlwire.Flags
	collation byte
}

// servers remembers the greetings of databases, by address. Nobody vouches for them: they come before TLS. So they
// decide nothing but what clients are told, and what is agreed on with a client is checked again after the login.
type servers struct {
	mu     sync.Mutex
	byAddr map[string]known // guarded by mu
}

// common is what is assumed of a database that has not greeted yet.
var common = known{version: mysqlwire.AssumedVersion, flags: mysqlwire.AssumedFlags, collation: mysqlwire.AssumedCollation}

// of returns what clients of the database are told. A version that an administrator has set wins.
func (s *servers) of(db *resource.Database) known {
	s.mu.Lock()
	k, ok := s.byAddr[db.Spec.URI]
	s.mu.Unlock()
	if !ok {
		k = common
		if db.Status.MySQL.ServerVersion != "" {
			k.version = db.Status.MySQL.ServerVersion
		}
	}
	if db.Spec.MySQL.ServerVersion != "" {
		k.version = db.Spec.MySQL.ServerVersion
	}
	return k
}

// note remembers a greeting.
func (s *servers) note(db *resource.Database, g *mysqlwire.Greeting) {
	k := known{version: g.Version, flags: g.Flags, collation: g.Collation}
	if !mysqlwire.IsVersion(k.version) {
		k.version = common.version
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAddr == nil {
		s.byAddr = make(map[string]known)
	}
	s.byAddr[db.Spec.URI] = k
}

// passed are the flags that are agreed on with the client and the database alike. What they change in the protocol
// the relay understands. Not among them are compression, which would hide commands, and attributes of queries.
const passed = mysqlwire.LongPassword | mysqlwire.FoundRows | mysqlwire.LongFlag | mysqlwire.NoSchema | mysqlwire.ODBC |
	mysqlwire.IgnoreSpace | mysqlwire.Protocol41 | mysqlwire.Interactive | mysqlwire.IgnoreSIGPIPE | mysqlwire.Transactions | mysqlwire.Reserved |
	mysqlwire.MultiStatements | mysqlwire.MultiResults | mysqlwire.PSMultiResults | mysqlwire.ExpiredPasswords | mysqlwire.SessionTrack |
	mysqlwire.DeprecateEOF | mysqlwire.BulkOperations | mysqlwire.BulkUnitResults | mysqlwire.ExtendedMetadata | mysqlwire.CacheMetadata

// passedFor returns those for a session: reading files of the client is for those whose roles say so.
func passedFor(s *session.Session) mysqlwire.Flags {
	if s.Options().LocalInfile {
		return passed | mysqlwire.LocalFiles
	}
	return passed
}

// lookTimeout is how long a database has to greet somebody who only looks.
const lookTimeout = 7 * time.Second

// Look implements engine.Scout.
func (e *Engine) Look(ctx context.Context, db *resource.Database, dial func(ctx context.Context, network, address string) (net.Conn, error)) error {
	if e.servers.knows(db) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", db.Spec.URI)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	g, err := readGreeting(conn, db.InAWS())
	if err != nil {
		return err
	}
	e.servers.note(db, g)
	return nil
}

func (s *servers) knows(db *resource.Database) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.byAddr[db.Spec.URI]
	return ok
}
