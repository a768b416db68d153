package discovery

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// note remembers how the looks went, and logs what went wrong or came right.
func (s *Service) note(results []result) {
	status := make(map[lookID]resource.MatcherStatus, len(results))
	now := s.cfg.Now().UTC()
	for _, r := range results {
		id, before := r.look.id(), s.status[r.look.id()]
		one, several := status[id]
		if !several {
			one = resource.MatcherStatus{Config: r.look.Config, Type: r.look.Type, Region: r.look.Region, AssumeRoleARN: r.look.AssumeRoleARN,
				Found: before.Found, LastSuccess: before.LastSuccess}
		}
		if r.err != nil {
			one.Error = fault.Message(r.err)
			if one.Error != before.Error {
				s.cfg.Logger.Warn("looking for databases failed; those that are registered stay", "type", r.look.Type, "region", r.look.Region, "role", r.look.AssumeRoleARN, "error", r.err)
			}
		} else {
			if one.LastSuccess == nil || !one.LastSuccess.Equal(now) {
				one.Found = 0
			}
			one.Found, one.LastSuccess = one.Found+r.count, &now
			if before.Error != "" && one.Error == "" {
				s.cfg.Logger.Info("looking for databases works again", "type", r.look.Type, "region", r.look.Region, "role", r.look.AssumeRoleARN)
			}
		}
		status[id] = one
	}
	s.status = status
}

// announce tells the cluster that the service runs and how its looks went.
func (s *Service) announce(ctx context.Context) {
	r, err := resource.New(resource.KindDiscoveryService)
	if err != nil {
		s.cfg.Logger.Error("status of discovery cannot be told", "error", err)
		return
	}
	status := r.(*resource.DiscoveryService)
	expires := s.cfg.Now().Add(announceLife).UTC()
	status.Metadata.Name, status.Metadata.Expires = s.cfg.HostID, &expires
	status.Spec = resource.DiscoveryServiceSpec{Hostname: s.cfg.Hostname, Version: s.cfg.Version, Group: s.cfg.Group, Matchers: []resource.MatcherStatus{}}
	for _, id := range slices.SortedFunc(maps.Keys(s.status), compareLooks) {
		status.Spec.Matchers = append(status.Spec.Matchers, s.status[id])
	}
	text, err := resource.Encode(status)
	if err == nil {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err = s.cfg.Auth.Resources.PutResource(call, &sallyportv1.PutResourceRequest{
			Resource: &sallyportv1.Resource{Kind: resource.KindDiscoveryService, Name: s.cfg.HostID, Json: text},
		})
	}
	if err != nil && ctx.Err() == nil {
		s.cfg.Logger.Warn("status of discovery was not told; trying again at the next look", "error", err)
	}
}

func compareLooks(a, b lookID) int {
	return cmp.Or(cmp.Compare(a.config, b.config), cmp.Compare(a.kind, b.kind), cmp.Compare(a.region, b.region), cmp.Compare(a.role, b.role))
}
