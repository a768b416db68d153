package auth

import (
	"context"

	"sallyport/internal/access"
	"sallyport/internal/authapi/sallyportv1"
	rpc "sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/resource"
)

// rule says who may make a call. A caller is let in by the first that applies; without any, nobody is.
// The system role Admin (tctl on the auth host) may do everything.
type rule struct {
	anyone bool                  // also strangers without a certificate
	hosts  []resource.SystemRole // hosts with one of these system roles
	users  bool                  // every user, about itself only: the method looks at the caller
	routed bool                  // also users whose certificate is for one database
	// needs returns what a user's roles must grant, all of it.
	needs func(request any) (kind string, verbs []string)
	// about returns what a request is about, for rules with a condition; all of it must be granted. Nil
	// means that it cannot be known.
	about func(ctx context.Context, a *Authority, request any) ([]access.RuleContext, error)
}

// Verbs of rules.
const (
	verbList   = resource.VerbList
	verbRead   = resource.VerbRead
	verbCreate = resource.VerbCreate
	verbUpdate = resource.VerbUpdate
	verbDelete = resource.VerbDelete
)

func grants(kind string, verbs ...string) func(any) (string, []string) {
	return func(any) (string, []string) { return kind, verbs }
}

var (
	agents  = []resource.SystemRole{resource.RoleDb}
	proxies = []resource.SystemRole{resource.RoleProxy}
	members = []resource.SystemRole{resource.RoleDb, resource.RoleProxy, resource.RoleDiscovery, resource.RoleAuth}
)

// table has an entry for every method of the API; a test walks the service descriptors.
var table = map[string]rule{
	rpc.ClusterServicePingProcedure:           {anyone: true},
	rpc.ClusterServiceGetAuthoritiesProcedure: {anyone: true}, // public certificates
	rpc.ClusterServiceWhoAmIProcedure:         {users: true, routed: true, hosts: members},

	rpc.ResourceServiceCreateResourceProcedure: {needs: needsResource(verbCreate), about: aboutResource, hosts: members},
	rpc.ResourceServicePutResourceProcedure:    {needs: needsResource(verbCreate, verbUpdate), about: aboutResource, hosts: members},
	rpc.ResourceServiceGetResourceProcedure:    {needs: needsResource(verbRead), about: aboutResource, hosts: members},
	rpc.ResourceServiceListResourcesProcedure:  {needs: needsResource(verbList, verbRead), about: aboutResource, hosts: members},
	rpc.ResourceServiceDeleteResourceProcedure: {needs: needsResource(verbDelete), about: aboutResource, hosts: members},
	rpc.ResourceServiceWatchResourcesProcedure: {hosts: members},

	rpc.JoinServiceGetJoinChallengeProcedure: {anyone: true},
	rpc.JoinServiceJoinProcedure:             {anyone: true},
	rpc.JoinServiceCreateTokenProcedure:      {needs: grants(resource.KindToken, verbCreate)},

	rpc.UserServiceCreateUserProcedure: {needs: grants(resource.KindUser, verbCreate), about: aboutUser},
	rpc.UserServiceResetUserProcedure:  {needs: grants(resource.KindUser, verbUpdate), about: aboutUser},

	// People without a certificate come through a proxy, which states their address.
	rpc.LoginServiceGetInviteProcedure:    {hosts: proxies},
	rpc.LoginServiceAcceptInviteProcedure: {hosts: proxies},
	rpc.LoginServiceLoginProcedure:        {hosts: proxies},

	rpc.CertificateServiceIssueUserCertificateProcedure:          {users: true},
	rpc.CertificateServiceSignUserCertificateProcedure:           {needs: nil}, // Admin only
	rpc.CertificateServiceSignDatabaseServerCertificateProcedure: {needs: grants(resource.KindDatabaseCertificate, verbCreate)},
	rpc.CertificateServiceSignDatabaseClientCertificateProcedure: {hosts: agents},
	rpc.CertificateServiceSignListenerCertificateProcedure:       {hosts: agents},
	rpc.CertificateServiceSignProxySessionProcedure:              {hosts: proxies},
	rpc.CertificateServiceRenewHostCertificateProcedure:          {hosts: members},

	rpc.DatabaseServiceListDatabasesProcedure: {users: true},
	// Whoever may change where a database is may have it checked: nothing is asked of it beyond a login.
	rpc.DatabaseServiceCheckDatabaseProcedure: {needs: grants(resource.KindDatabase, verbUpdate), about: aboutCheck},
	rpc.DatabaseServiceFollowChecksProcedure:  {hosts: agents},
	rpc.DatabaseServiceReportCheckProcedure:   {hosts: agents},

	rpc.PolicyServiceBeginPolicyChangeProcedure: {hosts: agents},
	rpc.PolicyServiceEndPolicyChangeProcedure:   {hosts: agents},

	rpc.AuditServiceSubmitEventsProcedure: {hosts: members},
	rpc.AuditServiceSearchEventsProcedure: {needs: grants(resource.KindEvent, verbList, verbRead)},
	rpc.AuditServiceReadSessionProcedure:  {needs: grants(resource.KindSession, verbList, verbRead), about: aboutSession},
}

// needsResource asks for verbs on the kind that the request is about.
func needsResource(verbs ...string) func(any) (string, []string) {
	return func(request any) (string, []string) {
		switch req := request.(type) {
		case interface {
			GetResource() *sallyportv1.Resource
		}:
			return req.GetResource().GetKind(), verbs
		case interface{ GetKind() string }:
			return req.GetKind(), verbs
		default:
			return "", []string{"no verb grants this"}
		}
	}
}

// hostKinds says what hosts may do with resources: read and watch some kinds, write their own
// heartbeats. What they write must be about themselves (ownHeartbeat).
var hostKinds = map[resource.SystemRole]struct{ reads, writes []string }{
	resource.RoleDb: {
		reads: []string{resource.KindDatabase, resource.KindRole, resource.KindLock, resource.KindAuthPreference,
			resource.KindNetworkingConfig, resource.KindRecordingConfig, resource.KindHealthCheckConfig, resource.KindCertAuthority, resource.KindProxy},
		writes: []string{resource.KindDatabaseServer, resource.KindDatabaseService},
	},
	resource.RoleProxy: {
		reads: []string{resource.KindDatabaseServer, resource.KindLock, resource.KindAuthPreference,
			resource.KindNetworkingConfig, resource.KindCertAuthority, resource.KindProxy},
		writes: []string{resource.KindProxy},
	},
	resource.RoleAuth: {
		reads: []string{resource.KindLock, resource.KindProxy},
	},
	resource.RoleDiscovery: {
		reads:  []string{resource.KindDatabase, resource.KindDiscoveryConfig, resource.KindLock, resource.KindCertAuthority, resource.KindProxy},
		writes: []string{resource.KindDatabase, resource.KindDiscoveryService}, // of databases those that it found
	},
}
