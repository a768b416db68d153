// Package accountservice is as much of Account Management in the local AWS as discovery asks for: which regions are switched on.
package accountservice

import (
	"cmp"
	"slices"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/wire"
)

// Service is the service's state. Its fields may be changed inside World.Update only.
type Service struct {
	// Regions are the regions of a partition with what is said of them where nothing else is: ENABLED_BY_DEFAULT or DISABLED.
	Regions map[string]map[string]string
	// OptIns are what single accounts have switched: ENABLED, ENABLING, DISABLING, DISABLED.
	OptIns map[string]map[string]string
}

// New makes it with some regions of each partition.
func New() *Service {
	const on, off = "ENABLED_BY_DEFAULT", "DISABLED"
	return &Service{OptIns: map[string]map[string]string{}, Regions: map[string]map[string]string{
		"aws": {"us-east-1": on, "us-east-2": on, "us-west-1": on, "us-west-2": on, "ca-central-1": on, "sa-east-1": on, "eu-central-1": on, "eu-west-1": on,
			"eu-west-2": on, "eu-west-3": on, "eu-north-1": on, "ap-south-1": on, "ap-northeast-1": on, "ap-northeast-2": on, "ap-northeast-3": on,
			"ap-southeast-1": on, "ap-southeast-2": on, "af-south-1": off, "ap-east-1": off, "eu-south-1": off, "me-south-1": off},
		"aws-cn":     {"cn-north-1": on, "cn-northwest-1": on},
		"aws-us-gov": {"us-gov-east-1": on, "us-gov-west-1": on},
	}}
}

// Service answers the calls.
func (s *Service) Service() *fakeaws.Service {
	return &fakeaws.Service{Name: "account", Scope: "account", Protocol: wire.RESTJSON, Global: true, LoadState: s.loadState,
		Operations: []fakeaws.Operation{{Name: "ListRegions", Path: "POST /listRegions", Action: "account:ListRegions",
			Resources: func(c *fakeaws.Call) ([]string, error) {
				return []string{"arn:" + c.Account.Partition + ":account::" + c.Account.ID + ":account"}, nil
			}, Handle: s.list}}}
}

func (s *Service) loadState(w *fakeaws.World, decode func(any) error) error {
	var state struct {
		OptIns map[string]map[string]string `json:"opt_ins"` // by account and region
	}
	if err := decode(&state); err != nil {
		return err
	}
	w.Update(func() { s.OptIns = state.OptIns })
	return nil
}

var paging = inventory.Paging{Size: "MaxResults", Token: "NextToken", SizeCode: "ValidationException", TokenCode: "ValidationException",
	Sizes: inventory.Sizes{Least: 1, Most: 50, Usual: 20}}

func (s *Service) list(c *fakeaws.Call) (wire.Fields, error) {
	if id := c.Params.String("AccountId"); id != "" && id != c.Account.ID {
		return nil, wire.StatusErrorf(403, "AccessDeniedException", "This local AWS tells an account its own regions only.")
	}
	wanted := c.Params.Strings("RegionOptStatusContains")
	var all [][2]string
	for name, usual := range s.Regions[c.Account.Partition] {
		status := cmp.Or(s.OptIns[c.Account.ID][name], usual)
		if len(wanted) == 0 || slices.Contains(wanted, status) {
			all = append(all, [2]string{name, status})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	page, next, err := inventory.Page(c, paging, all)
	return wire.Of("NextToken", next, "Regions", wire.ListOf("", page, func(r [2]string) any {
		return wire.Of("RegionName", r[0], "RegionOptStatus", r[1])
	})), err
}
