// Package discovery is the Discovery Service: it asks finders which databases exist in clouds and keeps the
// cluster's db resources in step with them.
//
// What could not be seen is not taken for gone: a database is removed only after a look that succeeded did not
// find it any more.
package discovery

import (
	"context"
	"log/slog"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/cache"
	"sallyport/internal/resource"
)

// Look is one question to a finder: one type of database in one region.
type Look struct {
	Config                    string // name of the discovery_config; empty for the service's own file
	Type, Region              string
	Tags                      resource.Labels
	AssumeRoleARN, ExternalID string
}

// Finder asks a cloud what exists. With an error nothing is known, unless it is a Partial. Implementations are
// safe for concurrent use.
type Finder interface {
	Find(ctx context.Context, look Look) ([]*resource.Database, error)
}

// Partial is an error of a look that saw a part of what exists.
type Partial interface {
	error
	// Resolve returns what is to be registered, from what was found and what the look had registered before.
	Resolve(found, known []*resource.Database) []*resource.Database
}

// Config is what a Service is made of. All fields must be set unless stated.
type Config struct {
	HostID   string
	Hostname string
	Version  string
	// Group is shared by services that look for the same databases; a service touches those of its group
	// only. May be empty.
	Group    string
	Matchers []resource.AWSMatcher // of the configuration file; may be empty
	Interval time.Duration         // between looks
	Finder   Finder
	Auth     *authapi.Client // as this host
	Cache    *cache.Cache    // of the Kinds
	Logger   *slog.Logger
	Now      func() time.Time
}

// Kinds are the kinds of resources that the service follows. Databases it lists when it needs them.
var Kinds = []string{resource.KindDiscoveryConfig}

// Service looks for databases. Its state belongs to Run.
type Service struct {
	cfg    Config
	status map[lookID]resource.MatcherStatus
	told   map[string]bool // databases that did not get the name that they want, in the last round
}

// New returns a service that does not look yet.
func New(cfg Config) *Service {
	return &Service{cfg: cfg, status: make(map[lookID]resource.MatcherStatus)}
}

// lookID tells looks apart that register databases of their own. Two matchers that differ in tags only share
// one, and with it the databases: each keeps what the other could not see.
type lookID struct{ config, kind, region, role string }

func (l *Look) id() lookID { return lookID{l.Config, l.Type, l.Region, l.AssumeRoleARN} }

const (
	announceEvery = 5 * time.Minute
	announceLife  = 15 * time.Minute
)

// Run looks now, after every interval, and whenever a discovery_config of the group changes, until the context
// ends.
func (s *Service) Run(ctx context.Context) error {
	if s.cfg.Cache.WaitSynced(ctx) != nil {
		return nil
	}
	ticker := time.NewTicker(s.cfg.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		configs := s.configs()
		s.round(ctx, s.looks(configs))
		s.wait(ctx, ticker, fingerprint(configs))
	}
	return nil
}

// wait returns when it is time to look again.
func (s *Service) wait(ctx context.Context, ticker *time.Ticker, seen string) {
	alive := time.NewTicker(announceEvery)
	defer alive.Stop()
	for {
		changed := s.cfg.Cache.Changed()
		if fingerprint(s.configs()) != seen {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			return
		case <-alive.C:
			s.announce(ctx)
		case <-changed:
		}
	}
}

// round asks everything once, registers what was found and tells how it went.
func (s *Service) round(ctx context.Context, looks []Look) {
	results := ask(ctx, s.cfg.Finder, looks, s.settle)
	if ctx.Err() != nil {
		return
	}
	s.note(results)
	if known, err := s.registered(ctx); err == nil {
		s.apply(ctx, s.plan(results, known))
	} else if ctx.Err() == nil {
		s.cfg.Logger.Warn("what is registered is not known; databases stay as they are until the next look", "error", err)
	}
	s.announce(ctx)
}
