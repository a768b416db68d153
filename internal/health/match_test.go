package health_test

import (
	"testing"
	"testing/synctest"

	"sallyport/internal/resource"
)

func TestWhichConfigCounts(t *testing.T) {
	t.Parallel()
	all := resource.ListedLabels{"*": {"*"}}
	prod := resource.ListedLabels{"env": {"prod", "stage*"}}
	for _, test := range []struct {
		name   string
		labels map[string]string
		match  resource.HealthCheckMatch
		want   bool
	}{
		{"everything, without labels", nil, resource.HealthCheckMatch{DatabaseLabels: all}, true},
		{"one of the values", map[string]string{"env": "prod"}, resource.HealthCheckMatch{DatabaseLabels: prod}, true},
		{"a pattern", map[string]string{"env": "stage-2"}, resource.HealthCheckMatch{DatabaseLabels: prod}, true},
		{"another value", map[string]string{"env": "dev"}, resource.HealthCheckMatch{DatabaseLabels: prod}, false},
		{"no such label", nil, resource.HealthCheckMatch{DatabaseLabels: prod}, false},
		{"an expression", map[string]string{"env": "dev"}, resource.HealthCheckMatch{DatabaseLabelsExpression: `labels["env"] == "dev"`}, true},
		{"an expression that does not hold", nil, resource.HealthCheckMatch{DatabaseLabelsExpression: `labels["env"] == "dev"`}, false},
		{"both", map[string]string{"env": "prod"}, resource.HealthCheckMatch{DatabaseLabels: prod, DatabaseLabelsExpression: `labels["env"] == "prod"`}, true},
		{"the labels only", map[string]string{"env": "prod"}, resource.HealthCheckMatch{DatabaseLabels: prod, DatabaseLabelsExpression: `labels["env"] == "dev"`}, false},
		{"the expression only", map[string]string{"env": "dev"}, resource.HealthCheckMatch{DatabaseLabels: prod, DatabaseLabelsExpression: `labels["env"] == "dev"`}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			defer w.stop()
			c := config(t, "c", func(s *resource.HealthCheckSpec) { s.Match = test.match })
			w.Serve([]*resource.Database{database("a", test.labels)}, configs{c})
			if got := w.Health("a").TransitionReason == initialized; got != test.want {
				t.Errorf("%s: checked %v", test.name, got)
			}
		})
	}
}

func TestTheFirstByNameCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		patient := func(n int) func(*resource.HealthCheckSpec) {
			return func(s *resource.HealthCheckSpec) { s.UnhealthyThreshold = n }
		}
		other := config(t, "a", func(s *resource.HealthCheckSpec) { s.Match.DatabaseLabels = resource.ListedLabels{"env": {"dev"}} })
		w.set("a", errDown)
		w.Serve([]*resource.Database{database("a", nil)}, configs{config(t, "c", patient(1)), config(t, "b", patient(3)), other})
		for w.checksOf("a") < 2 {
			advance(t)
		}
		w.is(t, "two failures where b wants three", "a", "unknown", initialized)
		for w.checksOf("a") < 3 {
			advance(t)
		}
		w.is(t, "three failures", "a", "unhealthy", reached)
	})
}
