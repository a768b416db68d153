package main

import (
	"testing"

	"sallyport/internal/resource"
)

func TestADatabaseIsTakenOnByAServiceWhoseSelectorMatches(t *testing.T) {
	t.Parallel()
	dev := resource.Labels{"env": {"dev"}}
	for name, c := range map[string]struct {
		labels   map[string]string
		services [][]resource.Labels
		want     bool
	}{
		"no service runs":                            {map[string]string{"env": "dev"}, nil, false},
		"a service that has static databases only":   {map[string]string{"env": "dev"}, [][]resource.Labels{nil}, false},
		"labels that do not match":                   {map[string]string{"env": "prod"}, [][]resource.Labels{{dev}}, false},
		"no labels":                                  {nil, [][]resource.Labels{{dev}}, false},
		"labels that match":                          {map[string]string{"env": "dev"}, [][]resource.Labels{{dev}}, true},
		"the second selector of the second service":  {map[string]string{"env": "dev"}, [][]resource.Labels{nil, {{"env": {"x"}}, dev}}, true},
		"no labels, and a service for all databases": {nil, [][]resource.Labels{{{"*": {"*"}}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := &resource.Database{}
			db.Metadata.Name, db.Metadata.Labels = "cache", c.labels
			var services []resource.Resource
			for _, selectors := range c.services {
				service := &resource.DatabaseService{}
				for _, labels := range selectors {
					service.Spec.Resources = append(service.Spec.Resources, resource.ResourceSelector{Labels: labels})
				}
				services = append(services, service)
			}
			if got := takenOn(db, services); got != c.want {
				t.Errorf("taken on: %t", got)
			}
		})
	}
}
