package health

import (
	"cmp"
	"slices"

	"sallyport/internal/access"
	"sallyport/internal/predicate"
	"sallyport/internal/resource"
)

// rule is a config with its expression read.
type rule struct {
	config     *resource.HealthCheckConfig
	expression *predicate.Expr // nil when none is written
}

// rulesOf returns the rules in the order in which they are asked. A config whose expression cannot be read matches nothing.
func rulesOf(configs []*resource.HealthCheckConfig) []rule {
	var rules []rule
	for _, config := range slices.SortedFunc(slices.Values(configs), func(a, b *resource.HealthCheckConfig) int { return cmp.Compare(a.GetName(), b.GetName()) }) {
		r := rule{config: config}
		if text := config.Spec.Match.DatabaseLabelsExpression; text != "" {
			var err error
			if r.expression, err = predicate.Parse(text, predicate.ForObjects()); err != nil {
				continue
			}
		}
		rules = append(rules, r)
	}
	return rules
}

// choose returns how a database with the labels is checked; nil if it is not.
func choose(rules []rule, labels map[string]string) *resource.HealthCheckSpec {
	for _, r := range rules {
		if r.matches(labels) {
			return &r.config.Spec
		}
	}
	return nil
}

func (r *rule) matches(labels map[string]string) bool {
	wanted := resource.Labels(r.config.Spec.Match.DatabaseLabels)
	if len(wanted) > 0 && !access.MatchLabels(wanted, labels) {
		return false
	}
	if r.expression != nil {
		return r.expression.Match(predicate.Values{"labels": labels})
	}
	return len(wanted) > 0
}
