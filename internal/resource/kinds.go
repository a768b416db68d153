package resource

import (
	"slices"
	"strings"
)

// kindInfo is what there is to know about a kind of resources.
type kindInfo struct {
	kind     string
	form     form
	versions []string // that can be read and written, oldest first
	aliases  []string // words for it on the command line, besides its name
	single   string   // the fixed name of a kind that exists once
	system   bool     // written by the cluster itself: what services say about themselves, its authorities and its name
}

// form is the type of a kind's resources.
type form struct {
	zero func() Resource
	is   func(Resource) bool
}

func of[T any, P interface {
	*T
	Resource
}]() form {
	return form{
		zero: func() Resource { return P(new(T)) },
		is:   func(r Resource) bool { _, ok := r.(P); return ok },
	}
}

// kinds are all kinds that have a type: those that administrators write first, and roles before the users who need them.
var kinds = []kindInfo{
	{kind: KindRole, form: of[Role](), versions: []string{"v3", "v4", "v5", "v6", "v7", "v8"}, aliases: []string{"roles"}},
	{kind: KindUser, form: of[User](), versions: []string{"v2"}, aliases: []string{"users"}},
	{kind: KindToken, form: of[Token](), versions: []string{"v2"}, aliases: []string{"tokens"}},
	{kind: KindDatabase, form: of[Database](), versions: []string{"v3"}},
	{kind: KindLock, form: of[Lock](), versions: []string{"v2"}, aliases: []string{"locks"}},
	{kind: KindAuthPreference, form: of[AuthPreference](), versions: []string{"v2"}, single: NameAuthPreference,
		aliases: []string{"cluster_auth_preferences", "cluster_authentication_preferences", "cap"}},
	{kind: KindNetworkingConfig, form: of[NetworkingConfig](), versions: []string{"v2"}, single: NameNetworkingConfig,
		aliases: []string{"networking_config", "networking", "net_config", "netconfig"}},
	{kind: KindRecordingConfig, form: of[RecordingConfig](), versions: []string{"v2"}, single: NameRecordingConfig,
		aliases: []string{"recording_config", "session_recording", "rec_config", "recconfig"}},
	{kind: KindDiscoveryConfig, form: of[DiscoveryConfig](), versions: []string{"v1"},
		aliases: []string{"discovery_configs", "discoveryconfig", "discoveryconfigs"}},
	{kind: KindHealthCheckConfig, form: of[HealthCheckConfig](), versions: []string{"v1"}, aliases: []string{"health_check_configs", "hcc"}},

	{kind: KindDatabaseServer, form: of[DatabaseServer](), versions: []string{"v3"}, system: true},
	{kind: KindDatabaseService, form: of[DatabaseService](), versions: []string{"v1"}, system: true, aliases: []string{"db_services"}},
	{kind: KindDiscoveryService, form: of[DiscoveryService](), versions: []string{"v1"}, system: true, aliases: []string{"discovery_services"}},
	{kind: KindProxy, form: of[Proxy](), versions: []string{"v2"}, system: true, aliases: []string{"proxies"}},
	{kind: KindCertAuthority, form: of[CertAuthority](), versions: []string{"v2"}, system: true, aliases: []string{"cert_authorities", "cas"}},
	{kind: KindClusterName, form: of[ClusterName](), versions: []string{"v2"}, system: true, single: NameClusterName},
}

// about returns what is known of a kind, or nil.
func about(kind string) *kindInfo {
	for i := range kinds {
		if kinds[i].kind == kind {
			return &kinds[i]
		}
	}
	return nil
}

// Kinds returns all kinds that have a type in this package, those of WritableKinds first.
func Kinds() []string { return selected(func(*kindInfo) bool { return true }) }

// WritableKinds returns the kinds that administrators create. The other kinds are written by the cluster itself:
// what services say about themselves, its authorities and its name.
func WritableKinds() []string { return selected(func(k *kindInfo) bool { return !k.system }) }

func selected(want func(*kindInfo) bool) []string {
	var names []string
	for i := range kinds {
		if want(&kinds[i]) {
			names = append(names, kinds[i].kind)
		}
	}
	return names
}

// KindByAlias returns the kind that a word on the command line stands for, whatever its case.
func KindByAlias(s string) (kind string, ok bool) {
	s = strings.ToLower(s)
	for i := range kinds {
		if kinds[i].kind == s || slices.Contains(kinds[i].aliases, s) {
			return kinds[i].kind, true
		}
	}
	return "", false
}

// SingletonName returns the fixed name of a kind that exists once.
func SingletonName(kind string) (name string, ok bool) {
	k := about(kind)
	if k == nil || k.single == "" {
		return "", false
	}
	return k.single, true
}

// Versions returns the versions of a kind that can be read and written, oldest first.
func Versions(kind string) []string {
	if k := about(kind); k != nil {
		return slices.Clone(k.versions)
	}
	return nil
}

func supportsVersion(kind, version string) bool {
	k := about(kind)
	return k != nil && slices.Contains(k.versions, version)
}

// zero returns an empty resource of the kind without any field, or nil.
func zero(kind string) Resource {
	if k := about(kind); k != nil {
		return k.form.zero()
	}
	return nil
}

// kindOf returns the kind of a resource by its type.
func kindOf(r Resource) string {
	for i := range kinds {
		if kinds[i].form.is(r) {
			return kinds[i].kind
		}
	}
	return ""
}
