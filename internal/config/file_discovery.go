package config

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/endpoint"
	"sallyport/internal/resource"
)

// discoverySection is the section "discovery_service".
type discoverySection struct {
	// Enabled: default no.
	Enabled *resource.Bool `yaml:"enabled"`
	// DiscoveryGroup is shared by services that look for the same databases.
	DiscoveryGroup string `yaml:"discovery_group"`
	// PollInterval between looks. Default 5m.
	PollInterval *duration `yaml:"poll_interval"`
	// AWS says which databases there belong to the cluster.
	AWS []awsMatcher `yaml:"aws"`
	// Azure: databases there are not looked for yet.
	Azure       []azureMatcher `yaml:"azure"`
	GCP         noEffect       `yaml:"gcp"`
	Kubernetes  noEffect       `yaml:"kubernetes"`
	AccessGraph noEffect       `yaml:"access_graph"`
}

// awsMatcher is an entry of discovery_service.aws and db_service.aws.
type awsMatcher struct {
	// Types of databases, such as rds. Required.
	Types textList `yaml:"types"`
	// Regions to look in; "*" for all. Required.
	Regions textList `yaml:"regions"`
	// Tags that a database must have. Default "*": "*".
	Tags resource.Labels `yaml:"tags"`
	// AssumeRoleARN is a role that is assumed to look, in the account in which the databases are. Default: the process's own
	// identity looks.
	AssumeRoleARN string `yaml:"assume_role_arn"`
	// ExternalID is told when the role is assumed.
	ExternalID  string   `yaml:"external_id"`
	Integration string   `yaml:"integration"`
	Install     noEffect `yaml:"install"`
	SSM         noEffect `yaml:"ssm"`
}

// azureMatcher is an entry of discovery_service.azure and db_service.azure.
type azureMatcher struct {
	// Types of databases: mysql, postgres, redis or sqlserver. Required.
	Types textList `yaml:"types"`
	// Subscriptions to look in. Default "*".
	Subscriptions textList `yaml:"subscriptions"`
	// ResourceGroups to look in. Default "*".
	ResourceGroups textList `yaml:"resource_groups"`
	// Regions to look in. Default "*".
	Regions textList `yaml:"regions"`
	// Tags that a database must have. Default "*": "*".
	Tags    resource.Labels `yaml:"tags"`
	Install noEffect        `yaml:"install_params"`
}

func awsDatabaseTypes() []string {
	return []string{"rds", "rdsproxy", "redshift", "redshift-serverless", "elasticache", "elasticache-serverless",
		"memorydb", "opensearch", "docdb"}
}

func azureDatabaseTypes() []string { return []string{"mysql", "postgres", "redis", "sqlserver"} }

func (s *discoverySection) apply(p *problems, c *Config) {
	const at = "discovery_service."
	d := &c.Discovery
	d.Enabled = s.Enabled.Enabled(false)
	d.Group = s.DiscoveryGroup
	if s.PollInterval != nil {
		d.PollInterval = time.Duration(*s.PollInterval)
		if d.PollInterval < time.Second {
			p.add(at+"poll_interval", "must be at least 1s")
		}
	}
	for i, m := range s.AWS {
		if matcher := m.matcher(p, indexPath(at+"aws", i), append(awsDatabaseTypes(), "ec2", "eks")); len(matcher.Types) > 0 {
			d.AWS = append(d.AWS, matcher)
		}
	}
	for i, m := range s.Azure {
		d.Azure = append(d.Azure, m.matcher(p, indexPath(at+"azure", i), append(azureDatabaseTypes(), "aks", "vm")))
	}
	if d.Enabled && len(d.Azure) > 0 {
		p.warn(at+"azure", "databases in Azure are not looked for by this version; list them in db_service.databases")
	}
}

func (m *awsMatcher) matcher(p *problems, path string, types []string) AWSMatcher {
	p.types(path+".types", m.Types, types)
	if len(m.Regions) == 0 {
		p.add(path+".regions", "is missing; write regions such as us-west-1")
	}
	databases := slices.DeleteFunc(slices.Clone(m.Types), func(t string) bool { return !slices.Contains(awsDatabaseTypes(), t) })
	if len(databases) < len(m.Types) {
		p.warn(path+".types", "only databases are looked for by this program; other types have no effect")
	}
	for i, region := range m.Regions {
		switch {
		case region == "*" && len(databases) > 0:
			p.add(m.Regions.at(p, path+".regions", i), "databases are looked for in named regions; list them, as in us-west-1")
		case region != "*" && !endpoint.IsRegion(region):
			p.add(m.Regions.at(p, path+".regions", i), "%q is not a region, as in us-west-1", region)
		}
	}
	p.role(path, m.AssumeRoleARN, m.ExternalID, m.usersAreRoles())
	return AWSMatcher{Types: databases, Regions: m.Regions, Tags: orAll(m.Tags),
		AssumeRoleARN: m.AssumeRoleARN, ExternalID: m.ExternalID, Integration: m.Integration}
}

// usersAreRoles reports whether all databases that the matcher finds have roles as users.
func (m *awsMatcher) usersAreRoles() bool {
	return !slices.ContainsFunc(m.Types, func(t string) bool { return !endpoint.Type(t).UsersAreRoles() })
}

func (m *azureMatcher) matcher(p *problems, path string, types []string) AzureMatcher {
	p.types(path+".types", m.Types, types)
	return AzureMatcher{Types: m.Types, Subscriptions: orStar(m.Subscriptions), ResourceGroups: orStar(m.ResourceGroups),
		Regions: orStar(m.Regions), Tags: orAll(m.Tags)}
}

func (p *problems) types(path string, types textList, known []string) {
	if len(types) == 0 {
		p.add(path, "is missing; use %s", orList(known))
	}
	for i, name := range types {
		if !slices.Contains(known, name) {
			p.add(types.at(p, path, i), "%q is not known; use %s", name, orList(known))
		}
	}
}

func orAll(tags resource.Labels) resource.Labels {
	if len(tags) == 0 {
		return resource.Labels{"*": {"*"}}
	}
	return tags
}

func orStar(list textList) []string {
	if len(list) == 0 || slices.Contains(list, "") && len(strings.Join(list, "")) == 0 {
		return []string{"*"}
	}
	return list
}
