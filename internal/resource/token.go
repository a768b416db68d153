package resource

import (
	"encoding/json"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/yamlnode"
)

// Token lets a service join the cluster. With the method "token" its name is a secret.
type Token struct {
	Header
	Spec TokenSpec `json:"spec"`
}

// TokenSpec says who may join as what.
type TokenSpec struct {
	Roles      []SystemRole `json:"roles"`
	JoinMethod string       `json:"join_method"`
	Allow      []TokenRule  `json:"allow,omitempty"`       // for iam and ec2; one must match
	AWSIIDTTL  Duration     `json:"aws_iid_ttl,omitempty"` // ec2: how long after its start an instance may join
	BotName    string       `json:"bot_name,omitempty"`
	UsesLeft   *int         `json:"uses_left,omitempty"` // joins still allowed; nil means any number until it expires

	SuggestedLabels             Traits `json:"suggested_labels,omitempty"`
	SuggestedAgentMatcherLabels Traits `json:"suggested_agent_matcher_labels,omitempty"`

	// Settings of other join methods are kept as written.
	GitHub         json.RawMessage `json:"github,omitempty"`
	GitLab         json.RawMessage `json:"gitlab,omitempty"`
	CircleCI       json.RawMessage `json:"circleci,omitempty"`
	Kubernetes     json.RawMessage `json:"kubernetes,omitempty"`
	Azure          json.RawMessage `json:"azure,omitempty"`
	GCP            json.RawMessage `json:"gcp,omitempty"`
	Spacelift      json.RawMessage `json:"spacelift,omitempty"`
	TPM            json.RawMessage `json:"tpm,omitempty"`
	TerraformCloud json.RawMessage `json:"terraform_cloud,omitempty"`
	Bitbucket      json.RawMessage `json:"bitbucket,omitempty"`
	Oracle         json.RawMessage `json:"oracle,omitempty"`
}

// minToken is how long a token that is a secret is at least, in bytes.
const minToken = 16

// Join methods that take settings in this package. Others are kept as written.
const (
	JoinToken = "token"
	JoinIAM   = "iam"
	JoinEC2   = "ec2"
)

// SystemRole is what a service does in the cluster, as named in tokens and host certificates.
type SystemRole string

// System roles.
const (
	RoleAuth           SystemRole = "Auth"
	RoleProxy          SystemRole = "Proxy"
	RoleNode           SystemRole = "Node"
	RoleApp            SystemRole = "App"
	RoleDb             SystemRole = "Db"
	RoleKube           SystemRole = "Kube"
	RoleWindowsDesktop SystemRole = "WindowsDesktop"
	RoleDiscovery      SystemRole = "Discovery"
	RoleBot            SystemRole = "Bot"
	RoleOkta           SystemRole = "Okta"
	RoleMDM            SystemRole = "MDM"
	RoleInstance       SystemRole = "Instance"
	RoleTrustedCluster SystemRole = "trusted_cluster"
	RoleAdmin          SystemRole = "Admin"
	RoleNop            SystemRole = "Nop"
)

func systemRoles() []SystemRole {
	return []SystemRole{
		RoleAuth, RoleProxy, RoleNode, RoleApp, RoleDb, RoleKube, RoleWindowsDesktop, RoleDiscovery,
		RoleBot, RoleOkta, RoleMDM, RoleInstance, RoleTrustedCluster, RoleAdmin, RoleNop,
	}
}

// ParseSystemRole returns the system role of the name, whatever its case.
func ParseSystemRole(name string) (SystemRole, error) {
	for _, role := range systemRoles() {
		if strings.EqualFold(strings.TrimSpace(name), string(role)) {
			return role, nil
		}
	}
	return "", fault.New(fault.BadParameter, "%q is not a type of service; use a comma-separated list of node, proxy, auth, app, db, kube, windowsdesktop, discovery, trusted_cluster, bot, okta", name)
}

// ParseSystemRoles reads a comma-separated list such as "db,discovery". It never returns an empty list
// without an error, and drops repetitions.
func ParseSystemRoles(list string) ([]SystemRole, error) {
	var roles []SystemRole
	for name := range strings.SplitSeq(list, ",") {
		role, err := ParseSystemRole(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles, nil
}

// Validate implements Resource.
func (t *Token) Validate() error { return validate(t) }

func (t *Token) check(p *problems) {
	checkName(p, "metadata.name", t.Metadata.Name)
	s := &t.Spec
	if len(s.Roles) == 0 {
		p.add("spec.roles", "name at least one type of service, such as Db")
	}
	for i, name := range s.Roles {
		role, err := ParseSystemRole(string(name))
		if err != nil {
			p.add(yamlnode.IndexPath("spec.roles", i), "%s", fault.Message(err))
			continue
		}
		if role == RoleAdmin || role == RoleNop {
			p.add(yamlnode.IndexPath("spec.roles", i), "%q cannot be given to a service that joins", role)
		}
		s.Roles[i] = role
	}
	if s.JoinMethod == "" {
		s.JoinMethod = JoinToken
	}
	if s.JoinMethod == JoinToken && len(t.Metadata.Name) < minToken {
		p.add("metadata.name", "is the secret that lets hosts in and needs at least %d characters; tctl tokens add makes a random one", minToken)
	}
	checkOneOf(p, "spec.join_method", s.JoinMethod, JoinToken, JoinIAM, JoinEC2, "azure", "gcp", "github", "gitlab",
		"circleci", "kubernetes", "spacelift", "tpm", "terraform_cloud", "bitbucket", "oracle")
	if s.UsesLeft != nil && *s.UsesLeft < 0 {
		p.add("spec.uses_left", "must not be negative")
	}
	s.checkAllow(p)
}

// ShownName is the token's name as people and events may see it: masked where it is a secret.
func (t *Token) ShownName() string {
	if t.Spec.JoinMethod == JoinToken || t.Spec.JoinMethod == "" {
		return MaskToken(t.Metadata.Name)
	}
	return t.Metadata.Name
}

// MaskToken hides the name of a token, which is its secret, but for the end by which people tell tokens apart.
func MaskToken(secret string) string {
	if len(secret) <= 8 {
		return strings.Repeat("*", len(secret))
	}
	return strings.Repeat("*", len(secret)-4) + secret[len(secret)-4:]
}
