package awsjoin

import (
	"maps"
	"slices"
)

// Hosts returns the names of all STS that Caller asks, sorted.
func Hosts() []string { return slices.Sorted(maps.Keys(hosts)) }
