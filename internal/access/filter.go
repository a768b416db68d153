package access

import (
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/predicate"
	"sallyport/internal/resource"
)

// Filter selects rows of a list of databases. All parts that are set must match.
type Filter struct {
	Labels map[string]string // each label has exactly this value
	Search []string          // each word occurs in the name, description, labels, protocol, type or URI
	Query  string            // a predicate such as: labels["env"] == "prod"
}

// Matcher is a filter that has been read. It is immutable and safe for concurrent use.
type Matcher struct {
	filter Filter
	query  *predicate.Expr // nil when none is written
}

// Compile reads the filter. The error is a fault.BadParameter.
func (f Filter) Compile() (*Matcher, error) {
	m := &Matcher{filter: f}
	if strings.TrimSpace(f.Query) == "" {
		return m, nil
	}
	query, err := predicate.Parse(f.Query, predicate.ForQuery())
	if err != nil {
		return nil, fault.New(fault.BadParameter, "the query cannot be read: %s", err)
	}
	m.query = query
	return m, nil
}

// ParseFilter reads the parts of a filter as people write them on a command line; each may be empty. The error
// is a fault.BadParameter.
func ParseFilter(labels, search, query string) (*Matcher, error) {
	filter := Filter{Query: query}
	var err error
	if filter.Labels, err = ParseLabels(labels); err != nil {
		return nil, err
	}
	if filter.Search, err = ParseSearch(search); err != nil {
		return nil, err
	}
	return filter.Compile()
}

// Match reports whether the database is in the list.
func (m *Matcher) Match(db *resource.Database) bool {
	labels := db.AllLabels()
	for key, want := range m.filter.Labels {
		if have, ok := labels[key]; !ok || have != want {
			return false
		}
	}
	if len(m.filter.Search) == 0 && m.query == nil {
		return true
	}
	texts := searchTexts(db, labels)
	if !predicate.ContainsWords(texts, m.filter.Search) {
		return false
	}
	return m.query == nil || m.query.Match(predicate.Values{
		"name":                          db.Metadata.Name,
		"labels":                        labels,
		"resource.kind":                 db.Kind,
		"resource.metadata.name":        db.Metadata.Name,
		"resource.metadata.description": db.Metadata.Description,
		"resource.metadata.labels":      labels,
		"resource.spec.protocol":        db.Spec.Protocol,
		"resource.spec.uri":             db.Spec.URI,
		"resource.spec.type":            db.Type(),
		predicate.SearchText:            texts,
	})
}

func searchTexts(db *resource.Database, labels map[string]string) []string {
	texts := []string{db.Metadata.Name, db.Metadata.Description, db.Spec.Protocol, db.Type(), db.Spec.URI}
	for key, value := range labels {
		texts = append(texts, key+"="+value)
	}
	return texts
}

// ParseLabels reads label arguments such as env=prod,team="a b". Nothing gives an empty map.
func ParseLabels(s string) (map[string]string, error) {
	labels := map[string]string{}
	parts, err := splitUnquoted(s, ',')
	if err != nil {
		return nil, fault.New(fault.BadParameter, "the labels %s cannot be read: a quote is not closed", s)
	}
	for _, part := range parts {
		if strings.TrimSpace(part) == "" {
			continue
		}
		pair, _ := splitUnquoted(part, '=') // quotes are known to be closed
		key := unquote(pair[0])
		if len(pair) < 2 || key == "" {
			return nil, fault.New(fault.BadParameter, "%q is not a label; write name=value, separated by commas", strings.TrimSpace(part))
		}
		if _, taken := labels[key]; taken {
			return nil, fault.New(fault.BadParameter, "the label %q is given twice", key)
		}
		labels[key] = unquote(strings.Join(pair[1:], "="))
	}
	return labels, nil
}

// ParseSearch reads search words such as prod,"us east"; a quoted phrase is one word.
func ParseSearch(s string) ([]string, error) {
	parts, err := splitUnquoted(s, ',')
	if err != nil {
		return nil, fault.New(fault.BadParameter, "the search words %s cannot be read: a quote is not closed", s)
	}
	var words []string
	for _, part := range parts {
		if word := unquote(part); word != "" {
			words = append(words, word)
		}
	}
	return words, nil
}

// splitUnquoted splits at separators outside of double or single quotes, which stay in the parts. A
// quote opens only at the beginning of a key, value or word, so that an apostrophe stays a letter.
func splitUnquoted(s string, separator byte) ([]string, error) {
	var parts []string
	start, quote, begin := 0, byte(0), true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case begin && (c == '"' || c == '\''):
			quote, begin = c, false
		case c == separator:
			parts = append(parts, s[start:i])
			start, begin = i+1, true
		default:
			begin = c == ',' || c == '=' || begin && c == ' '
		}
	}
	if quote != 0 {
		return nil, fault.New(fault.BadParameter, "a quote is not closed")
	}
	return append(parts, s[start:]), nil
}

func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
