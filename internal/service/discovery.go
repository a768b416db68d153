package service

import (
	"context"

	"sallyport/internal/aws/finder"
	"sallyport/internal/config"
	"sallyport/internal/discovery"
	"sallyport/internal/resource"
	"sallyport/internal/version"

	"golang.org/x/sync/errgroup"
)

// newFinder returns what looks for databases in AWS.
func (d *daemon) newFinder() discovery.Finder {
	return awsFinder{finder.New(finder.Config{Credentials: d.cloud.credentials, Logger: d.logger.With("component", "discovery")})}
}

// awsFinder lets discovery ask a finder of AWS.
type awsFinder struct{ finder *finder.Finder }

// Find implements discovery.Finder.
func (f awsFinder) Find(ctx context.Context, look discovery.Look) ([]*resource.Database, error) {
	return f.finder.Find(ctx, finder.Query{Type: look.Type, Region: look.Region, Tags: look.Tags, AssumeRoleARN: look.AssumeRoleARN, ExternalID: look.ExternalID})
}

// startDiscovery runs the Discovery Service, if it is enabled.
func (d *daemon) startDiscovery(ctx context.Context, group *errgroup.Group) {
	if !d.cfg.Discovery.Enabled {
		return
	}
	service := discovery.New(discovery.Config{
		HostID: d.hostID, Hostname: d.cfg.Nodename, Version: version.Version, Group: d.cfg.Discovery.Group,
		Matchers: matchers(d.cfg.Discovery.AWS), Interval: d.cfg.Discovery.PollInterval, Finder: d.newFinder(),
		Auth: d.client, Cache: d.cache, Logger: d.logger.With("component", "discovery"), Now: d.now,
	})
	group.Go(func() error { return service.Run(ctx) })
}

// agentsOwnLooks returns what looks for databases on behalf of the agent; nil when its file has no matchers.
func (d *daemon) agentsOwnLooks() *discovery.Local {
	if len(d.cfg.Databases.AWS) == 0 {
		return nil
	}
	return discovery.NewLocal(discovery.LocalConfig{
		Matchers: matchers(d.cfg.Databases.AWS), Interval: d.cfg.Discovery.PollInterval, Finder: d.newFinder(), Logger: d.logger.With("component", "db"),
	})
}

func matchers(all []config.AWSMatcher) []resource.AWSMatcher {
	list := make([]resource.AWSMatcher, len(all))
	for i, m := range all {
		list[i] = resource.AWSMatcher{Types: m.Types, Regions: m.Regions, Tags: m.Tags, AssumeRoleARN: m.AssumeRoleARN, ExternalID: m.ExternalID}
	}
	return list
}
