// Package managedusers keeps the passwords of users of ElastiCache and MemoryDB that AWS has tagged for that: it finds the
// users, changes their passwords every quarter of an hour, and keeps these in AWS Secrets Manager.
//
// Several agents may keep the same users, and each may end at any time, without anybody being locked out: a user has two
// passwords, and the one that logins use is always one that was seen to be set. See docs/design/0021-managed-users.md.
package managedusers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/expiring"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/aws/target"
	"sallyport/internal/bell"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Config is what a Keeper is made of. All fields must be set.
type Config struct {
	Credentials *credentials.Provider
	Cluster     string // its name is in a tag of the secrets
	Logger      *slog.Logger
	Now         func() time.Time
}

const (
	lookEvery   = 3 * time.Minute  // for users that have been tagged
	rotateAfter = 15 * time.Minute // Secrets Manager keeps about 100 versions a day
	// propagates is how long after a change was carried out the former password still serves logins.
	propagates = 3 * time.Minute
	// settles is how long after that nothing is changed: the former password, which would be taken away, is in use until
	// propagates is over by the clock of each agent, and is cached.
	settles      = 2 * propagates
	pendingEvery = 10 * time.Second // while AWS carries a change out
	// othersTime is how long another agent is left to complete what it has begun.
	othersTime  = 2 * time.Minute
	troubleWait = time.Minute
	callTimeout = 20 * time.Second
	firstWait   = 10 * time.Second // of a login for the first look
	cached      = 30 * time.Second // a password
)

// Keeper keeps the passwords of the users of an agent's databases. Safe for concurrent use.
type Keeper struct {
	cfg       Config
	passwords *expiring.Cache[passwordKey, string]
	wake      chan struct{} // tells Run that there are other places
	news      bell.Bell     // of what is known

	mu     sync.Mutex
	places map[placeKey]*place // guarded by mu
}

// placeKey is whose users a place has: those of a service in a region, as one identity sees them.
type placeKey struct {
	service                redisusers.Service
	region, role, external string
}

type passwordKey struct {
	place placeKey
	id    string // of the user
}

// place is what is known of the users of a service in a region. Guarded by the keeper's mu but for key and wake.
type place struct {
	key       placeKey
	store     resource.SecretStore
	databases map[string]*database // by name
	users     map[string]*user     // managed ones by id
	looked    bool                 // at least once
	trouble   string               // what was logged last, of the look
	differing bool                 // databases want several stores, which was logged
	wake      chan struct{}        // tells the worker that there is something to do
}

// database is one whose users are looked for.
type database struct {
	target target.Target
	groups []string // attached to it; nil while they are not known
}

// user is a managed one.
type user struct {
	redisusers.User
	missed bool // the last look found it no more
	due    time.Time
	progress
	again   time.Time // until when its refusals are not believed again
	problem error     // why its password cannot be kept; a fault
}

// progress is how far this agent has come with a user.
type progress struct {
	sent    string    // version of the secret whose passwords this agent has set, and has not seen carried out yet
	suspect bool      // a database did not take its password
	stuck   string    // the current version for which this agent found the next one's id taken,
	taken   int       // and how often
	future  time.Time // of the tag's, for which it was logged that it is still to come
}

// New returns a keeper that knows no databases yet.
func New(cfg Config) *Keeper {
	return &Keeper{cfg: cfg, wake: make(chan struct{}, 1), places: make(map[placeKey]*place),
		passwords: expiring.New[passwordKey, string](expiring.Config{Now: cfg.Now})}
}

// Changed returns a channel that is closed when the users of a database change.
func (k *Keeper) Changed() <-chan struct{} { return k.news.Changed() }

// chain returns whose credentials a place is seen with.
func (p placeKey) chain() credentials.Chain {
	return credentials.Chain{Region: p.region, AssumeRoleARN: p.role, ExternalID: p.external}
}

// placeOf returns the place that a database's users are in; false for databases without such users.
func placeOf(db *resource.Database) (placeKey, target.Target, bool) {
	if db.Spec.Protocol != resource.ProtocolRedis || !db.InAWS() {
		return placeKey{}, target.Target{}, false
	}
	t, err := target.Of(db)
	service, ok := redisusers.ServiceOf(t.Type)
	if err != nil || !ok {
		return placeKey{}, target.Target{}, false
	}
	chain := t.Chain()
	return placeKey{service, chain.Region, chain.AssumeRoleARN, chain.ExternalID}, t, true
}

// Password implements login.Managed. A login that comes before the first look waits for it.
func (k *Keeper) Password(ctx context.Context, db *resource.Database, name string, fresh bool) (password string, managed bool, err error) {
	key, _, ok := placeOf(db)
	if !ok {
		return "", false, nil
	}
	u, store := k.find(ctx, key, db.GetName(), name)
	if u == nil {
		return "", false, nil
	}
	at := passwordKey{key, u.ID}
	if fresh {
		k.passwords.Forget(at)
	}
	password, err = k.passwords.Get(ctx, at, func(ctx context.Context) (string, time.Time, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		s, err := k.vault(ctx, key, store, u)
		if err != nil {
			return "", time.Time{}, err
		}
		password, err := s.usable(ctx, k.cfg.Now())
		return password, k.cfg.Now().Add(cached), err
	})
	if err != nil {
		return "", true, k.explain(u, err)
	}
	return password, true, nil
}

// find returns a copy of a managed user of a database, or nil.
func (k *Keeper) find(ctx context.Context, key placeKey, db, name string) (*user, resource.SecretStore) {
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	for {
		k.mu.Lock()
		p, changed := k.places[key], k.news.Changed()
		if p == nil {
			k.mu.Unlock()
			return nil, resource.SecretStore{}
		}
		d := p.databases[db]
		if p.looked || d == nil {
			defer k.mu.Unlock()
			for _, u := range p.users {
				if d != nil && u.Name == name && u.In(d.groups) {
					found := *u
					return &found, p.store
				}
			}
			return nil, resource.SecretStore{}
		}
		k.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, resource.SecretStore{}
		}
	}
}

// Refused implements login.Managed: the passwords are set anew.
func (k *Keeper) Refused(db *resource.Database, name string) {
	key, _, ok := placeOf(db)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.places[key]
	if p == nil {
		return
	}
	for _, u := range p.users {
		d, now := p.databases[db.GetName()], k.cfg.Now()
		if d != nil && u.Name == name && u.In(d.groups) && !now.Before(u.again) {
			u.suspect, u.again, u.due = true, now.Add(othersTime), time.Time{}
			p.awake()
		}
	}
}

func (p *place) awake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// explain says why there is no password of a managed user.
func (k *Keeper) explain(u *user, err error) error {
	if u.problem != nil {
		err = u.problem
	}
	err = credentials.Explain(err)
	return fault.Wrap(fault.KindOf(err), err, "the password of the managed user %q cannot be had: %s", u.Name, fault.Message(err))
}
