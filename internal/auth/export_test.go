package auth

import (
	"maps"
	"slices"
)

// Procedures returns the names of all methods that have a rule.
func Procedures() []string { return slices.Sorted(maps.Keys(table)) }
