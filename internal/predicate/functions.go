package predicate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// call checks the arguments of a function and returns its result.
func call(name string, args []term, names Vocabulary) (term, error) {
	switch name {
	case "contains":
		return binary(args, List, String, Bool, func(l []string, s string) any { return slices.Contains(l, s) })
	case "contains_any":
		return binary(args, List, List, Bool, func(a, b []string) any {
			return slices.ContainsFunc(b, func(s string) bool { return slices.Contains(a, s) })
		})
	case "contains_all":
		// Nothing asked for is not everything found: an empty list must not open a door.
		return binary(args, List, List, Bool, func(a, b []string) any {
			return len(b) > 0 && !slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) })
		})
	case "equals":
		if len(args) != 2 {
			return term{}, fmt.Errorf("needs 2 arguments")
		}
		equal, err := equality(args[0], args[1])
		return term{typ: Bool, eval: func(v Values) any { return equal(v) }}, err
	case "has_prefix", "hasPrefix":
		return binary(args, String, String, Bool, func(s, prefix string) any { return strings.HasPrefix(s, prefix) })
	case "set":
		return set(args)
	case "exists":
		if len(args) != 1 || args[0].exists == nil {
			return term{}, fmt.Errorf(`needs one argument of the form name["key"]`)
		}
		return term{typ: Bool, eval: func(v Values) any { return args[0].exists(v) }}, nil
	case "is_empty":
		return unary(args, List, Bool, func(l []string) any { return len(l) == 0 })
	case "strings.upper":
		return eachString(args, strings.ToUpper)
	case "strings.lower":
		return eachString(args, strings.ToLower)
	case "email.local":
		return eachString(args, func(s string) string {
			local, _, _ := strings.Cut(s, "@")
			return local
		})
	case "regexp.match":
		return match(args)
	case "search":
		return search(args, names)
	default:
		return term{}, fmt.Errorf("there is no such function")
	}
}

func unary[A any](args []term, a, result Type, f func(A) any) (term, error) {
	if len(args) != 1 || args[0].typ != a {
		return term{}, fmt.Errorf("needs %s", a)
	}
	return term{typ: result, eval: func(v Values) any { return f(as[A](args[0].eval(v))) }}, nil
}

func binary[A, B any](args []term, a, b, result Type, f func(A, B) any) (term, error) {
	if len(args) != 2 || args[0].typ != a || args[1].typ != b {
		return term{}, fmt.Errorf("needs %s and %s", a, b)
	}
	return term{typ: result, eval: func(v Values) any { return f(as[A](args[0].eval(v)), as[B](args[1].eval(v))) }}, nil
}

// eachString applies f to a string, or to each entry of a list.
func eachString(args []term, f func(string) string) (term, error) {
	if len(args) == 1 && args[0].typ == List {
		return unary(args, List, List, func(l []string) any {
			out := make([]string, len(l))
			for i, s := range l {
				out[i] = f(s)
			}
			return out
		})
	}
	return unary(args, String, String, func(s string) any { return f(s) })
}

func set(args []term) (term, error) {
	for _, arg := range args {
		if arg.typ != String {
			return term{}, fmt.Errorf("needs strings")
		}
	}
	return term{typ: List, eval: func(v Values) any {
		out := make([]string, len(args))
		for i, arg := range args {
			out[i] = as[string](arg.eval(v))
		}
		return out
	}}, nil
}

// match compiles the pattern when the expression is read, so that a bad one is found then. As with
// labels, the pattern must match the whole string.
func match(args []term) (term, error) {
	if len(args) != 2 || args[1].literal == nil {
		return term{}, fmt.Errorf("needs a string or list, and a pattern in quotes")
	}
	pattern := *args[1].literal
	if _, err := regexp.Compile(pattern); err != nil {
		return term{}, fmt.Errorf("%q is not a regular expression", pattern)
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return term{}, fmt.Errorf("%q is not a regular expression", pattern)
	}
	switch args[0].typ {
	case String:
		return unary(args[:1], String, Bool, func(s string) any { return re.MatchString(s) })
	case List:
		return unary(args[:1], List, Bool, func(l []string) any { return slices.ContainsFunc(l, re.MatchString) })
	default:
		return term{}, fmt.Errorf("needs a string or list, and a pattern in quotes")
	}
}

// search reports whether every word occurs somewhere in the text of the row, whatever its case.
func search(args []term, names Vocabulary) (term, error) {
	if names[SearchText] != List {
		return term{}, fmt.Errorf("can be used in filters of lists only")
	}
	words, err := set(args)
	if err != nil || len(args) == 0 {
		return term{}, fmt.Errorf("needs words in quotes")
	}
	return term{typ: Bool, eval: func(v Values) any {
		return ContainsWords(as[[]string](v[SearchText]), as[[]string](words.eval(v)))
	}}, nil
}

// ContainsWords reports whether each word occurs in at least one of the texts, whatever its case.
func ContainsWords(texts, words []string) bool {
	for _, word := range words {
		word = strings.ToLower(word)
		if !slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), word) }) {
			return false
		}
	}
	return true
}
