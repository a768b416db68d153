package resource

import "encoding/json"

// Role says what its holders may do. Versions v3 to v8 differ only in the defaults of fields that
// are not written.
type Role struct {
	Header
	Spec RoleSpec `json:"spec"`
}

// RoleSpec has the three parts of a role. Deny beats allow.
type RoleSpec struct {
	Options RoleOptions    `json:"options"`
	Allow   RoleConditions `json:"allow"`
	Deny    RoleConditions `json:"deny"`
}

// RoleConditions selects resources and the accounts on them. Fields for other kinds of resources
// than databases are kept as written.
type RoleConditions struct {
	DatabaseLabels                  Labels               `json:"db_labels,omitzero"`
	DatabaseLabelsExpression        string               `json:"db_labels_expression,omitempty"`
	DatabaseNames                   Strings              `json:"db_names,omitempty"`
	DatabaseUsers                   Strings              `json:"db_users,omitempty"`
	DatabaseRoles                   Strings              `json:"db_roles,omitempty"`
	DatabaseCommands                Strings              `json:"db_commands,omitempty"` // allowed: those that concern a server and need leave; denied: of any kind
	DatabasePermissions             []DatabasePermission `json:"db_permissions,omitempty"`
	DatabaseServiceLabels           Labels               `json:"db_service_labels,omitzero"`
	DatabaseServiceLabelsExpression string               `json:"db_service_labels_expression,omitempty"`

	Rules          []Rule            `json:"rules,omitempty"`
	Request        *RequestRules     `json:"request,omitempty"`
	ReviewRequests *ReviewRules      `json:"review_requests,omitempty"`
	Impersonate    *ImpersonateRules `json:"impersonate,omitempty"`
	Namespaces     Strings           `json:"namespaces,omitempty"`

	ClusterLabels           Labels  `json:"cluster_labels,omitzero"`
	ClusterLabelsExpression string  `json:"cluster_labels_expression,omitempty"`
	AWSRoleARNs             Strings `json:"aws_role_arns,omitempty"`
	AzureIdentities         Strings `json:"azure_identities,omitempty"`
	GCPServiceAccounts      Strings `json:"gcp_service_accounts,omitempty"`

	Logins                Strings `json:"logins,omitempty"`
	NodeLabels            Labels  `json:"node_labels,omitzero"`
	NodeLabelsExpression  string  `json:"node_labels_expression,omitempty"`
	HostGroups            Strings `json:"host_groups,omitempty"`
	HostSudoers           Strings `json:"host_sudoers,omitempty"`
	GroupLabels           Labels  `json:"group_labels,omitzero"`
	GroupLabelsExpression string  `json:"group_labels_expression,omitempty"`

	AppLabels           Labels `json:"app_labels,omitzero"`
	AppLabelsExpression string `json:"app_labels_expression,omitempty"`

	KubernetesLabels           Labels          `json:"kubernetes_labels,omitzero"`
	KubernetesLabelsExpression string          `json:"kubernetes_labels_expression,omitempty"`
	KubernetesGroups           Strings         `json:"kubernetes_groups,omitempty"`
	KubernetesUsers            Strings         `json:"kubernetes_users,omitempty"`
	KubernetesResources        json.RawMessage `json:"kubernetes_resources,omitempty"`

	WindowsDesktopLabels           Labels  `json:"windows_desktop_labels,omitzero"`
	WindowsDesktopLabelsExpression string  `json:"windows_desktop_labels_expression,omitempty"`
	WindowsDesktopLogins           Strings `json:"windows_desktop_logins,omitempty"`
	DesktopGroups                  Strings `json:"desktop_groups,omitempty"`

	WorkloadIdentityLabels           Labels `json:"workload_identity_labels,omitzero"`
	WorkloadIdentityLabelsExpression string `json:"workload_identity_labels_expression,omitempty"`

	JoinSessions       json.RawMessage `json:"join_sessions,omitempty"`
	RequireSessionJoin json.RawMessage `json:"require_session_join,omitempty"`
	SPIFFE             json.RawMessage `json:"spiffe,omitempty"`
	GitHubPermissions  json.RawMessage `json:"github_permissions,omitempty"`
	AccountAssignments json.RawMessage `json:"account_assignments,omitempty"`
	MCP                json.RawMessage `json:"mcp,omitempty"`
}

// DatabasePermission grants or denies privileges on the database objects its labels match.
type DatabasePermission struct {
	Match       Labels  `json:"match"`
	Permissions Strings `json:"permissions"`
}

// Rule grants or denies verbs on kinds of resources through the API.
type Rule struct {
	Resources Strings `json:"resources"`
	Verbs     Strings `json:"verbs"`
	Where     string  `json:"where,omitempty"`   // a predicate; empty means always
	Actions   Strings `json:"actions,omitempty"` // kept, never run
}

// Verbs of rules.
const (
	VerbAll               = "*"
	VerbList              = "list"
	VerbCreate            = "create"
	VerbRead              = "read"
	VerbReadNoSecrets     = "readnosecrets"
	VerbUpdate            = "update"
	VerbDelete            = "delete"
	VerbRotate            = "rotate"
	VerbUse               = "use"
	VerbCreateEnrollToken = "create_enroll_token"
	VerbEnroll            = "enroll"
)

// RequestRules says which roles the holder may ask for.
type RequestRules struct {
	Roles               Strings           `json:"roles,omitempty"`
	SearchAsRoles       Strings           `json:"search_as_roles,omitempty"`
	ClaimsToRoles       []ClaimMapping    `json:"claims_to_roles,omitempty"`
	Thresholds          []ReviewThreshold `json:"thresholds,omitempty"`
	SuggestedReviewers  Strings           `json:"suggested_reviewers,omitempty"`
	Annotations         Traits            `json:"annotations,omitempty"`
	MaxDuration         Duration          `json:"max_duration,omitempty"`
	Reason              *RequestReason    `json:"reason,omitempty"`
	KubernetesResources json.RawMessage   `json:"kubernetes_resources,omitempty"`
}

// RequestReason says whether a request needs a reason.
type RequestReason struct {
	Mode string `json:"mode,omitempty"`
}

// ClaimMapping gives roles to users with a matching trait.
type ClaimMapping struct {
	Claim string  `json:"claim"`
	Value string  `json:"value"`
	Roles Strings `json:"roles"`
}

// ReviewThreshold says how many reviews decide a request.
type ReviewThreshold struct {
	Name    string `json:"name,omitempty"`
	Filter  string `json:"filter,omitempty"`
	Approve int    `json:"approve,omitempty"`
	Deny    int    `json:"deny,omitempty"`
}

// ReviewRules says which requests the holder may review.
type ReviewRules struct {
	Roles          Strings        `json:"roles,omitempty"`
	PreviewAsRoles Strings        `json:"preview_as_roles,omitempty"`
	ClaimsToRoles  []ClaimMapping `json:"claims_to_roles,omitempty"`
	Where          string         `json:"where,omitempty"`
}

// ImpersonateRules says for which users and roles the holder may obtain certificates.
type ImpersonateRules struct {
	Users Strings `json:"users,omitempty"`
	Roles Strings `json:"roles,omitempty"`
	Where string  `json:"where,omitempty"`
}

// Validate implements Resource.
func (r *Role) Validate() error { return validate(r) }
