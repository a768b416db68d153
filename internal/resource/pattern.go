package resource

import (
	"fmt"
	"regexp"
	"strings"
)

// Pattern is one value of a label selector, or one name of a role in a request rule: a literal, a glob
// in which * stands for any text, or a regular expression when it begins with ^ and ends with $.
//
// A pattern always has to match the whole text. This includes each branch of a regular expression:
// ^test|stage$ matches test and stage, not tester.
type Pattern struct {
	glob string
	re   *regexp.Regexp
}

// ParsePattern reads a pattern. The error is one sentence.
func ParsePattern(s string) (Pattern, error) {
	if !isRegexp(s) {
		return Pattern{glob: s}, nil
	}
	if len(s) > maxRegexp {
		return Pattern{}, fmt.Errorf("the regular expression is longer than %d bytes", maxRegexp)
	}
	if _, err := regexp.Compile(s); err != nil {
		return Pattern{}, fmt.Errorf("%q is not a regular expression", s)
	}
	re, err := regexp.Compile(`\A(?:` + s + `)\z`)
	if err != nil {
		return Pattern{}, fmt.Errorf("%q is not a regular expression", s)
	}
	return Pattern{re: re}, nil
}

const maxRegexp = 1024

func isRegexp(s string) bool {
	return len(s) >= 2 && strings.HasPrefix(s, "^") && strings.HasSuffix(s, "$")
}

// Match reports whether the whole of s matches. The zero Pattern matches the empty text only.
func (p Pattern) Match(s string) bool {
	if p.re != nil {
		return p.re.MatchString(s)
	}
	return matchGlob(p.glob, s)
}

// matchGlob takes time proportional to the product of the lengths at worst: it only ever returns to
// the last star.
func matchGlob(glob, s string) bool {
	g, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, mark = g, i
			g++
		case g < len(glob) && glob[g] == s[i]:
			g++
			i++
		case star >= 0:
			mark++
			g, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
