package main

import (
	"strings"
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

func TestTheAgentWhoseFileNamesAnotherDatabaseIsNamed(t *testing.T) {
	t.Parallel()
	database := func(name, protocol, uri, env, origin string) *resource.Database {
		db := &resource.Database{}
		db.Metadata.Name, db.Metadata.Labels = name, map[string]string{"env": env, resource.LabelOrigin: origin}
		db.Spec.Protocol, db.Spec.URI = protocol, uri
		return db
	}
	for name, c := range map[string]struct {
		served *resource.Database
		want   string
	}{
		"the same":            {database("orders", "mysql", "a:3306", "dev", resource.OriginConfigFile), ""},
		"another name":        {database("cache", "redis", "a:6379", "dev", resource.OriginConfigFile), ""},
		"of another protocol": {database("orders", "redis", "a:3306", "dev", resource.OriginConfigFile), "other protocol"},
		"at another address":  {database("orders", "mysql", "b:3306", "dev", resource.OriginConfigFile), "other address"},
		"with another label":  {database("orders", "mysql", "a:3306", "prod", resource.OriginConfigFile), "other labels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &resource.DatabaseServer{}
			server.Spec.Hostname, server.Spec.Database = "host-1", c.served
			var told strings.Builder
			noteDisplaced(&told, []resource.Resource{server}, database("orders", "mysql", "a:3306", "dev", resource.OriginDynamic))
			if c.want == "" && told.Len() > 0 || !strings.Contains(told.String(), c.want) || c.want != "" && !strings.Contains(told.String(), "host-1") {
				t.Errorf("told %q, want %q", told.String(), c.want)
			}
		})
	}
}
