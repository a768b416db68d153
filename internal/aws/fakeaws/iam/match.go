package iam

import (
	"strings"
)

// glob matches s against a pattern in which * stands for any run of characters and ? for one.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// arnGlob matches like glob, but each of the first five parts of an ARN for itself: a star there does not reach over a colon.
func arnGlob(pattern, s string) bool {
	if pattern == "*" {
		return true
	}
	ps, ss := strings.SplitN(pattern, ":", 6), strings.SplitN(s, ":", 6)
	if len(ss) != 6 {
		return false
	}
	for len(ps) < 6 { // an incomplete ARN is completed by stars
		ps = append(ps, "*")
	}
	for i := range ps {
		if !glob(ps[i], ss[i]) {
			return false
		}
	}
	return true
}

func anyAction(patterns []string, action string) bool {
	action = strings.ToLower(action)
	for _, p := range patterns {
		if glob(strings.ToLower(p), action) {
			return true
		}
	}
	return false
}

func validAction(s string) bool {
	if s == "*" {
		return true
	}
	vendor, name, found := strings.Cut(s, ":")
	if !found || vendor == "" || name == "" {
		return false
	}
	for _, r := range vendor + name {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '*' || r == '?') {
			return false
		}
	}
	return true
}

// resourceShaped also takes an incomplete ARN.
func resourceShaped(s string) bool {
	return s == "*" || strings.HasPrefix(s, "arn:") && strings.Count(s, ":") >= 2
}

func arnShaped(s string) bool {
	return strings.HasPrefix(s, "arn:") && strings.Count(s, ":") >= 5
}

func accountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Values of a condition key. A key that is absent differs from one that has no values.
type Values map[string][]string

// get looks a key up; names of keys are compared without regard to case (values are not).
func (v Values) get(key string) ([]string, bool) {
	if found, ok := v[key]; ok {
		return found, true
	}
	for name, found := range v {
		if strings.EqualFold(name, key) {
			return found, true
		}
	}
	return nil, false
}

// substitute replaces ${key} by the key's only value; ${*}, ${?} and ${$} stand for the characters themselves and
// ${key, 'default'} has a default. It says false where a variable has no value: such a pattern matches nothing.
// The result is escaped for glob only as far as AWS does: a value with a star in it is a star.
func (v Values) substitute(s string) (string, bool) {
	if !strings.Contains(s, "${") {
		return s, true
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", false
		}
		s = after
		switch name {
		case "*", "?", "$":
			b.WriteString(name)
			continue
		}
		key, fallback, hasFallback := strings.Cut(name, ",")
		found2, ok := v.get(strings.TrimSpace(key))
		switch {
		case ok && len(found2) == 1:
			b.WriteString(found2[0])
		case hasFallback:
			b.WriteString(strings.Trim(strings.TrimSpace(fallback), "'"))
		default:
			return "", false
		}
	}
}
