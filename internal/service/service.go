// Package service builds the parts of a daemon from its configuration, and runs and stops them in order.
package service

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/agent"
	"sallyport/internal/audit"
	"sallyport/internal/audit/spool"
	"sallyport/internal/authapi"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/guard"
	"sallyport/internal/aws/policy"
	"sallyport/internal/ca"
	"sallyport/internal/cache"
	"sallyport/internal/cancelkey"
	"sallyport/internal/config"
	"sallyport/internal/cred"
	"sallyport/internal/detour"
	"sallyport/internal/discovery"
	"sallyport/internal/engine/mongodb"
	"sallyport/internal/engine/mysql"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/redis"
	"sallyport/internal/fault"
	"sallyport/internal/knock"
	"sallyport/internal/membership"
	"sallyport/internal/proxy"
	"sallyport/internal/resource"
	"sallyport/internal/version"
)

// Process is what a daemon gets from outside besides its configuration. The zero value is a good one.
type Process struct {
	Now    func() time.Time // default time.Now
	Reload <-chan struct{}  // tells the daemon to read certificates again; may be nil
	// STS carries what auth asks STS about hosts that join; default: to AWS itself.
	STS http.RoundTripper
}

// Run runs the services of the configuration. When ctx ends they take no new work; when drain ends, running
// sessions end too. Run returns when everything it started has stopped.
func (p Process) Run(ctx, drain context.Context, cfg *config.Config, logger *slog.Logger) error {
	if p.Now == nil {
		p.Now = time.Now
	}
	d := &daemon{cfg: cfg, logger: logger, now: p.Now, reload: p.Reload, sts: p.STS, health: &health{}}
	return d.run(ctx, drain)
}

// daemon is one process and the parts that it runs.
type daemon struct {
	cfg    *config.Config
	logger *slog.Logger
	now    func() time.Time
	reload <-chan struct{}
	sts    http.RoundTripper // nil: the default
	health *health

	hostID string
	roles  []resource.SystemRole
	auth   *authService // nil without
	member *membership.Member
	client *authapi.Client
	cache  *cache.Cache
	dialer *detour.Dialer // to proxies and auth servers
	reach  *reach
	spool  *spool.Spool     // until the agent runs, which closes it then; nil without
	agent  *agent.Agent     // nil without
	cloud  *cloud           // what agent and discovery need of AWS; nil without
	looks  *discovery.Local // for databases on behalf of the agent; nil without
	proxy  *proxy.Proxy     // nil without

	webCerts *webCertificates // of the proxy
}

func (d *daemon) run(ctx, drain context.Context) (err error) {
	if err := d.openDataDir(); err != nil {
		return err
	}
	d.dialer = d.newDialer(d.cfg.Detours)
	d.tellFIPS()
	d.reach = d.newReach()
	d.roles = d.wantedRoles()
	if len(d.roles) == 0 {
		return fault.New(fault.BadParameter, "no service is enabled; enable auth_service, proxy_service, db_service or discovery_service in the configuration file")
	}
	// Stopping has an order: first what takes connections, then what it stands on.
	base, stopBase := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopBase(nil)
	foundation, broken := errgroup.WithContext(base)
	serving, stopServing := context.WithCancelCause(ctx)
	defer stopServing(nil)
	drain, stopSessions := context.WithCancelCause(drain)
	defer stopSessions(nil)
	group, groupCtx := errgroup.WithContext(serving)
	defer d.health.follow(serving, drain)()
	defer context.AfterFunc(broken, func() { // a part of the foundation failed: nothing can stand on the rest
		stopServing(context.Cause(broken))
		stopSessions(context.Cause(broken))
	})()
	diag, err := d.startDiagnostics(base, foundation)
	if err != nil {
		return err
	}
	if err := d.startMembership(ctx, base, foundation); err != nil {
		if ctx.Err() != nil {
			err = nil // told to stop while joining
		}
		return errors.Join(err, diag.close(), stop(stopBase, foundation))
	}
	d.cache = cache.New(d.client.Resources, d.watchedKinds(), d.now, d.logger.With("component", "cache"))
	foundation.Go(func() error { return d.cache.Run(base) })
	d.reach.learn(d.authProxies)
	if err := d.startServices(groupCtx, drain, group); err != nil {
		stopServing(err)
		stopSessions(err)
		return errors.Join(err, group.Wait(), d.closeSpool(), diag.close(), stop(stopBase, foundation))
	}
	d.health.ready(d.checkAuth, d.checkDisk, d.checkAudit)
	d.logger.Info("Sallyport is running", "version", version.Version, "cluster", d.member.Trust().Cluster,
		"host_id", d.hostID, "services", d.roles, "data_dir", d.cfg.DataDir)
	err = group.Wait()
	d.logger.Info("services have stopped")
	return errors.Join(err, diag.close(), stop(stopBase, foundation))
}

func stop(cancel context.CancelCauseFunc, group *errgroup.Group) error {
	cancel(nil)
	return group.Wait()
}

func (d *daemon) wantedRoles() []resource.SystemRole {
	var roles []resource.SystemRole
	if d.cfg.Auth.Enabled {
		roles = append(roles, resource.RoleAuth)
	}
	if d.cfg.Proxy.Enabled {
		roles = append(roles, resource.RoleProxy)
	}
	if d.cfg.Databases.Enabled {
		roles = append(roles, resource.RoleDb)
	}
	if d.cfg.Discovery.Enabled {
		roles = append(roles, resource.RoleDiscovery)
	}
	return roles
}

func (d *daemon) watchedKinds() []string {
	kinds := map[string]bool{resource.KindLock: true, resource.KindProxy: true}
	if d.cfg.Proxy.Enabled {
		kinds[resource.KindDatabaseServer] = true
	}
	if d.cfg.Databases.Enabled {
		for _, kind := range agent.Kinds {
			kinds[kind] = true
		}
	}
	if d.cfg.Discovery.Enabled {
		for _, kind := range discovery.Kinds {
			kinds[kind] = true
		}
	}
	var list []string
	for kind := range kinds {
		list = append(list, kind)
	}
	return list
}

// startServices starts what takes connections. Listeners are bound before it returns.
func (d *daemon) startServices(ctx, drain context.Context, group *errgroup.Group) error {
	if d.auth != nil {
		if err := d.auth.listen(ctx, group, d); err != nil {
			return err
		}
	}
	if d.cfg.Databases.Enabled || d.cfg.Discovery.Enabled {
		d.cloud = d.newCloud(d.logger.With("component", "aws"))
	}
	if d.cfg.Databases.Enabled {
		if err := d.newAgent(); err != nil {
			return err
		}
	}
	if d.cfg.Proxy.Enabled {
		if err := d.startProxy(ctx, drain, group); err != nil {
			return err
		}
	}
	if d.agent != nil {
		d.spool = nil
		group.Go(func() error { return d.agent.Run(ctx, drain) })
		group.Go(func() error { d.cloud.roots.Run(ctx); return nil })
	}
	if d.looks != nil {
		group.Go(func() error { d.looks.Run(ctx); return nil })
	}
	d.startDiscovery(ctx, group)
	// A daemon without listeners runs until it is told to stop.
	group.Go(func() error { <-ctx.Done(); return nil })
	return nil
}

// protocols is the table of engines.
func (d *daemon) protocols(forward func(cancelkey.Key)) map[string]agent.Protocol {
	logger := d.logger.With("component", "engine")
	return map[string]agent.Protocol{
		"mysql":    {Engine: mysql.New(mysql.Config{Now: d.now, Logger: logger, ForwardCancel: forward})},
		"postgres": {Engine: postgres.New(postgres.Config{Now: d.now, Logger: logger, ForwardCancel: forward})},
		"redis":    {Engine: redis.New(redis.Config{Now: d.now, Logger: logger})},
		"mongodb":  {Engine: mongodb.New(mongodb.Config{Now: d.now, Logger: logger})},
	}
}

func (d *daemon) newAgent() error {
	journal, err := spool.Open(spool.Config{Dir: filepath.Join(d.cfg.DataDir, "spool")})
	if err != nil {
		return err
	}
	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	cfg := agent.Config{
		HostID: d.hostID, Hostname: d.cfg.Nodename, Version: version.Version, Cluster: d.member.Trust().Cluster,
		JoinToken: d.member.Identity().JoinToken,
		Auth:      d.client, HostCert: d.member.Certificate, Trust: d.member.Trust, Cache: d.cache,
		Spool: journal, UIDs: audit.NewUIDs(rand.Reader),
		Engines: d.protocols(d.forwardCancel), Static: d.cfg.Databases.Static, Selectors: d.cfg.Databases.Selectors,
		RunDynamicCommands: d.cfg.Databases.RunDynamicCommands,
		Proxies:            d.proxyAddresses, Dialer: d.dialer,
		Credentials: cred.Dispatch{SelfHosted: cred.NewSelfHosted(d.client.Certificates, d.now), AWS: d.cloud.login},
		Dial:        dialer.DialContext,
		DialAWS:     guard.Dialer(dialer).DialContext,
		Knock:       knock.Knocker(&dialer),
		KnockAWS:    knock.Knocker(guard.Dialer(dialer)),
		Trusted:     d.trusted,
		Resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		AllowAWS:  endpoint.DialAllowed,
		Describer: d.cloud.metadata, Accounts: d.cloud.managed,
		Logger: d.logger.With("component", "db"), Now: d.now,
	}
	if d.cfg.Databases.ManageIAMPolicy {
		cfg.Permissions = policy.New(policy.Config{
			Credentials: d.cloud.credentials, Ledger: policyLedger{d.client.Policies}, Cluster: cfg.Cluster, Logger: cfg.Logger, Now: d.now,
		})
	}
	if d.looks = d.agentsOwnLooks(); d.looks != nil {
		cfg.Found = d.looks
	}
	d.spool, d.agent = journal, agent.New(cfg)
	return nil
}

// trusted says whose certificate a database may show.
func (d *daemon) trusted(ctx context.Context, db *resource.Database) (*cred.Credential, error) {
	if db.InAWS() {
		return d.cloud.login.Trusted(ctx, db)
	}
	return &cred.Credential{Authorities: d.member.Trust().Authorities[ca.DatabaseCA]}, nil
}

// closeSpool closes the spool of an agent that never ran.
func (d *daemon) closeSpool() error {
	if d.spool == nil {
		return nil
	}
	return d.spool.Close()
}

// forwardCancel hands on a cancel request that the agent does not know.
func (d *daemon) forwardCancel(key cancelkey.Key) {
	if d.proxy != nil {
		d.proxy.Cancel(key)
	}
	d.agent.ForwardCancel(key)
}
