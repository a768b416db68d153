package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sallyport/internal/predicate"
	"sallyport/internal/yamlnode"
)

// HealthCheckConfig says which databases agents look at by themselves, and how often. Of several that match a database, the
// first by name counts; one that none matches is not looked at.
type HealthCheckConfig struct {
	Header
	Spec HealthCheckSpec `json:"spec"`
}

// HealthCheckSpec says how databases are looked at.
type HealthCheckSpec struct {
	Match              HealthCheckMatch `json:"match"`
	Interval           Duration         `json:"interval"`            // between the beginnings of two checks
	Timeout            Duration         `json:"timeout"`             // of one check
	HealthyThreshold   int              `json:"healthy_threshold"`   // checks in a row that must pass
	UnhealthyThreshold int              `json:"unhealthy_threshold"` // checks in a row that must fail
}

// HealthCheckMatch selects databases. Where both parts are written, both must match.
type HealthCheckMatch struct {
	DatabaseLabels           ListedLabels `json:"db_labels,omitempty"`
	DatabaseLabelsExpression string       `json:"db_labels_expression,omitempty"`
}

// Defaults and limits of health checks.
const (
	DefaultHealthInterval = 30 * time.Second
	DefaultHealthTimeout  = 5 * time.Second

	minHealthTime      = time.Second
	maxHealthInterval  = 10 * time.Minute
	maxHealthTimeout   = 30 * time.Second
	maxHealthThreshold = 10
)

// NameDefaultHealthCheck is the config that clusters begin with.
const NameDefaultHealthCheck = "default"

// DefaultHealthCheck returns the config that clusters begin with: it matches all databases. The caller owns it.
func DefaultHealthCheck() *HealthCheckConfig {
	c := &HealthCheckConfig{Spec: HealthCheckSpec{Match: HealthCheckMatch{DatabaseLabels: ListedLabels{"*": {"*"}}}}}
	c.SetKind(KindHealthCheckConfig)
	c.Metadata = Metadata{
		Name: NameDefaultHealthCheck, Description: "Checks the health of all databases",
		Labels: map[string]string{LabelResourceType: "preset"},
	}
	if err := c.Validate(); err != nil {
		panic("resource: default health check: " + err.Error()) // fixed input; covered by a test
	}
	return c
}

// Validate implements Resource.
func (c *HealthCheckConfig) Validate() error { return validate(c) }

func (c *HealthCheckConfig) check(p *problems) {
	checkName(p, "metadata.name", c.Metadata.Name)
	s := &c.Spec
	checkLabels(p, "spec.match.db_labels", Labels(s.Match.DatabaseLabels))
	for _, key := range sortedKeys(s.Match.DatabaseLabels) {
		for _, value := range s.Match.DatabaseLabels[key] {
			if strings.Contains(value, "{{") {
				p.add(yamlnode.KeyPath("spec.match.db_labels", key), "must not hold a template: a check is made for no user")
			}
		}
	}
	if s.Match.DatabaseLabelsExpression != "" {
		checkPredicate(p, "spec.match.db_labels_expression", s.Match.DatabaseLabelsExpression, predicate.ForObjects())
	}
	if len(s.Match.DatabaseLabels) == 0 && s.Match.DatabaseLabelsExpression == "" {
		p.add("spec.match", `is missing; write db_labels: {"*": "*"} for all databases`)
	}
	setNumber(&s.Interval, Duration(DefaultHealthInterval))
	setNumber(&s.Timeout, min(Duration(DefaultHealthTimeout), max(s.Interval, Duration(minHealthTime))))
	setNumber(&s.HealthyThreshold, 2)
	setNumber(&s.UnhealthyThreshold, 1)
	if d := s.Interval.Std(); d < minHealthTime || d > maxHealthInterval {
		p.add("spec.interval", "must be between %s and %s, not %s", minHealthTime, maxHealthInterval, d)
	} else if s.Timeout > s.Interval {
		p.add("spec.timeout", "must not be longer than the interval, which is %s", d)
	}
	if d := s.Timeout.Std(); d < minHealthTime || d > maxHealthTimeout {
		p.add("spec.timeout", "must be between %s and %s, not %s", minHealthTime, maxHealthTimeout, d)
	}
	checkThreshold(p, "spec.healthy_threshold", s.HealthyThreshold)
	checkThreshold(p, "spec.unhealthy_threshold", s.UnhealthyThreshold)
}

// setNumber fills in a default.
func setNumber[N ~int | ~int64](n *N, value N) {
	if *n == 0 {
		*n = value
	}
}

func checkThreshold(p *problems, path string, n int) {
	if n < 1 || n > maxHealthThreshold {
		p.add(path, "must be between 1 and %d checks, not %d", maxHealthThreshold, n)
	}
}

// ListedLabels are Labels that may also be written as a list of names with their values.
type ListedLabels Labels

// MarshalJSON writes a map.
func (l ListedLabels) MarshalJSON() ([]byte, error) { return Labels(l).MarshalJSON() }

// UnmarshalJSON accepts what Labels accept, and a list of {name, values}.
func (l *ListedLabels) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return (*Labels)(l).UnmarshalJSON(data)
	}
	var list []struct {
		Name   string  `json:"name"`
		Values Strings `json:"values"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		return errors.New("must be a map of labels, or a list whose entries have name and values")
	}
	*l = make(ListedLabels, len(list))
	for _, label := range list {
		if _, taken := (*l)[label.Name]; taken {
			return errors.New("must name each label once; put alternatives into one list of values")
		}
		(*l)[label.Name] = label.Values
	}
	return nil
}
