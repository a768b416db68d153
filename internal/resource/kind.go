package resource

import (
	"slices"
	"strings"
)

// Kinds of resources that have a type in this package.
const (
	KindUser             = "user"
	KindRole             = "role"
	KindToken            = "token"
	KindDatabase         = "db"
	KindDatabaseServer   = "db_server"
	KindDatabaseService  = "db_service"
	KindProxy            = "proxy"
	KindLock             = "lock"
	KindAuthPreference   = "cluster_auth_preference"
	KindNetworkingConfig = "cluster_networking_config"
	KindRecordingConfig  = "session_recording_config"
	KindCertAuthority    = "cert_authority"
	KindClusterName      = "cluster_name"
	KindDiscoveryConfig  = "discovery_config"
	KindDiscoveryService = "discovery_service"
)

// Kinds that appear in the rules of roles and on the command line only.
const (
	KindAll                  = "*"
	KindDatabaseObject       = "db_object"
	KindDatabaseImportRule   = "db_object_import_rule"
	KindDatabaseCertificate  = "database_certificate"
	KindEvent                = "event"
	KindSession              = "session"
	KindSessionTracker       = "session_tracker"
	KindAccessRequest        = "access_request"
	KindClusterAlert         = "cluster_alert"
	KindConnectionDiagnostic = "connection_diagnostic"
	KindIntegration          = "integration"
	KindInstance             = "instance"
	KindConnector            = "connector"
	KindTrustedCluster       = "trusted_cluster"
	KindRemoteCluster        = "remote_cluster"
	KindAuthServer           = "auth_server"
	KindNode                 = "node"
	KindApp                  = "app"
	KindAppServer            = "app_server"
	KindSemaphore            = "semaphore"
	KindUIConfig             = "ui_config"
	KindMaintenanceConfig    = "cluster_maintenance_config"
	KindNamespace            = "namespace"
)

// Names of the resources that exist once.
const (
	NameAuthPreference   = "cluster-auth-preference"
	NameNetworkingConfig = "cluster-networking-config"
	NameRecordingConfig  = "session-recording-config"
	NameClusterName      = "cluster-name"
)

// SingletonName returns the fixed name of a kind that exists once.
func SingletonName(kind string) (name string, ok bool) {
	switch kind {
	case KindAuthPreference:
		return NameAuthPreference, true
	case KindNetworkingConfig:
		return NameNetworkingConfig, true
	case KindRecordingConfig:
		return NameRecordingConfig, true
	case KindClusterName:
		return NameClusterName, true
	default:
		return "", false
	}
}

// KindByAlias returns the kind that a word on the command line stands for, whatever its case.
func KindByAlias(s string) (kind string, ok bool) {
	switch strings.ToLower(s) {
	case "user", "users":
		return KindUser, true
	case "role", "roles":
		return KindRole, true
	case "token", "tokens":
		return KindToken, true
	case "lock", "locks":
		return KindLock, true
	case "db":
		return KindDatabase, true
	case "db_server":
		return KindDatabaseServer, true
	case "db_service", "db_services":
		return KindDatabaseService, true
	case "db_object", "database_object":
		return KindDatabaseObject, true
	case "db_object_import_rule", "db_object_import_rules", "database_object_import_rule":
		return KindDatabaseImportRule, true
	case "cluster_auth_preference", "cluster_auth_preferences", "cluster_authentication_preferences", "cap":
		return KindAuthPreference, true
	case "cluster_networking_config", "networking_config", "networking", "net_config", "netconfig":
		return KindNetworkingConfig, true
	case "session_recording_config", "recording_config", "session_recording", "rec_config", "recconfig":
		return KindRecordingConfig, true
	case "discovery_config", "discovery_configs", "discoveryconfig", "discoveryconfigs":
		return KindDiscoveryConfig, true
	case "discovery_service", "discovery_services":
		return KindDiscoveryService, true
	case "cert_authority", "cert_authorities", "cas":
		return KindCertAuthority, true
	case "cluster_name":
		return KindClusterName, true
	default:
		return otherKindByAlias(strings.ToLower(s))
	}
}

func otherKindByAlias(s string) (kind string, ok bool) {
	switch s {
	case "access_request", "access_requests", "accessrequest", "accessrequests":
		return KindAccessRequest, true
	case "connector", "connectors":
		return KindConnector, true
	case "trusted_cluster", "tc", "cluster", "clusters":
		return KindTrustedCluster, true
	case "remote_cluster", "remote_clusters", "rc", "rcs":
		return KindRemoteCluster, true
	case "proxy", "proxies":
		return KindProxy, true
	case "auth_server", "auth_servers", "auth":
		return KindAuthServer, true
	case "node", "nodes":
		return KindNode, true
	case "app", "apps":
		return KindApp, true
	case "app_server", "app_servers":
		return KindAppServer, true
	case "semaphore", "semaphores", "sem", "sems":
		return KindSemaphore, true
	case "ui_config", "ui":
		return KindUIConfig, true
	case "cluster_maintenance_config", "cmc":
		return KindMaintenanceConfig, true
	case "namespace", "namespaces", "ns":
		return KindNamespace, true
	case "instance":
		return KindInstance, true
	default:
		return "", false
	}
}

// Versions returns the versions of a kind that can be read and written, oldest first.
func Versions(kind string) []string {
	switch kind {
	case KindRole:
		return []string{"v3", "v4", "v5", "v6", "v7", "v8"}
	case KindDatabase, KindDatabaseServer:
		return []string{"v3"}
	case KindDatabaseService, KindDiscoveryConfig, KindDiscoveryService:
		return []string{"v1"}
	case KindUser, KindToken, KindLock, KindAuthPreference, KindNetworkingConfig, KindRecordingConfig, KindCertAuthority, KindClusterName, KindProxy:
		return []string{"v2"}
	default:
		return nil
	}
}

func supportsVersion(kind, version string) bool { return slices.Contains(Versions(kind), version) }

// WritableKinds returns the kinds that administrators create. The other kinds are written by the cluster itself:
// what services say about themselves, its authorities and its name.
func WritableKinds() []string {
	return []string{
		KindUser, KindRole, KindToken, KindDatabase, KindLock, KindAuthPreference, KindNetworkingConfig, KindRecordingConfig,
		KindDiscoveryConfig,
	}
}
