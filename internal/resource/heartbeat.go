package resource

import (
	"time"

	"sallyport/internal/yamlnode"
)

// DatabaseServer says that an agent serves a database. It is kept alive by the agent.
type DatabaseServer struct {
	Header
	Spec   DatabaseServerSpec   `json:"spec"`
	Status DatabaseServerStatus `json:"status,omitzero"`
}

// DatabaseServerStatus is what the agent finds out about the database while it serves it.
type DatabaseServerStatus struct {
	TargetHealth TargetHealth `json:"target_health,omitzero"`
}

// DatabaseServerSpec describes the agent and the database.
type DatabaseServerSpec struct {
	Version  string    `json:"version"` // of the agent's program
	Hostname string    `json:"hostname"`
	HostID   string    `json:"host_id"`
	Rotation *Rotation `json:"rotation,omitempty"`
	Database *Database `json:"database"`
	ProxyIDs Strings   `json:"proxy_ids,omitempty"`
}

// Validate implements Resource.
func (s *DatabaseServer) Validate() error { return validate(s) }

func (s *DatabaseServer) check(p *problems) {
	checkName(p, "metadata.name", s.Metadata.Name)
	checkName(p, "spec.host_id", s.Spec.HostID)
	s.Status.TargetHealth.check(p, "status.target_health")
	if s.Spec.Database == nil {
		p.add("spec.database", "is missing")
		return
	}
	for _, one := range Inspect(s.Spec.Database) {
		p.add("spec.database."+one.Path, "%s", one.Message)
	}
	if s.Spec.Database.Metadata.Name != s.Metadata.Name {
		p.add("metadata.name", "must be the name of the database, %q", s.Spec.Database.Metadata.Name)
	}
}

// DatabaseService says that an agent runs and which dynamic databases it takes on. Its name is the
// agent's host id.
type DatabaseService struct {
	Header
	Spec DatabaseServiceSpec `json:"spec"`
}

// DatabaseServiceSpec lists the agent's selectors; none means that it serves static databases only.
type DatabaseServiceSpec struct {
	Hostname  string             `json:"hostname,omitempty"`
	Resources []ResourceSelector `json:"resources"`
}

// ResourceSelector selects dynamic databases by their labels.
type ResourceSelector struct {
	Labels Labels      `json:"labels"`
	AWS    SelectorAWS `json:"aws,omitzero"`
}

// SelectorAWS is the role an agent assumes for the databases it selected.
type SelectorAWS struct {
	// AssumeRoleARN takes the place of the databases' own.
	AssumeRoleARN string `json:"assume_role_arn,omitempty"`
	// ExternalID is told when the role is assumed.
	ExternalID string `json:"external_id,omitempty"`
}

// Validate implements Resource.
func (s *DatabaseService) Validate() error { return validate(s) }

func (s *DatabaseService) check(p *problems) {
	checkName(p, "metadata.name", s.Metadata.Name)
	for i, selector := range s.Spec.Resources {
		path := yamlnode.IndexPath("spec.resources", i)
		checkLabels(p, path+".labels", selector.Labels)
		checkRole(p, path+".aws.assume_role_arn", selector.AWS.AssumeRoleARN)
	}
}

// Rotation is how far the replacement of an authority's keys has come.
type Rotation struct {
	State       string     `json:"state,omitempty"`
	Phase       string     `json:"phase,omitempty"`
	LastRotated *time.Time `json:"last_rotated,omitempty"`
}
