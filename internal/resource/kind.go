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

// Names of the resources that exist once.
const (
	NameAuthPreference   = "cluster-auth-preference"
	NameNetworkingConfig = "cluster-networking-config"
	NameRecordingConfig  = "session-recording-config"
	NameClusterName      = "cluster-name"
)
