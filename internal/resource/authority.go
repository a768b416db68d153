package resource

import "sallyport/internal/yamlnode"

// CertAuthority is one of the cluster's certificate authorities. Its name is its type, since a cluster
// has one of each.
type CertAuthority struct {
	Header
	Spec CertAuthoritySpec `json:"spec"`
}

// CertAuthoritySpec holds the keys in use and those still or already trusted during a rotation.
type CertAuthoritySpec struct {
	Type                  string   `json:"type"`
	ClusterName           string   `json:"cluster_name"`
	ActiveKeys            KeySet   `json:"active_keys"`
	AdditionalTrustedKeys KeySet   `json:"additional_trusted_keys,omitzero"`
	Rotation              Rotation `json:"rotation,omitzero"`
}

// Types of authorities.
const (
	CAHost           = "host"      // services of the cluster
	CAUser           = "user"      // people and programs that log in
	CADatabase       = "db"        // certificates of database servers
	CADatabaseClient = "db_client" // certificates shown to database servers
)

// States and phases of a rotation.
const (
	RotationStandby    = "standby"
	RotationInProgress = "in_progress"

	PhaseStandby       = "standby"
	PhaseInit          = "init"
	PhaseUpdateClients = "update_clients"
	PhaseUpdateServers = "update_servers"
	PhaseRollback      = "rollback"
)

// KeySet is a set of certificates with their private keys.
type KeySet struct {
	TLS []TLSKeyPair `json:"tls,omitempty"`
}

// TLSKeyPair is a certificate and, where it may be known, its private key. The key is a secret.
type TLSKeyPair struct {
	Cert []byte `json:"cert"`          // PEM
	Key  []byte `json:"key,omitempty"` // PEM
}

// String keeps the private key out of logs.
func (p TLSKeyPair) String() string { return string(p.Cert) }

func (s *KeySet) dropPrivate() {
	for i := range s.TLS {
		s.TLS[i].Key = nil
	}
}

// Validate implements Resource.
func (c *CertAuthority) Validate() error { return validate(c) }

func (c *CertAuthority) check(p *problems) {
	s := &c.Spec
	checkOneOf(p, "spec.type", s.Type, CAHost, CAUser, CADatabase, CADatabaseClient)
	c.Metadata.Name, c.SubKind = s.Type, s.Type
	if s.ClusterName == "" {
		p.add("spec.cluster_name", "is missing")
	}
	if len(s.ActiveKeys.TLS) == 0 {
		p.add("spec.active_keys.tls", "needs at least one key pair")
	}
	for i, pair := range s.ActiveKeys.TLS {
		pair.check(p, yamlnode.IndexPath("spec.active_keys.tls", i))
	}
	for i, pair := range s.AdditionalTrustedKeys.TLS {
		pair.check(p, yamlnode.IndexPath("spec.additional_trusted_keys.tls", i))
	}
	if s.Rotation.State == "" {
		s.Rotation.State = RotationStandby
	}
	if s.Rotation.Phase == "" {
		s.Rotation.Phase = PhaseStandby
	}
	checkOneOf(p, "spec.rotation.state", s.Rotation.State, RotationStandby, RotationInProgress)
	checkOneOf(p, "spec.rotation.phase", s.Rotation.Phase, PhaseStandby, PhaseInit, PhaseUpdateClients, PhaseUpdateServers, PhaseRollback)
}

func (p TLSKeyPair) check(out *problems, path string) {
	if len(p.Cert) == 0 {
		out.add(path+".cert", "is missing")
	}
}

// ClusterName is the cluster's own name, fixed at its first start.
type ClusterName struct {
	Header
	Spec ClusterNameSpec `json:"spec"`
}

// ClusterNameSpec holds the name and a random id that tells clusters of the same name apart.
type ClusterNameSpec struct {
	ClusterName string `json:"cluster_name"`
	ClusterID   string `json:"cluster_id"`
}

// Validate implements Resource.
func (c *ClusterName) Validate() error { return validate(c) }

func (c *ClusterName) check(p *problems) {
	checkName(p, "spec.cluster_name", c.Spec.ClusterName)
	checkName(p, "spec.cluster_id", c.Spec.ClusterID)
}
