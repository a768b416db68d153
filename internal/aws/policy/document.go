package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/aws/iampolicy"
	"sallyport/internal/fault"
)

// set is some permissions.
type set map[Permission]bool

func setOf(lists ...[]Permission) set {
	s := set{}
	for _, list := range lists {
		s.add(list)
	}
	return s
}

// has reports whether all are in it.
func (s set) has(all []Permission) bool {
	for _, p := range all {
		if !s[p] {
			return false
		}
	}
	return true
}

// add puts more into it.
func (s set) add(all []Permission) {
	for _, p := range all {
		s[p] = true
	}
}

// without returns what is in it and not in another, sorted.
func (s set) without(other set) []Permission {
	rest := maps.Clone(s)
	maps.DeleteFunc(rest, func(p Permission, _ bool) bool { return other[p] })
	return rest.sorted()
}

// sorted returns what is in it by action and resource.
func (s set) sorted() []Permission {
	return slices.SortedFunc(maps.Keys(s), func(a, b Permission) int {
		return strings.Compare(a.Action+" "+a.Resource, b.Action+" "+b.Resource)
	})
}

// document is a policy as it is kept: permissions by themselves, and statements of a form that is never written here,
// which stay as they are.
type document struct {
	foreign []iampolicy.Statement
	has     set
}

// readDocument reads the text of a policy; "" is none.
func readDocument(text string) (document, error) {
	d := document{has: set{}}
	if text == "" {
		return d, nil
	}
	var read iampolicy.Document
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return document{}, fault.Wrap(fault.CompareFailed, err, "somebody wrote into the policy what is never written there (%s); take that out into a policy of its own, or delete the policy", err)
	}
	for _, s := range read.Statements {
		if !isOwn(s) {
			d.foreign = append(d.foreign, s)
			continue
		}
		for _, resource := range s.Resources {
			d.has[Permission{s.Actions[0], resource}] = true
		}
	}
	return d, nil
}

// isOwn reports whether a statement has the form of those that render makes.
func isOwn(s iampolicy.Statement) bool {
	return s.Effect == iampolicy.Allow && s.Sid == "" && len(s.Principals) == 0 && len(s.Conditions) == 0 && len(s.Actions) == 1 && len(s.Resources) > 0 &&
		!slices.ContainsFunc(s.Resources, func(r string) bool { return !strings.HasPrefix(r, "arn:") })
}

// render returns the policy with other permissions. Equal ones give equal documents.
func (d document) render(has set) iampolicy.Document {
	out := iampolicy.Document{Statements: slices.Clone(d.foreign)}
	for _, p := range has.sorted() {
		last := len(out.Statements) - 1
		if last < len(d.foreign) || out.Statements[last].Actions[0] != p.Action {
			out.Statements = append(out.Statements, iampolicy.Statement{Effect: iampolicy.Allow, Actions: []string{p.Action}})
			last++
		}
		out.Statements[last].Resources = append(out.Statements[last].Resources, p.Resource)
	}
	return out
}

// empty reports that a policy with these permissions would say nothing.
func (d document) empty(has set) bool { return len(d.foreign) == 0 && len(has) == 0 }
