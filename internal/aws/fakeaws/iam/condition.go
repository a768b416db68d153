package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

type condition struct {
	operator string // as written
	compare  func(want, got string) bool
	negated  bool   // all wanted values must fail to match
	ifExists bool   // an absent key satisfies
	set      string // "", "ForAnyValue" or "ForAllValues"
	null     bool   // the Null operator
	key      string
	want     []string
}

// values is a condition's right side: one or many of string, number or boolean.
type values []string

func (v *values) UnmarshalJSON(b []byte) error {
	var many oneOrMany[any]
	if err := many.UnmarshalJSON(b); err != nil {
		return err
	}
	for _, one := range many {
		switch x := one.(type) {
		case string:
			*v = append(*v, x)
		case bool:
			*v = append(*v, strconv.FormatBool(x))
		case float64:
			*v = append(*v, strconv.FormatFloat(x, 'f', -1, 64))
		default:
			return errors.New("a condition compares with strings, numbers or booleans")
		}
	}
	return nil
}

var _ json.Unmarshaler = (*values)(nil)

type comparison struct {
	negated bool
	compare func(want, got string) bool
}

var comparisons = map[string]comparison{
	"StringEquals":              {false, equal},
	"StringNotEquals":           {true, equal},
	"StringEqualsIgnoreCase":    {false, strings.EqualFold},
	"StringNotEqualsIgnoreCase": {true, strings.EqualFold},
	"StringLike":                {false, glob},
	"StringNotLike":             {true, glob},
	"ArnEquals":                 {false, arnGlob},
	"ArnLike":                   {false, arnGlob},
	"ArnNotEquals":              {true, arnGlob},
	"ArnNotLike":                {true, arnGlob},
	"Bool":                      {false, strings.EqualFold},
	"NumericEquals":             {false, numbers(func(w, g float64) bool { return g == w })},
	"NumericNotEquals":          {true, numbers(func(w, g float64) bool { return g == w })},
	"NumericLessThan":           {false, numbers(func(w, g float64) bool { return g < w })},
	"NumericLessThanEquals":     {false, numbers(func(w, g float64) bool { return g <= w })},
	"NumericGreaterThan":        {false, numbers(func(w, g float64) bool { return g > w })},
	"NumericGreaterThanEquals":  {false, numbers(func(w, g float64) bool { return g >= w })},
	"DateEquals":                {false, dates(func(w, g time.Time) bool { return g.Equal(w) })},
	"DateNotEquals":             {true, dates(func(w, g time.Time) bool { return g.Equal(w) })},
	"DateLessThan":              {false, dates(func(w, g time.Time) bool { return g.Before(w) })},
	"DateLessThanEquals":        {false, dates(func(w, g time.Time) bool { return !g.After(w) })},
	"DateGreaterThan":           {false, dates(func(w, g time.Time) bool { return g.After(w) })},
	"DateGreaterThanEquals":     {false, dates(func(w, g time.Time) bool { return !g.Before(w) })},
	"IpAddress":                 {false, inNetwork},
	"NotIpAddress":              {true, inNetwork},
}

func equal(want, got string) bool { return want == got }

func numbers(holds func(want, got float64) bool) func(string, string) bool {
	return func(want, got string) bool {
		w, err1 := strconv.ParseFloat(want, 64)
		g, err2 := strconv.ParseFloat(got, 64)
		return err1 == nil && err2 == nil && holds(w, g)
	}
}

func dates(holds func(want, got time.Time) bool) func(string, string) bool {
	parse := func(s string) (time.Time, error) {
		if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.Unix(seconds, 0), nil
		}
		return time.Parse(time.RFC3339, s)
	}
	return func(want, got string) bool {
		w, err1 := parse(want)
		g, err2 := parse(got)
		return err1 == nil && err2 == nil && holds(w, g)
	}
}

func inNetwork(want, got string) bool {
	address, err := netip.ParseAddr(got)
	if err != nil {
		return false
	}
	if network, err := netip.ParsePrefix(want); err == nil {
		return network.Contains(address)
	}
	one, err := netip.ParseAddr(want)
	return err == nil && one == address
}

func parseConditions(raw map[string]map[string]values) ([]condition, error) {
	var all []condition
	for operator, keys := range raw {
		c := condition{operator: operator}
		name := operator
		if set, rest, found := strings.Cut(name, ":"); found {
			if set != "ForAnyValue" && set != "ForAllValues" {
				return nil, fmt.Errorf("invalid condition type %q", operator)
			}
			c.set, name = set, rest
		}
		if name == "Null" {
			c.null = true
		} else {
			name, c.ifExists = strings.CutSuffix(name, "IfExists")
			comparison, known := comparisons[name]
			if !known {
				return nil, fmt.Errorf("invalid condition type %q", operator)
			}
			c.compare, c.negated = comparison.compare, comparison.negated
		}
		for key, want := range keys {
			if !strings.Contains(key, ":") {
				return nil, fmt.Errorf("condition key %q has no service prefix", key)
			}
			one := c
			one.key, one.want = key, want
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b condition) int { return strings.Compare(a.operator+" "+a.key, b.operator+" "+b.key) })
	return all, nil
}

// holds says whether the request's values satisfy the condition.
func (c condition) holds(context Values, variables bool) bool {
	got, present := context.get(c.key)
	present = present && (len(got) > 0 || c.set != "")
	if c.null {
		return slices.ContainsFunc(c.want, func(w string) bool { return strings.EqualFold(w, strconv.FormatBool(len(got) == 0)) })
	}
	one := func(value string) bool {
		matches := slices.ContainsFunc(c.want, func(want string) bool {
			if variables {
				var ok bool
				if want, ok = context.substitute(want); !ok {
					return false
				}
			}
			return c.compare(want, value)
		})
		return matches != c.negated
	}
	switch {
	case c.set == "ForAllValues": // also true of no values at all
		return !slices.ContainsFunc(got, func(value string) bool { return !one(value) })
	case c.set == "ForAnyValue":
		if !present || len(got) == 0 {
			return c.ifExists && !present
		}
		return slices.ContainsFunc(got, one)
	case !present:
		return c.ifExists || c.negated
	default: // a key with several values needs a set operator; without one AWS compares with each, and one match is enough
		return slices.ContainsFunc(got, one) && (!c.negated || !slices.ContainsFunc(got, func(value string) bool { return !one(value) }))
	}
}
