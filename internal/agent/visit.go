package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/audit"
	"sallyport/internal/ca"
	"sallyport/internal/cache"
	"sallyport/internal/engine"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/tunnel"
)

// visit is what is known about a connection after its handshake.
type visit struct {
	id       *identity.Identity
	pem      []byte
	db       *resource.Database
	protocol Protocol
	dispatch tunnel.Dispatch
	greeted  engine.Greeted         // goes on with a client that a proxy has greeted; nil for others
	crowded  *audit.SessionRejected // how the user has too many connections already; nil otherwise
	refusal  error                  // why it cannot go on, to be told in the protocol
	// onlyCrowded says that crowded is all of the refusal.
	onlyCrowded bool
	first       sync.Once   // the decision that denied is of: about the session, not about one command in it
	denied      atomic.Bool // the rules said no
}

func (v *visit) userMeta() audit.UserMeta {
	return audit.UserMeta{User: v.id.Name, Impersonator: v.id.Impersonator, Kind: audit.UserHuman}
}

// newVisit finds the database of the connection's server name. Errors are for connections to which
// nothing can be said.
func (a *Agent) newVisit(state tls.ConnectionState, visitor *mtls.Visitor, d tunnel.Dispatch) (*visit, error) {
	routeID, _ := route.ParseServerName(route.Fold(state.ServerName), a.Cluster)
	db, ok := a.databases.byID(routeID)
	if !ok {
		return nil, fmt.Errorf("no database is served as %q", state.ServerName)
	}
	if spoken := state.NegotiatedProtocol; !route.Speaks(spoken, db.Spec.Protocol) {
		return nil, fmt.Errorf("the client speaks %s and database %q speaks %s", spoken, db.GetName(), db.Spec.Protocol)
	}
	protocol, ok := a.Engines[db.Spec.Protocol]
	if !ok {
		return nil, fmt.Errorf("database %q speaks %s, which this version cannot serve", db.GetName(), db.Spec.Protocol)
	}
	v := &visit{id: visitor.Identity, pem: ca.EncodeCertificate(state.PeerCertificates[0].Raw), db: db, protocol: protocol, dispatch: d}
	if v.refusal = visitor.Expired; v.refusal == nil {
		v.refusal = a.refusal(v)
	}
	if d.MySQLGreeting == "" {
		return v, nil
	}
	return v, a.goOnGreeted(v)
}

// goOnGreeted has a client that a proxy has greeted served by who can go on with it, also one that wants a database of
// another protocol, which then reads so in its own.
func (a *Agent) goOnGreeted(v *visit) error {
	mysql, ok := a.Engines[resource.ProtocolMySQL]
	if ok {
		v.greeted, ok = mysql.Engine.(engine.Greeted)
	}
	if !ok {
		return errors.New("a proxy has greeted a client of MySQL, which this version cannot serve")
	}
	if v.refusal == nil && v.db.Spec.Protocol != resource.ProtocolMySQL {
		v.refusal = fault.New(fault.BadParameter, "database %q speaks %s and the client MySQL; use tsh db connect %[1]s", v.db.GetName(), v.db.Spec.Protocol)
	}
	return nil
}

// refusal returns why the visitor is not welcome at all, whatever it asks for.
func (a *Agent) refusal(v *visit) error {
	switch {
	case v.id.Kind != identity.User:
		return fault.New(fault.AccessDenied, "only users' certificates open databases; use one from tsh db login")
	case v.id.Route == nil:
		return fault.New(fault.AccessDenied, "your certificate is not for a database; run tsh db login %s", v.db.GetName())
	case v.id.Route.Service != v.db.GetName():
		return fault.New(fault.AccessDenied, "your certificate is for database %q, not for %q; run tsh db login %s", v.id.Route.Service, v.db.GetName(), v.db.GetName())
	}
	if err := access.CheckAddress(v.id.PinnedIP, a.options(v.id), v.dispatch.ClientAddress); err != nil {
		return err
	}
	if err := a.lockedOut(v.id); err != nil {
		return err
	}
	return a.auditOutage()
}

// lockedOut returns the lock that is in force for a user, or the refusal of strict users when locks are
// not known well enough.
func (a *Agent) lockedOut(id *identity.Identity) error {
	subject := access.LockSubject{User: id.Name, Roles: id.Roles, MFADevice: id.MFADevice, ServerID: a.HostID, JoinToken: a.JoinToken}
	for _, lock := range cache.List[*resource.Lock](a.Cache, resource.KindLock) {
		if access.MatchLock(lock, subject, a.Now()) {
			return access.LockedError(lock)
		}
	}
	if a.Cache.Age() > maxLockAge && a.options(id).LockingMode == resource.Strict {
		return fault.New(fault.AccessDenied, "locks cannot be checked because the auth server is away, and your roles demand that; try again later")
	}
	return nil
}

const maxLockAge = 5 * time.Minute

// roles returns the roles of an identity as the cluster defines them now. A role that is gone or has
// expired denies everything.
func (a *Agent) roles(id *identity.Identity) []*resource.Role {
	var roles []*resource.Role
	for _, name := range id.Roles {
		role, _ := cache.Get[*resource.Role](a.Cache, resource.KindRole, name) // nil when there is none
		roles = append(roles, access.InForce(name, role, a.Now()))
	}
	return roles
}

func (a *Agent) defaults() access.Defaults {
	preference, _ := cache.Get[*resource.AuthPreference](a.Cache, resource.KindAuthPreference, resource.NameAuthPreference)
	network, _ := cache.Get[*resource.NetworkingConfig](a.Cache, resource.KindNetworkingConfig, resource.NameNetworkingConfig)
	return access.DefaultsOf(preference, network)
}

func (a *Agent) options(id *identity.Identity) access.SessionOptions {
	return access.Options(a.roles(id), a.defaults())
}
