package resource

import (
	"slices"
	"time"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/yamlnode"
)

// DiscoveryConfig tells the Discovery Services of one group what to look for, beside what their own files
// say. A change takes effect at once.
type DiscoveryConfig struct {
	Header
	Spec DiscoveryConfigSpec `json:"spec"`
}

// DiscoveryConfigSpec names the group and what it looks for.
type DiscoveryConfigSpec struct {
	Group string       `json:"discovery_group"`
	AWS   []AWSMatcher `json:"aws,omitempty"`
}

// AWSMatcher says which databases in AWS belong to the cluster. Every combination of type and region is
// looked for.
type AWSMatcher struct {
	Types         Strings `json:"types"`   // see AWSMatcherTypes
	Regions       Strings `json:"regions"` // such as us-west-1
	Tags          Labels  `json:"tags,omitempty"`
	AssumeRoleARN string  `json:"assume_role_arn,omitempty"`
	ExternalID    string  `json:"external_id,omitempty"`
}

// AWSMatcherTypes returns the types of databases that can be looked for in AWS.
func AWSMatcherTypes() []string {
	return []string{TypeRDS, TypeRDSProxy, TypeRedshift, TypeRedshiftServerless, TypeElastiCache, TypeElastiCacheServerless,
		TypeMemoryDB, TypeOpenSearch, TypeDocumentDB}
}

// roleUserTypes are types whose account is a role: an external id makes sense for them without a role of the
// matcher, because it is sent when the account's role is assumed.
func roleUserTypes() []string {
	return []string{TypeRedshiftServerless, TypeOpenSearch, TypeDocumentDB}
}

// Validate implements Resource.
func (d *DiscoveryConfig) Validate() error { return validate(d) }

func (d *DiscoveryConfig) check(p *problems) {
	checkName(p, "metadata.name", d.Metadata.Name)
	checkName(p, "spec.discovery_group", d.Spec.Group)
	for i := range d.Spec.AWS {
		d.Spec.AWS[i].check(p, yamlnode.IndexPath("spec.aws", i))
	}
}

func (m *AWSMatcher) check(p *problems, path string) {
	if len(m.Types) == 0 {
		p.add(path+".types", "is missing; use %s", yamlnode.AnyOf(AWSMatcherTypes()))
	}
	for i, name := range m.Types {
		checkOneOf(p, yamlnode.IndexPath(path+".types", i), name, AWSMatcherTypes()...)
	}
	if len(m.Regions) == 0 {
		p.add(path+".regions", "is missing; write regions such as us-west-1")
	}
	for i, region := range m.Regions {
		if !endpoint.IsRegion(region) {
			p.add(yamlnode.IndexPath(path+".regions", i), "%q is not a region, as in us-west-1", region)
		}
	}
	checkLabels(p, path+".tags", m.Tags)
	checkRole(p, path+".assume_role_arn", m.AssumeRoleARN)
	if m.AssumeRoleARN == "" && m.ExternalID != "" && slices.ContainsFunc(m.Types, func(t string) bool { return !slices.Contains(roleUserTypes(), t) }) {
		p.add(path+".external_id", "is used with assume_role_arn only, or for databases whose accounts are roles: %s", yamlnode.AnyOf(roleUserTypes()))
	}
	if len(m.Tags) == 0 {
		m.Tags = Labels{"*": {"*"}}
	}
}

// DiscoveryService says that a Discovery Service runs and how its last looks went. Its name is the host's id.
type DiscoveryService struct {
	Header
	Spec DiscoveryServiceSpec `json:"spec"`
}

// DiscoveryServiceSpec is the state of one Discovery Service.
type DiscoveryServiceSpec struct {
	Hostname string          `json:"hostname,omitempty"`
	Version  string          `json:"version,omitempty"`
	Group    string          `json:"discovery_group,omitempty"`
	Matchers []MatcherStatus `json:"matchers"`
}

// MatcherStatus is how the last look for one type in one region went.
type MatcherStatus struct {
	Config        string     `json:"config,omitempty"` // name of the discovery_config; empty for the service's own file
	Type          string     `json:"type"`
	Region        string     `json:"region"`
	AssumeRoleARN string     `json:"assume_role_arn,omitempty"`
	Found         int        `json:"found"` // databases, at the last look that succeeded
	Error         string     `json:"error,omitempty"`
	LastSuccess   *time.Time `json:"last_success,omitempty"`
}

// Validate implements Resource.
func (s *DiscoveryService) Validate() error { return validate(s) }

func (s *DiscoveryService) check(p *problems) { checkName(p, "metadata.name", s.Metadata.Name) }
