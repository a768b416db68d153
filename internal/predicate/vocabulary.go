package predicate

import "maps"

// SearchText is the value that the function search looks through: the texts of a row. Expressions
// cannot name it.
const SearchText = "_search"

func user() Vocabulary {
	return Vocabulary{
		"user.metadata.name": String,
		"user.spec.roles":    List,
		"user.spec.traits":   ListMap,
	}
}

// ForLabels returns the names for label expressions of roles: the user and the resource's labels.
func ForLabels() Vocabulary {
	v := user()
	v["labels"] = StringMap
	return v
}

// ForObjects returns the names for label expressions that are read for no user: the resource's labels.
func ForObjects() Vocabulary { return Vocabulary{"labels": StringMap} }

// ForRules returns the names for the conditions of rules: the user and the resource asked for.
func ForRules() Vocabulary {
	v := user()
	maps.Copy(v, Vocabulary{
		"resource.kind":                String,
		"resource.metadata.name":       String,
		"resource.metadata.labels":     StringMap,
		"session.participants":         List,
		"session_tracker.participants": List,
		"request.roles":                List,
		"request.reason":               String,
		"request.system_annotations":   ListMap,
		"reviewer.roles":               List,
		"reviewer.traits":              ListMap,
		"impersonate_user.name":        String,
		"impersonate_role.name":        String,
	})
	return v
}

// ForQuery returns the names for filters of lists.
func ForQuery() Vocabulary {
	return Vocabulary{
		"name":                          String,
		"labels":                        StringMap,
		"resource.kind":                 String,
		"resource.metadata.name":        String,
		"resource.metadata.description": String,
		"resource.metadata.labels":      StringMap,
		"resource.spec.protocol":        String,
		"resource.spec.uri":             String,
		"resource.spec.type":            String,
		SearchText:                      List,
	}
}
