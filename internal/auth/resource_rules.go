package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// accept reads a resource of a request, checks it and whether the caller may write it.
func (a resourceAPI) accept(ctx context.Context, wire *sallyportv1.Resource) (resource.Resource, error) {
	if wire == nil {
		return nil, fault.New(fault.BadParameter, "the request holds no resource")
	}
	r, err := resource.Decode(wire.GetKind(), wire.GetJson())
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "the resource cannot be read: %s", fault.Message(err))
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	switch r.GetKind() {
	case resource.KindCertAuthority, resource.KindClusterName:
		return nil, fault.New(fault.BadParameter, "resources of kind %s cannot be written", r.GetKind())
	}
	if err := refuseMask(r); err != nil {
		return nil, err
	}
	if err := a.mayWriteOwn(ctx, r); err != nil {
		return nil, err
	}
	if !isHeartbeat(r.GetKind()) {
		if err := a.refuseOver(r.Meta().Expires, "the "+r.GetKind()); err != nil {
			return nil, err
		}
	}
	return r, a.fitForCaller(ctx, r)
}

// fitForCaller applies what is known about a kind beyond its schema, and fills in what only the
// authority may say.
func (a resourceAPI) fitForCaller(ctx context.Context, r resource.Resource) error {
	c := callerOf(ctx)
	switch r := r.(type) {
	case *resource.DatabaseServer:
		if !c.id.HasSystemRole(string(resource.RoleAdmin)) {
			return a.mayServe(ctx, c.id, r)
		}
	case *resource.Database:
		if c.id.Kind == identity.User || r.Metadata.Labels[resource.LabelOrigin] != resource.OriginCloud {
			setOrigin(r, resource.OriginDynamic)
		}
		r.Status = resource.DatabaseStatus{}
		if c.user != nil {
			return a.mayChangeDatabase(ctx, c, r)
		}
	case *resource.User:
		if err := a.checkRolesExist(ctx, r.Spec.Roles); err != nil {
			return err
		}
		r.Spec.LocalAuth = nil // credentials are kept apart
		return a.mayChangeUser(ctx, r)
	case *resource.Role:
		if c.user != nil {
			return errors.Join(access.CheckGrant(c.access(), r), access.CheckAdministration(c.access(), []*resource.Role{r}))
		}
	case *resource.Lock:
		if token := r.Spec.Target.JoinToken; token != "" && !isSecretHash(token) {
			r.Spec.Target.JoinToken = secretHash(token) // as hosts' certificates carry it; the token is a secret
		}
		if err := a.refuseOver(r.Spec.Expires, "the lock"); err != nil {
			return err
		}
		now := a.Now().UTC()
		r.Spec.CreatedAt, r.Spec.CreatedBy = &now, c.id.Name
		if c.id.HasSystemRole(string(resource.RoleAdmin)) {
			r.Spec.CreatedBy = string(resource.RoleAdmin)
		}
	}
	return nil
}

// refuseOver refuses what would be gone at once.
func (a *Authority) refuseOver(expires *time.Time, what string) error {
	if expires == nil || a.Now().Before(*expires) {
		return nil
	}
	return fault.New(fault.BadParameter, "%s expired at %s, so that it would be without effect; give a later time, or none", what, expires.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// mayChangeDatabase refuses that people bring a database under roles of their own.
func (a *Authority) mayChangeDatabase(ctx context.Context, c *caller, after *resource.Database) error {
	before := &resource.Database{}
	err := a.load(ctx, resource.KindDatabase, after.GetName(), before)
	if errors.Is(err, store.ErrNotFound) {
		before = nil
	} else if err != nil {
		return err
	}
	return access.CheckDatabaseGrant(c.access(), before, after)
}

func (a *Authority) checkRolesExist(ctx context.Context, names []string) error {
	for _, name := range names {
		_, err := a.get(ctx, resource.KindRole, name)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.NotFound, "role %q does not exist; see tctl get roles", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayRead decides for hosts which kinds they may read; users were decided by the table.
func (a resourceAPI) mayRead(ctx context.Context, kind string, secrets bool) error {
	if _, err := resource.New(kind); err != nil {
		return err
	}
	c := callerOf(ctx)
	switch {
	case c.id.HasSystemRole(string(resource.RoleAdmin)):
		return nil
	case secrets:
		return fault.New(fault.AccessDenied, "secrets are shown only to tctl on the auth server's host")
	case c.id.Kind == identity.Host && !hostMay(c.id, kind, false):
		return errDenied
	}
	return nil
}

// mayWriteOwn decides for hosts what they may write: heartbeats about themselves.
func (a resourceAPI) mayWriteOwn(ctx context.Context, r resource.Resource) error {
	c := callerOf(ctx)
	if c.id.Kind != identity.Host || c.id.HasSystemRole(string(resource.RoleAdmin)) {
		if isHeartbeat(r.GetKind()) && !c.id.HasSystemRole(string(resource.RoleAdmin)) {
			return fault.New(fault.BadParameter, "resources of kind %s are written by the services themselves", r.GetKind())
		}
		return nil
	}
	if !hostMay(c.id, r.GetKind(), true) {
		return errDenied
	}
	if db, ok := r.(*resource.Database); ok {
		return a.mayDiscover(ctx, db)
	}
	if heartbeatHost(r) != c.id.Name {
		return errDenied
	}
	expires := r.Meta().Expires
	if limit := a.Now().Add(maxHeartbeat); expires == nil || expires.After(limit) {
		r.Meta().Expires = &limit
	}
	return nil
}

func hostMay(id *identity.Identity, kind string, write bool) bool {
	for _, role := range id.SystemRoles {
		kinds := hostKinds[resource.SystemRole(role)]
		if slices.Contains(kinds.writes, kind) || !write && slices.Contains(kinds.reads, kind) {
			return true
		}
	}
	return false
}

func isHeartbeat(kind string) bool {
	return kind == resource.KindDatabaseServer || kind == resource.KindDatabaseService || kind == resource.KindProxy || kind == resource.KindDiscoveryService
}

// heartbeatHost returns the id of the host that a heartbeat is about.
func heartbeatHost(r resource.Resource) string {
	if server, ok := r.(*resource.DatabaseServer); ok {
		return server.Spec.HostID
	}
	return r.GetName()
}
