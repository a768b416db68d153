package resource

// Names of the roles that exist from the first start.
const (
	RoleNameAccess  = "access"
	RoleNameEditor  = "editor"
	RoleNameAuditor = "auditor"
	// RoleNameRequester is for asking for access, which this version does not know: it allows nothing yet.
	RoleNameRequester = "requester"
)

// WhereOwnSession is the condition of a rule about sessions that the holder took part in.
const WhereOwnSession = "contains(session.participants, user.metadata.name)"

// PresetRoles returns the roles that exist from the first start, valid and with their defaults. The
// caller owns them.
func PresetRoles() []*Role {
	roles := []*Role{accessRole(), editorRole(), auditorRole(), requesterRole()}
	for _, role := range roles {
		if err := role.Validate(); err != nil {
			panic("resource: preset role: " + err.Error()) // fixed input; covered by a test
		}
	}
	return roles
}

func preset(name, description string, allow RoleConditions) *Role {
	return &Role{
		Header: Header{Kind: KindRole, Version: "v7", Metadata: Metadata{
			Name:        name,
			Description: description,
			Labels:      map[string]string{LabelResourceType: "preset"},
		}},
		Spec: RoleSpec{Allow: allow},
	}
}

func readOnly(kinds ...string) Rule {
	return Rule{Resources: kinds, Verbs: Strings{VerbList, VerbRead}}
}

func accessRole() *Role {
	all := Labels{"*": {"*"}}
	return preset(RoleNameAccess, "Reach databases as the accounts named in your traits", RoleConditions{
		DatabaseLabels:        all,
		DatabaseServiceLabels: all,
		DatabaseNames:         Strings{"{{internal.db_names}}"},
		DatabaseUsers:         Strings{"{{internal.db_users}}"},
		DatabaseRoles:         Strings{"{{internal.db_roles}}"},
		Rules: []Rule{
			readOnly(KindEvent),
			{Resources: Strings{KindSession}, Verbs: Strings{VerbList, VerbRead}, Where: WhereOwnSession},
			{Resources: Strings{KindInstance, KindMaintenanceConfig}, Verbs: Strings{VerbRead}},
		},
	})
}

func editorRole() *Role {
	return preset(RoleNameEditor, "Administer the cluster; does not reach databases", RoleConditions{
		Rules: []Rule{
			{
				Resources: Strings{
					KindUser, KindRole, "bot", KindConnector, "oidc", "saml", "github", "cluster_audit_config",
					KindAuthPreference, KindClusterName, KindNetworkingConfig, KindRecordingConfig, KindUIConfig,
					KindTrustedCluster, KindRemoteCluster, KindToken, KindConnectionDiagnostic, KindDatabase,
					KindDatabaseCertificate, "installer", KindLock, KindDiscoveryConfig, KindHealthCheckConfig, KindDatabaseImportRule,
					KindClusterAlert, "access_list", KindNode, KindMaintenanceConfig,
				},
				Verbs: Strings{VerbList, VerbCreate, VerbRead, VerbUpdate, VerbDelete},
			},
			{Resources: Strings{KindIntegration}, Verbs: Strings{VerbList, VerbCreate, VerbRead, VerbUpdate, VerbDelete, VerbUse}},
			readOnly(KindDatabaseService, KindInstance),
		},
	})
}

func requesterRole() *Role {
	return preset(RoleNameRequester, "Ask for access; without effect in this version, which has no access requests", RoleConditions{})
}

func auditorRole() *Role {
	return preset(RoleNameAuditor, "Read the audit log and recordings", RoleConditions{
		Rules: []Rule{
			readOnly(KindSession, KindEvent, KindSessionTracker, KindClusterAlert, KindInstance, "bot_instance", "notification"),
			{Resources: Strings{"security_report", "audit_query"}, Verbs: Strings{VerbList, VerbRead, VerbUse}},
		},
	})
}
