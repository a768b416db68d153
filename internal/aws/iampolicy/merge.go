package iampolicy

import (
	"encoding/json"
	"slices"
)

// Merge returns a document with the statements, in their order. Those that differ only in their
// resources become one; repeated actions and resources are dropped.
func Merge(statements ...Statement) Document {
	var d Document
	at := map[string]int{}
	for _, s := range statements {
		s.Actions, s.Resources = unique(s.Actions), unique(s.Resources)
		key := identity(s)
		if i, ok := at[key]; ok {
			d.Statements[i].Resources = unique(append(d.Statements[i].Resources, s.Resources...))
			continue
		}
		at[key] = len(d.Statements)
		d.Statements = append(d.Statements, s)
	}
	return d
}

// identity is what must be equal for two statements to differ in their resources only.
func identity(s Statement) string {
	actions := slices.Sorted(slices.Values(s.Actions))
	key, err := json.Marshal([]any{s.Effect, actions, s.Principals, s.Conditions})
	if err != nil {
		panic("iampolicy: plain data does not encode: " + err.Error())
	}
	return string(key)
}

// unique returns a copy without repetitions. A resource "*" makes the others superfluous.
func unique(list []string) []string {
	if slices.Contains(list, "*") {
		return []string{"*"}
	}
	var out []string
	seen := map[string]bool{}
	for _, one := range list {
		if !seen[one] {
			seen[one] = true
			out = append(out, one)
		}
	}
	return out
}
