package rds

import (
	"slices"

	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/wire"
)

// filtered keeps the resources that all filters of a call let pass. kinds are the filters that an operation knows, each
// with the values of a resource that count.
func filtered[T any](c *fakeaws.Call, r *RDS, all []*T, kinds map[string]func(*T) []string) ([]*T, error) {
	for _, filter := range c.Params.List("Filters") {
		name, values := filter.String("Name"), filter.Strings("Values")
		of := kinds[name]
		if of == nil {
			return nil, wire.Errorf("InvalidParameterValue", "Unrecognized filter name: %s", name)
		}
		if len(values) == 0 {
			return nil, wire.Errorf("InvalidParameterValue", "Filter %s has no values", name)
		}
		for _, value := range values {
			if name == "engine" && !r.knowsEngine(c.Region, value) {
				return nil, wire.Errorf("InvalidParameterValue", "Unrecognized engine name: %s", value)
			}
		}
		var some []*T
		for _, one := range all {
			if slices.ContainsFunc(of(one), func(v string) bool { return slices.Contains(values, v) }) {
				some = append(some, one)
			}
		}
		all = some
	}
	return all, nil
}

// mayModify refuses to change what this local AWS would only pretend to change, and what is not available.
func mayModify(c *fakeaws.Call, identifier, status string, available []string, stateCode, kind string) error {
	for _, name := range c.Params.Names() {
		switch name {
		case "Action", "Version", identifier, "EnableIAMDatabaseAuthentication", "ApplyImmediately":
		default:
			return wire.Errorf("InvalidParameterCombination", "This local AWS changes nothing but IAM authentication: %s", name)
		}
	}
	if !slices.Contains(available, status) {
		return wire.Errorf(stateCode, "%s is not in available state: %s", kind, status)
	}
	return nil
}
