package resource

// Kinds of resources that have a type in this package.
const (
	KindUser              = "user"
	KindRole              = "role"
	KindToken             = "token"
	KindDatabase          = "db"
	KindDatabaseServer    = "db_server"
	KindDatabaseService   = "db_service"
	KindProxy             = "proxy"
	KindLock              = "lock"
	KindAuthPreference    = "cluster_auth_preference"
	KindNetworkingConfig  = "cluster_networking_config"
	KindRecordingConfig   = "session_recording_config"
	KindCertAuthority     = "cert_authority"
	KindClusterName       = "cluster_name"
	KindDiscoveryConfig   = "discovery_config"
	KindDiscoveryService  = "discovery_service"
	KindHealthCheckConfig = "health_check_config"
)

// Kinds that appear in the rules of roles only.
const (
	KindAll                  = "*"
	KindDatabaseImportRule   = "db_object_import_rule"
	KindDatabaseCertificate  = "database_certificate"
	KindEvent                = "event"
	KindSession              = "session"
	KindSessionTracker       = "session_tracker"
	KindClusterAlert         = "cluster_alert"
	KindConnectionDiagnostic = "connection_diagnostic"
	KindIntegration          = "integration"
	KindInstance             = "instance"
	KindConnector            = "connector"
	KindTrustedCluster       = "trusted_cluster"
	KindRemoteCluster        = "remote_cluster"
	KindNode                 = "node"
	KindUIConfig             = "ui_config"
	KindMaintenanceConfig    = "cluster_maintenance_config"
)

// ruleKinds are what rules of roles name besides the kinds with a type here, some of it of services that are not there.
var ruleKinds = []string{
	KindAll, KindDatabaseImportRule, KindDatabaseCertificate, KindEvent, KindSession, KindSessionTracker, KindClusterAlert, KindConnectionDiagnostic,
	KindIntegration, KindInstance, KindConnector, KindTrustedCluster, KindRemoteCluster, KindNode, KindUIConfig, KindMaintenanceConfig,
	"access_list", "access_monitoring_rule", "access_request", "app", "app_server", "audit_query", "auth_server", "bot", "bot_instance",
	"cluster_audit_config", "db_object", "device", "github", "installer", "kube_cluster", "kube_server", "login_rule", "mfa_device",
	"namespace", "notification", "oidc", "saml", "saml_idp_service_provider", "security_report", "semaphore", "user_group", "web_session",
	"windows_desktop", "windows_desktop_service",
}

// Names of the resources that exist once.
const (
	NameAuthPreference   = "cluster-auth-preference"
	NameNetworkingConfig = "cluster-networking-config"
	NameRecordingConfig  = "session-recording-config"
	NameClusterName      = "cluster-name"
)
