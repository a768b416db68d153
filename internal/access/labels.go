package access

import (
	"fmt"
	"maps"

	"sallyport/internal/predicate"
	"sallyport/internal/resource"
)

// MatchLabels reports whether a selector matches labels. An empty selector matches nothing; the selector
// {"*": "*"} matches everything; otherwise each key must be present and match one of its values. A
// selector that cannot be read matches nothing. Templates are not expanded.
func MatchLabels(selector resource.Labels, labels map[string]string) bool {
	patterns, err := compileLabels(selector)
	return err == nil && patterns.match(labels)
}

// labelPatterns is a selector with its patterns read.
type labelPatterns struct {
	all  bool
	keys map[string][]resource.Pattern
}

func (l *labelPatterns) match(labels map[string]string) bool {
	if l.all {
		return true
	}
	for key, patterns := range l.keys {
		value, ok := labels[key]
		if !ok || !matchAny(patterns, value) {
			return false
		}
	}
	return len(l.keys) > 0
}

func matchAny(patterns []resource.Pattern, value string) bool {
	for _, p := range patterns {
		if p.Match(value) {
			return true
		}
	}
	return false
}

func compileLabels(selector resource.Labels) (labelPatterns, error) {
	out := labelPatterns{all: selector.IsAll(), keys: make(map[string][]resource.Pattern, len(selector))}
	for key, values := range selector {
		patterns := make([]resource.Pattern, len(values))
		for i, value := range values {
			pattern, err := resource.ParsePattern(value)
			if err != nil {
				return labelPatterns{}, err
			}
			patterns[i] = pattern
		}
		out.keys[key] = patterns // stays when empty, so that the key fails
	}
	return out, nil
}

// expandLabels expands the templates in values. A value that comes from a trait is then matched like one
// written in the role. The key "*" is left alone, so that no trait can turn a selector into the one
// that matches everything.
func expandLabels(selector resource.Labels, traits map[string][]string) (resource.Labels, error) {
	out := make(resource.Labels, len(selector))
	for key, values := range selector {
		if key == "*" {
			out[key] = values
			continue
		}
		expanded, err := expandAll(values, traits)
		if err != nil {
			return nil, err
		}
		out[key] = expanded
	}
	return out, nil
}

// combination says how labels and an expression of one role relate when both are written.
type combination int

const (
	allOf combination = iota // to allow, both have to match
	anyOf                    // to deny, either suffices
)

// selector is db_labels together with db_labels_expression.
type selector struct {
	labels     labelPatterns
	expression *predicate.Expr // nil when none is written
	vars       predicate.Values
	how        combination
	hasLabels  bool
}

func (s *selector) match(labels map[string]string) bool {
	byLabels := s.hasLabels && s.labels.match(labels)
	if s.expression == nil {
		return byLabels
	}
	if s.how == anyOf {
		return byLabels || s.matchExpression(labels)
	}
	return (byLabels || !s.hasLabels) && s.matchExpression(labels)
}

func (s *selector) matchExpression(labels map[string]string) bool {
	values := maps.Clone(s.vars)
	values["labels"] = labels
	return s.expression.Match(values)
}

func (s *selector) empty() bool { return !s.hasLabels && s.expression == nil }

// matchesAll reports whether the selector matches whatever the labels are.
func (s *selector) matchesAll() bool { return s.labels.all && s.expression == nil }

// decidedBy names the field that matched.
func (s *selector) decidedBy(labels map[string]string) string {
	if s.hasLabels && s.labels.match(labels) {
		return "db_labels"
	}
	return "db_labels_expression"
}

func compileConditions(c *resource.RoleConditions, vars predicate.Values, traits map[string][]string, how combination) (conditions, error) {
	var out conditions
	out.labels = selector{vars: vars, how: how, hasLabels: len(c.DatabaseLabels) > 0}
	labels, err := expandLabels(c.DatabaseLabels, traits)
	if err != nil {
		return out, fmt.Errorf("db_labels: %w", err)
	}
	if out.labels.labels, err = compileLabels(labels); err != nil {
		return out, fmt.Errorf("db_labels: %w", err)
	}
	if c.DatabaseLabelsExpression != "" {
		out.labels.expression, err = predicate.Parse(c.DatabaseLabelsExpression, predicate.ForLabels())
		if err != nil {
			return out, fmt.Errorf("db_labels_expression: %w", err)
		}
	}
	if out.users, err = expandAll(c.DatabaseUsers, traits); err != nil {
		return out, fmt.Errorf("db_users: %w", err)
	}
	if out.names, err = expandAll(c.DatabaseNames, traits); err != nil {
		return out, fmt.Errorf("db_names: %w", err)
	}
	if out.commands, err = expandAll(c.DatabaseCommands, traits); err != nil {
		return out, fmt.Errorf("db_commands: %w", err)
	}
	return out, nil
}
