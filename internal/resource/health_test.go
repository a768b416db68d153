package resource_test

import (
	"strings"
	"testing"

	"sallyport/internal/resource"
)

func TestHealthCheckConfig(t *testing.T) {
	t.Parallel()
	const all = `match: {db_labels: {"*": "*"}}`
	for _, test := range []struct{ name, spec, want string }{
		{"defaults", all, ""},
		{"labels as a list", `match: {db_labels: [{name: env, values: [prod, stage]}, {name: team, values: [a]}]}`, ""},
		{"an expression", `match: {db_labels_expression: 'labels["env"] == "prod"'}`, ""},
		{"the limits", all + ", interval: 10m, timeout: 30s, healthy_threshold: 10, unhealthy_threshold: 10", ""},
		{"a short interval shortens the timeout", all + ", interval: 2s", ""},
		{"nothing to match", "interval: 30s", `spec.match: is missing; write db_labels: {"*": "*"} for all databases`},
		{"too often", all + ", interval: 500ms", "spec.interval: must be between 1s and 10m0s, not 500ms"},
		{"too seldom", all + ", interval: 11m", "spec.interval: must be between 1s and 10m0s, not 11m0s"},
		{"negative", all + ", interval: -1s", "spec.interval: must be between 1s and 10m0s, not -1s"},
		{"no duration", all + ", interval: soon", `spec.interval: "soon" is not a duration such as 30m or 1h30m`},
		{"a timeout longer than the interval", all + ", interval: 10s, timeout: 11s", "spec.timeout: must not be longer than the interval, which is 10s"},
		{"too short a timeout", all + ", timeout: 10ms", "spec.timeout: must be between 1s and 30s, not 10ms"},
		{"too long a timeout", all + ", interval: 10m, timeout: 31s", "spec.timeout: must be between 1s and 30s, not 31s"},
		{"too many passes", all + ", healthy_threshold: 11", "spec.healthy_threshold: must be between 1 and 10 checks, not 11"},
		{"negative failures", all + ", unhealthy_threshold: -1", "spec.unhealthy_threshold: must be between 1 and 10 checks, not -1"},
		{"an expression about users", `match: {db_labels_expression: 'user.metadata.name == "bob"'}`, "spec.match.db_labels_expression: "},
		{"a template", `match: {db_labels: {env: "{{internal.db_users}}"}}`, "spec.match.db_labels.env: must not hold a template: a check is made for no user"},
		{"a label twice", `match: {db_labels: [{name: env, values: [a]}, {name: env, values: [b]}]}`, "spec.match.db_labels: must name each label once; put alternatives into one list of values"},
		{"a list of something else", `match: {db_labels: [env, team]}`, "spec.match.db_labels: must be a map of labels, or a list whose entries have name and values"},
		{"a label without values", `match: {db_labels: [{name: env}]}`, `spec.match.db_labels.env: needs a value; use "*" for any`},
		{"an unknown key", all + ", every: 3s", "every"},
	} {
		got, err := resource.ParseYAML([]byte("kind: health_check_config\nversion: v1\nmetadata: {name: x}\nspec: {" + test.spec + "}\n"))
		if err == nil && len(got) == 1 {
			err = got[0].Validate()
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestDefaultHealthCheck(t *testing.T) {
	t.Parallel()
	got, err := resource.Encode(resource.DefaultHealthCheck())
	const want = `{"kind":"health_check_config","version":"v1","metadata":{"name":"default","description":"Checks the health of all databases",` +
		`"labels":{"teleport.internal/resource-type":"preset"}},"spec":{"match":{"db_labels":{"*":"*"}},"interval":"30s","timeout":"5s","healthy_threshold":2,"unhealthy_threshold":1}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	for _, word := range []string{"hcc", "HCC", "health_check_config", "health_check_configs"} {
		if kind, ok := resource.KindByAlias(word); !ok || kind != resource.KindHealthCheckConfig {
			t.Errorf("%s stands for %q", word, kind)
		}
	}
}

func TestHealthOfServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		health resource.TargetHealth
		want   string
	}{
		{"none is told", resource.TargetHealth{}, ""},
		{"healthy", resource.TargetHealth{Status: resource.Healthy, TransitionReason: resource.HealthThresholdReached}, ""},
		{"another status", resource.TargetHealth{Status: "fine", TransitionReason: resource.HealthThresholdReached}, `status.target_health.status: "fine" is not known`},
		{"another reason", resource.TargetHealth{Status: resource.Healthy, TransitionReason: "luck"}, `status.target_health.transition_reason: "luck" is not known`},
		{"control characters", resource.TargetHealth{Status: resource.Unhealthy, TransitionReason: resource.HealthThresholdReached, TransitionError: "\x1b[2J"}, "status.target_health.transition_error: must not contain control characters"},
		{"a long text", resource.TargetHealth{Status: resource.Unhealthy, TransitionReason: resource.HealthThresholdReached, Message: strings.Repeat("x", 9000)}, "status.target_health.message: is longer than 8192 bytes"},
	} {
		db := &resource.Database{Spec: resource.DatabaseSpec{Protocol: "postgres", URI: "db.example.com:5432"}}
		db.SetKind(resource.KindDatabase)
		db.Metadata.Name = "a"
		server := &resource.DatabaseServer{Spec: resource.DatabaseServerSpec{HostID: "h", Database: db}, Status: resource.DatabaseServerStatus{TargetHealth: test.health}}
		server.SetKind(resource.KindDatabaseServer)
		server.Metadata.Name = "a"
		err := server.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
