// Package auth is the cluster's authority: it keeps users, roles, tokens and databases, issues every
// certificate, and stores the audit log. It is the only writer of the store.
//
// Every call comes through one door (door.go): who calls is known from a verified certificate, what the
// caller may do is decided by one table and the caller's roles, and what is done is recorded first.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/audit/eventlog"
	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/quota"
	"sallyport/internal/resource"
	"sallyport/internal/seal"
	"sallyport/internal/store"
)

// Config is what an Authority is made of. All fields must be set unless stated.
type Config struct {
	Store       store.Store
	Sealer      *seal.Sealer
	Log         *eventlog.Log
	ClusterName string // of a new cluster; an existing cluster keeps its name
	HostID      string // UUIDv4 of this host
	Version     string // of the program
	Now         func() time.Time
	Logger      *slog.Logger
	// Settings from the configuration file; each replaces the stored one at every start. May be empty.
	Settings []resource.Resource
	// Static join tokens from the configuration file. May be empty.
	StaticTokens []*resource.Token
	// Resources that are created only when the cluster is new. May be empty.
	Bootstrap []resource.Resource
	// Resources that are written at every start. May be empty.
	Startup []resource.Resource
	// Strangers is how often one address may call without a certificate. May be zero: then as quota.ForStrangers says.
	Strangers quota.Rate
	// AWS checks what hosts in AWS show that join. May be zero: none of them joins so.
	AWS AWS
}

// Authority serves the API. Safe for concurrent use.
type Authority struct {
	Config
	cluster      string
	quotas       quotas
	hashing      chan struct{}
	refusedJoins alarm
	challenges   challenges
	hosts        presence
	checks       checks
	dummyHash    *passwordHash

	mu          sync.RWMutex
	authorities map[ca.Type]*authorityKeys // guarded by mu
}

// New opens the cluster in the store, or makes a new one: its name, its authorities, the preset roles
// and the default settings.
func New(ctx context.Context, cfg Config) (*Authority, error) {
	if cfg.Strangers == (quota.Rate{}) {
		cfg.Strangers = quota.ForStrangers()
	}
	a := &Authority{Config: cfg, quotas: newQuotas(cfg.Strangers, cfg.Now), hashing: make(chan struct{}, 2)}
	var err error
	if a.dummyHash, err = hashPassword("nobody has this password"); err != nil {
		return nil, err
	}
	if err := checkFile(cfg.Startup); err != nil {
		return nil, err
	}
	due, err := a.openCluster(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.openAuthorities(ctx); err != nil {
		return nil, err
	}
	ctx = a.asItself(ctx)
	if err := a.writeDefaults(ctx); err != nil {
		return nil, err
	}
	switch {
	case due && len(cfg.Bootstrap) > 0:
		if err := a.writeAll(ctx, cfg.Bootstrap); err != nil {
			return nil, fmt.Errorf("creating bootstrap resources: %w", err)
		}
		if err := a.Store.Delete(ctx, bootstrapKey, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("noting that the bootstrap resources are there: %w", err)
		}
	case due:
		cfg.Logger.Warn("the resources that this cluster was to begin with are not all there; start it once more with --bootstrap")
	case len(cfg.Bootstrap) > 0:
		cfg.Logger.Warn("bootstrap resources are ignored: the cluster exists already; create them with tctl create", "resources", len(cfg.Bootstrap))
	}
	if err := a.writeAll(ctx, cfg.Startup); err != nil {
		return nil, fmt.Errorf("applying start-up resources: %w", err)
	}
	return a, a.warnOfRoles(ctx)
}

// ClusterName returns the cluster's name.
func (a *Authority) ClusterName() string { return a.cluster }

// StoredClusterName returns the name of the cluster that a store holds, or an empty one for a new store.
func StoredClusterName(ctx context.Context, s store.Store) (string, error) {
	item, err := s.Get(ctx, key(resource.KindClusterName, resource.NameClusterName))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the cluster's name: %w", err)
	}
	r, err := resource.Decode(resource.KindClusterName, item.Value)
	if err != nil {
		return "", err
	}
	return r.(*resource.ClusterName).Spec.ClusterName, nil
}

// bootstrapKey is stored from before a cluster is made until its bootstrap resources are all there.
const bootstrapKey = "/bootstrap/due"

// openCluster reads the cluster's name, or stores the configured one, and reports whether the bootstrap resources are still
// to be written.
func (a *Authority) openCluster(ctx context.Context) (due bool, err error) {
	_, err = a.Store.Get(ctx, bootstrapKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	due = err == nil
	name := &resource.ClusterName{}
	err = a.load(ctx, resource.KindClusterName, resource.NameClusterName, name)
	switch {
	case err == nil:
		a.cluster = name.Spec.ClusterName
		if !due {
			return false, nil // whatever is in a bootstrap file that is ignored
		}
		return true, checkBootstrap(a.Bootstrap)
	case !errors.Is(err, store.ErrNotFound):
		return false, err
	}
	if !resource.ValidClusterName(a.Config.ClusterName) {
		return false, fmt.Errorf("cluster name %q is not made of letters, digits and hyphens between dots, in lower case: set auth_service.cluster_name", a.Config.ClusterName)
	}
	if err := checkBootstrap(a.Bootstrap); err != nil {
		return false, err
	}
	a.cluster = a.Config.ClusterName
	r, err := resource.New(resource.KindClusterName)
	if err != nil {
		return false, err
	}
	name = r.(*resource.ClusterName)
	name.Metadata.Name = resource.NameClusterName
	name.Spec = resource.ClusterNameSpec{ClusterName: a.cluster, ClusterID: newUUID()}
	if len(a.Bootstrap) > 0 {
		if _, err := a.Store.Put(ctx, store.Item{Key: bootstrapKey, Value: []byte("{}")}); err != nil {
			return false, err
		}
		due = true
	}
	_, err = a.create(ctx, name)
	return due, err
}

// asItself returns a context for what this process does by itself, so that events name it.
func (a *Authority) asItself(ctx context.Context) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller{id: &identity.Identity{Kind: identity.Host, Cluster: a.cluster, Name: a.HostID}})
}

// record stores an event durably. A change is made only after its event was recorded.
func (a *Authority) record(ctx context.Context, event audit.Event) error {
	if err := a.Log.Emit(ctx, event); err != nil {
		return fmt.Errorf("recording %s: %w", event.Type(), err)
	}
	return nil
}
