// Package agent is the Database Service: it serves databases to users. It dials out to proxies, ends the
// users' TLS, makes a session of each connection and hands it to the engine of the protocol.
package agent

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/agent/describe"
	"sallyport/internal/audit"
	"sallyport/internal/audit/spool"
	"sallyport/internal/authapi"
	"sallyport/internal/cache"
	"sallyport/internal/cred"
	"sallyport/internal/detour"
	"sallyport/internal/engine"
	"sallyport/internal/health"
	"sallyport/internal/mtls"
	"sallyport/internal/quota"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

// Config is what an Agent is made of. All fields must be set unless stated.
type Config struct {
	HostID    string
	Hostname  string
	Version   string
	Cluster   string
	JoinToken string          // hash of the token this host joined with; empty when it never did
	Auth      *authapi.Client // as this host
	HostCert  mtls.Certificate
	Trust     mtls.Source
	Cache     *cache.Cache // of the Kinds
	Spool     *spool.Spool
	UIDs      *audit.UIDs
	// Engines by protocol.
	Engines map[string]Protocol
	// Static databases of the configuration file; may be empty.
	Static []*resource.Database
	// Found are databases that were found on behalf of this agent; nil when nobody looks.
	Found Found
	// Selectors of dynamic databases; may be empty, then there are none.
	Selectors []resource.ResourceSelector
	// RunDynamicCommands lets the commands of dynamic databases' labels run on this host. Whoever may write
	// databases in the cluster then runs programs here.
	RunDynamicCommands bool
	// Proxies returns the addresses to dial, "host:port", without that of a proxy in this process; may be nil.
	Proxies     func() []string
	Dialer      *detour.Dialer // to them
	Credentials cred.Source
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	// DialAWS dials databases in AWS, and refuses addresses where none can be.
	DialAWS func(ctx context.Context, network, address string) (net.Conn, error)
	// Knock and KnockAWS find out whether anybody listens at an address, without a visitor; the latter where DialAWS would dial.
	Knock, KnockAWS func(ctx context.Context, address string) error
	// Trusted says whose certificate a database may show; other fields of the credential are not used.
	Trusted func(ctx context.Context, db *resource.Database) (*cred.Credential, error)
	// Resolve and AllowAWS tell checks of databases what a name stands for, and whether DialAWS would dial it.
	Resolve  func(ctx context.Context, host string) ([]netip.Addr, error)
	AllowAWS func(netip.Addr) error
	// Describer asks clouds about databases; nil leaves them as they are written.
	Describer describe.Describer
	// Permissions are kept up for databases in clouds; nil leaves them to administrators.
	Permissions Upkeep
	// Accounts are those of databases in clouds whose passwords are kept for users; nil leaves them alone.
	Accounts    Upkeep
	MaxSessions int // 0 means 10,000
	Logger      *slog.Logger
	Now         func() time.Time
}

// Upkeep sees to it that this agent can log in to its databases, beside its work: nothing waits for it.
type Upkeep interface {
	// Serve says which databases are served from now on, and writes into their status what there is to tell of it.
	Serve(served map[string]*resource.Database)
	// Changed returns a channel that is closed when that changes.
	Changed() <-chan struct{}
	// Run works until the context ends.
	Run(ctx context.Context)
}

// Found are databases that may come and go while the agent runs.
type Found interface {
	// Databases returns those that exist now; they are the caller's.
	Databases() []*resource.Database
	// Changed returns a channel that is closed at the next change. It is taken before reading.
	Changed() <-chan struct{}
}

// Kinds are the kinds of resources that an agent follows.
var Kinds = []string{resource.KindDatabase, resource.KindRole, resource.KindLock, resource.KindAuthPreference,
	resource.KindNetworkingConfig, resource.KindRecordingConfig, resource.KindHealthCheckConfig, resource.KindProxy}

// Protocol is how databases of one protocol are served.
type Protocol struct {
	Engine engine.Engine
}

// Agent serves databases. Safe for concurrent use.
type Agent struct {
	Config
	databases databases
	clouds    *describe.Keeper // nil without a Describer
	health    *health.Keeper
	listener  listener
	sessions  sessions
	delivered delivery
	refused   refusals
	expired   *quota.Quota // of users who are told that their certificate has expired
	counters  counters
	tallies   map[string]*session.Tally // by protocol; not changed after New
	late      late
	twin      twin
	draining  atomic.Bool
	encoder   *audit.Encoder

	registered chan struct{} // holds a token when databases may have come into service

	mu       sync.Mutex
	controls map[string]*control // control connections by host id of the proxy; guarded by mu

	leaving sync.WaitGroup // what goes on when a control connection has ended
}

const defaultMaxSessions = 10_000

// New returns an agent that does nothing yet.
func New(cfg Config) *Agent {
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = defaultMaxSessions
	}
	a := &Agent{Config: cfg, encoder: audit.NewEncoder(cfg.Cluster, cfg.UIDs), delivered: newDelivery(), registered: make(chan struct{}, 1), controls: make(map[string]*control), tallies: make(map[string]*session.Tally),
		expired: quota.New(quota.Config{Rate: expiredRate, Keys: maxExpiredUsers, Now: cfg.Now})}
	for protocol := range cfg.Engines {
		a.tallies[protocol] = new(session.Tally)
	}
	a.health = a.newHealth()
	a.databases.labels = newLabelRunner(cfg.Logger, cfg.Now)
	if cfg.Describer != nil {
		a.clouds = describe.New(describe.Config{Describer: cfg.Describer, Logger: cfg.Logger, Now: cfg.Now})
	}
	return a
}

// Run serves until the context ends; sessions go on until drain ends. It returns when everything it
// started has stopped and what could be recorded was recorded.
func (a *Agent) Run(ctx, drain context.Context) error {
	var parts sync.WaitGroup
	// The spool outlives the sessions, whose ends it keeps.
	spoolCtx, stopSpool := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSpool()
	parts.Go(func() { _ = a.Spool.Run(spoolCtx) })
	uploads := &uploader{agent: a, lost: make(map[string]uint64)}
	uploaded := make(chan struct{})
	go func() {
		defer close(uploaded)
		uploads.run(spoolCtx)
	}()
	monitorCtx, stopMonitor := context.WithCancel(context.WithoutCancel(ctx))
	defer stopMonitor()
	parts.Go(func() { a.monitor(monitorCtx) })
	if err := a.Cache.WaitSynced(ctx); err == nil {
		a.serve(ctx, drain)
	}
	a.sessions.wait(drain)
	a.leaving.Wait()
	stopMonitor()
	a.writeLate()
	a.flush(ctx)
	stopSpool()
	<-uploaded
	parts.Wait()
	return a.Spool.Close()
}

// upkeeps returns what is kept up.
func (a *Agent) upkeeps() (all []Upkeep) {
	for _, one := range []Upkeep{a.Permissions, a.Accounts} {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

// serve registers databases and talks to proxies until the context ends.
func (a *Agent) serve(ctx, drain context.Context) {
	var parts, registering sync.WaitGroup
	parts.Go(func() { a.databases.labels.run(ctx) })
	registering.Go(func() { a.followDatabases(ctx) })
	if a.clouds != nil {
		parts.Go(func() { a.clouds.Run(ctx) })
	}
	for _, upkeep := range a.upkeeps() {
		parts.Go(func() { upkeep.Run(ctx) })
	}
	parts.Go(func() { a.health.Run(ctx) })
	parts.Go(func() { a.followChecks(ctx) })
	parts.Go(func() { a.scout(ctx) })
	if a.Proxies != nil {
		parts.Go(func() { a.followProxies(ctx, drain) })
	}
	<-ctx.Done()
	a.draining.Store(true)
	registering.Wait()           // a registration that is under way must not land after the goodbye
	if !a.twin.exists(a.Now()) { // which goes on serving under this name
		a.deregister(context.WithoutCancel(ctx))
	}
	parts.Wait()
}

// flush gives the uploader a moment to deliver the last events; the rest is delivered after the next start.
func (a *Agent) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_ = a.delivered.wait(ctx, uint64(a.Spool.End()))
}
