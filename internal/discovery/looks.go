package discovery

import (
	"cmp"
	"encoding/json"
	"slices"

	"sallyport/internal/cache"
	"sallyport/internal/resource"
)

// configs returns the discovery_configs of the group, by name.
func (s *Service) configs() []*resource.DiscoveryConfig {
	all := cache.List[*resource.DiscoveryConfig](s.cfg.Cache, resource.KindDiscoveryConfig)
	all = slices.DeleteFunc(all, func(c *resource.DiscoveryConfig) bool { return c.Spec.Group != s.cfg.Group || s.cfg.Group == "" })
	slices.SortFunc(all, func(a, b *resource.DiscoveryConfig) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// fingerprint is equal for configs that ask for the same.
func fingerprint(configs []*resource.DiscoveryConfig) string {
	type asked struct {
		Name string
		Spec resource.DiscoveryConfigSpec
	}
	list := make([]asked, len(configs))
	for i, c := range configs {
		list[i] = asked{c.GetName(), c.Spec}
	}
	text, _ := json.Marshal(list) // plain data always encodes
	return string(text)
}

// looks returns what is to be asked: every type in every region of every matcher, the file's first.
func (s *Service) looks(configs []*resource.DiscoveryConfig) []Look {
	looks := appendLooks(nil, "", s.cfg.Matchers)
	for _, c := range configs {
		looks = appendLooks(looks, c.GetName(), c.Spec.AWS)
	}
	return looks
}

func appendLooks(looks []Look, config string, matchers []resource.AWSMatcher) []Look {
	for _, m := range matchers {
		for _, kind := range m.Types {
			for _, region := range m.Regions {
				looks = append(looks, Look{Config: config, Type: kind, Region: region, Tags: m.Tags, AssumeRoleARN: m.AssumeRoleARN, ExternalID: m.ExternalID})
			}
		}
	}
	return looks
}
