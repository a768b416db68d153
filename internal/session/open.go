package session

import (
	"context"
	"errors"
	"net"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

// Want is what a client asked for in its protocol.
type Want struct {
	User      string // database account
	Name      string // logical database; the protocol's default is filled in by the engine
	UserAgent string // what the client says it is
	// AnyName says that the client has named no logical database, in a protocol whose commands name theirs: each is
	// to be allowed by Allow.
	AnyName bool
	// Seeds finds out where the database can be reached, as host:port, where its URI is no single address. They are
	// tried in order. Nil for the URI.
	Seeds func(ctx context.Context) ([]string, error)
	// Settings are parameters of the database's session that the client asked for, by name, for the record.
	Settings map[string]string
}

// Upstream is the way to the database, open and not yet spoken on.
type Upstream struct {
	Conn     net.Conn // plain; the session closes it
	User     string   // account name to send
	Password string   // empty when the database wants none; only for a connection that TLS has verified
	Token    bool     // the password is to be sent as it is or not at all
	// Lasts and Renew are those of the credential: when the connection has to be logged in again, and with which password.
	Lasts time.Duration
	Renew func(context.Context) (string, error)
	// Prove answers the challenge of a database that asks AWS who the caller is; nil for all others.
	Prove func(context.Context, cred.Challenge) (cred.Proof, error)

	way    *way
	advice func(cred.Refusal) string
}

// Advice returns what to do about a database that does not let the account in, or "".
func (u *Upstream) Advice(refusal cred.Refusal) string {
	if u.advice == nil {
		return ""
	}
	return u.advice(refusal)
}

// Open is the door: it asks the rules, records the start, allowed or denied, and only then dials. A
// refusal comes back as a fault for the client, in words to act on.
func (s *Session) Open(ctx context.Context, want Want) (*Upstream, error) {
	if s.opened {
		return nil, errors.New("session was opened before")
	}
	s.opened, s.account, s.asked = true, want.User, want.Name
	start := s.startOf(want)
	if err := s.decide(want); err != nil {
		return nil, errors.Join(err, s.recordRefusal(start, err))
	}
	start.Success = true
	began := s.cfg.Now()
	if err := s.recordStart(ctx, start); err != nil {
		return nil, err
	}
	s.started = began
	return s.connect(ctx, want)
}

// Opened reports whether a session was asked for, whatever came of it. It is called when the engine has returned.
func (s *Session) Opened() bool { return s.opened }

// startOf returns the first event of a visit, from here on named in all its events.
func (s *Session) startOf(want Want) *audit.DatabaseSessionStart {
	s.mu.Lock()
	s.chain.SetDatabase(want.User, want.Name)
	s.mu.Unlock()
	start := &audit.DatabaseSessionStart{
		ServerMeta:     s.cfg.Server,
		ConnectionMeta: audit.ConnectionMeta{LocalAddr: s.cfg.LocalAddr, RemoteAddr: s.cfg.ClientAddr},
		UserAgent:      want.UserAgent,
		Parameters:     want.Settings,
		StartGate:      audit.StartGateLocal,
	}
	if s.cfg.StartAtAuth != nil {
		start.StartGate = audit.StartGateAuth
	}
	return start
}

func (s *Session) decide(want Want) error {
	if s.cfg.Refusal != nil {
		return s.cfg.Refusal
	}
	return s.permit(want)
}

// permit asks the rules.
func (s *Session) permit(want Want) error {
	if want.User == "" {
		return fault.New(fault.BadParameter, "user name must not be empty; name a database user with --db-user")
	}
	decision := s.cfg.Decide(s.target(want.User, want.Name, s.cfg.CheckName && !want.AnyName))
	if !decision.Allowed {
		return &refusal{decision.Err(), decision}
	}
	return nil
}

func (s *Session) target(user, name string, checkName bool) access.Target {
	db := s.cfg.Database
	return access.Target{Database: db, Labels: db.Metadata.Labels, User: user, Name: name, CheckName: checkName}
}

// refusal is a denial with the rule that decided, which only the log sees.
type refusal struct {
	error
	decision access.Decision
}

func (r *refusal) Unwrap() error { return r.error }

func (s *Session) recordRefusal(start *audit.DatabaseSessionStart, cause error) error {
	start.Message, start.Error = fault.Message(cause), Reason(cause)
	_, _, err := s.append(start)
	return err
}

// recordStart makes the start durable, as far as the cluster wants.
func (s *Session) recordStart(ctx context.Context, start *audit.DatabaseSessionStart) error {
	_, at, err := s.append(start)
	if err == nil {
		err = s.cfg.Journal.Sync(ctx, at)
	}
	if err == nil && s.cfg.StartAtAuth != nil {
		err = s.cfg.StartAtAuth(ctx)
	}
	if err != nil {
		return fault.Wrap(fault.LimitExceeded, err, "audit is unavailable, so no session can start; tell an administrator: %s", fault.Message(err))
	}
	return nil
}

// connect gets the credential and dials.
func (s *Session) connect(ctx context.Context, want Want) (*Upstream, error) {
	credential, err := s.credential(ctx, want.User, want.Name)
	if err != nil {
		return nil, err
	}
	seeds := []string{""}
	if want.Seeds != nil && credential.Address == "" {
		if seeds, err = want.Seeds(ctx); err != nil {
			return nil, err
		}
	}
	return s.dialFirst(ctx, credential, seeds)
}

func (s *Session) credential(ctx context.Context, account, name string) (*cred.Credential, error) {
	credential, err := s.cfg.Credentials.Credential(ctx, cred.Request{
		Database: s.cfg.Database, User: s.cfg.Identity.Name, UserCertificate: s.cfg.UserCertificate, DatabaseUser: account, DatabaseName: name,
	})
	if denied, ok := errors.AsType[*cred.Denied](err); ok {
		return nil, denied
	}
	if err != nil {
		return nil, fault.Wrap(fault.ConnectionProblem, err, "the agent could not get a credential for the database: %s", fault.Message(err))
	}
	return credential, nil
}

// dialFirst opens the way to the first of the addresses that answers, of which there is at least one.
func (s *Session) dialFirst(ctx context.Context, credential *cred.Credential, addresses []string) (*Upstream, error) {
	var failures []error
	for _, address := range addresses {
		if err := s.way.use(credential, address); err != nil {
			return nil, err
		}
		conn, err := s.way.dial(ctx)
		if err == nil {
			s.upstream = conn
			return s.way.upstream(conn, credential), nil
		}
		if failures = append(failures, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// Move leaves the member of a database that Open has reached, before anything was done there, for another member at
// host:port. What it shows is verified for that host. It is called by the goroutine that called Open, and before
// anything else uses the session.
func (s *Session) Move(ctx context.Context, address string) (*Upstream, error) {
	if s.upstream == nil {
		return nil, errors.New("the session has not reached its database")
	}
	if s.way.credential.Address != "" {
		return nil, fault.New(fault.ConnectionProblem, "the database at %s refers to %s, and the credential is for the former only", s.way.address, address)
	}
	_ = s.upstream.Close()
	return s.dialFirst(ctx, s.way.credential, []string{address})
}
