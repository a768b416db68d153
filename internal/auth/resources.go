package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/access"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

const (
	defaultPage  = 500
	maxPage      = 2000
	aliveEvery   = 15 * time.Second
	maxHeartbeat = 15 * time.Minute
)

// resourceAPI implements ResourceService.
type resourceAPI struct{ *Authority }

// CreateResource implements the API.
func (a resourceAPI) CreateResource(ctx context.Context, req *sallyportv1.CreateResourceRequest) (*sallyportv1.CreateResourceResponse, error) {
	r, err := a.accept(ctx, req.GetResource())
	if err != nil {
		return nil, err
	}
	switch _, err := a.getKey(ctx, keyOf(r)); {
	case err == nil:
		return nil, fault.New(fault.AlreadyExists, "%s %q already exists", r.GetKind(), shownName(r))
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	r.Meta().Revision = ""
	if user, ok := r.(*resource.User); ok {
		if err := a.refuseTwin(ctx, user.GetName()); err != nil {
			return nil, err
		}
	}
	if err := a.recordChange(ctx, r, nil); err != nil {
		return nil, err
	}
	stored, err := a.create(ctx, r)
	if err != nil {
		return nil, err
	}
	wire, err := toWire(stored, false)
	return &sallyportv1.CreateResourceResponse{Resource: wire}, err
}

// PutResource implements the API.
func (a resourceAPI) PutResource(ctx context.Context, req *sallyportv1.PutResourceRequest) (*sallyportv1.PutResourceResponse, error) {
	r, err := a.accept(ctx, req.GetResource())
	if err != nil {
		return nil, err
	}
	old, err := a.getKey(ctx, keyOf(r))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if revision := r.Meta().Revision; revision != "" && (old == nil || old.Meta().Revision != revision) {
		return nil, store.ErrChanged
	}
	if user, ok := r.(*resource.User); ok && old == nil {
		if err := a.refuseTwin(ctx, user.GetName()); err != nil {
			return nil, err
		}
	}
	keepSystemFields(r, old)
	if err := a.recordChange(ctx, r, old); err != nil {
		return nil, err
	}
	stored, err := a.put(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := a.unblock(ctx, stored, old); err != nil {
		return nil, err
	}
	wire, err := toWire(stored, false)
	return &sallyportv1.PutResourceResponse{Resource: wire, Created: old == nil}, err
}

// GetResource implements the API.
func (a resourceAPI) GetResource(ctx context.Context, req *sallyportv1.GetResourceRequest) (*sallyportv1.GetResourceResponse, error) {
	if err := a.mayRead(ctx, req.GetKind(), req.GetWithSecrets()); err != nil {
		return nil, err
	}
	r, err := a.get(ctx, req.GetKind(), req.GetName())
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "%s %q does not exist", req.GetKind(), shortSecret(req.GetKind(), req.GetName()))
	}
	if err != nil {
		return nil, err
	}
	if req.GetWithSecrets() {
		if err := a.recordSecrets(ctx, req.GetKind(), shownName(r)); err != nil {
			return nil, err
		}
	}
	// A token's only secret is its name, which the caller has said.
	wire, err := toWire(r, req.GetWithSecrets() || req.GetKind() == resource.KindToken)
	return &sallyportv1.GetResourceResponse{Resource: wire}, err
}

// ListResources implements the API.
func (a resourceAPI) ListResources(ctx context.Context, req *sallyportv1.ListResourcesRequest) (*sallyportv1.ListResourcesResponse, error) {
	if err := a.mayRead(ctx, req.GetKind(), req.GetWithSecrets()); err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size <= 0 {
		size = defaultPage
	}
	size = min(size, maxPage)
	items, err := a.Store.List(ctx, "/"+req.GetKind()+"/", req.GetPageToken(), size)
	if err != nil {
		return nil, err
	}
	if req.GetWithSecrets() {
		if err := a.recordSecrets(ctx, req.GetKind(), ""); err != nil {
			return nil, err
		}
	}
	res := &sallyportv1.ListResourcesResponse{}
	for _, item := range items {
		r, err := a.decode(item)
		if err != nil {
			return nil, err
		}
		if c := callerOf(ctx); c.user != nil && !(c.may(req.GetKind(), verbList, contextOf(r)) && c.may(req.GetKind(), verbRead, contextOf(r))) {
			continue
		}
		wire, err := toWire(r, req.GetWithSecrets())
		if err != nil {
			return nil, err
		}
		res.Resources = append(res.Resources, wire)
	}
	if len(items) == size {
		res.NextPageToken = items[len(items)-1].Key
	}
	return res, nil
}

// DeleteResource implements the API.
func (a resourceAPI) DeleteResource(ctx context.Context, req *sallyportv1.DeleteResourceRequest) (*sallyportv1.DeleteResourceResponse, error) {
	kind, name := req.GetKind(), req.GetName()
	if kind == resource.KindCertAuthority || kind == resource.KindClusterName {
		return nil, fault.New(fault.BadParameter, "resources of kind %s cannot be deleted", kind)
	}
	if _, single := resource.SingletonName(kind); single {
		return &sallyportv1.DeleteResourceResponse{}, a.resetSetting(ctx, kind)
	}
	var stored resource.Resource
	var err error
	if kind == resource.KindDatabaseServer {
		stored, err = a.getKey(ctx, "/"+kind+"/"+name)
	} else {
		stored, err = a.get(ctx, kind, name)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "%s %q does not exist", kind, shortSecret(kind, name))
	}
	if err != nil {
		return nil, err
	}
	if err := a.mayWriteOwn(ctx, stored); err != nil {
		return nil, err
	}
	if kind == resource.KindRole {
		if err := a.refuseHeldRole(ctx, name); err != nil {
			return nil, err
		}
	}
	if err := a.recordDelete(ctx, stored); err != nil {
		return nil, err
	}
	if kind == resource.KindUser { // first what lets the user in
		if err := a.forgetUser(ctx, name); err != nil {
			return nil, err
		}
	}
	return &sallyportv1.DeleteResourceResponse{}, a.Store.Delete(ctx, keyOf(stored), 0)
}

// resetSetting puts a setting back to its default.
func (a resourceAPI) resetSetting(ctx context.Context, kind string) error {
	name, _ := resource.SingletonName(kind)
	stored, err := a.get(ctx, kind, name)
	if err != nil {
		return err
	}
	if stored.Meta().Labels[resource.LabelOrigin] == resource.OriginConfigFile {
		return fault.New(fault.BadParameter, "%s comes from the configuration file of the auth server; change it there", kind)
	}
	r, err := newDefault(kind)
	if err != nil {
		return err
	}
	if err := a.recordChange(ctx, r, stored); err != nil {
		return err
	}
	_, err = a.put(ctx, r)
	return err
}

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
	case resource.KindToken:
		if strings.HasPrefix(r.GetName(), "****") {
			return nil, fault.New(fault.BadParameter, "the token's value is masked; read it with --with-secrets on the auth server's host")
		}
	}
	if err := a.mayWriteOwn(ctx, r); err != nil {
		return nil, err
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
		now := a.Now().UTC()
		for _, expires := range []*time.Time{r.Spec.Expires, r.Metadata.Expires} {
			if expires != nil && !now.Before(*expires) {
				return fault.New(fault.BadParameter, "the lock expired at %s, so that it would hold nobody; give a later time, or none", expires.UTC().Format("2006-01-02 15:04:05 UTC"))
			}
		}
		r.Spec.CreatedAt, r.Spec.CreatedBy = &now, c.id.Name
		if c.id.HasSystemRole(string(resource.RoleAdmin)) {
			r.Spec.CreatedBy = string(resource.RoleAdmin)
		}
	}
	return nil
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

func (a *Authority) getKey(ctx context.Context, key string) (resource.Resource, error) {
	item, err := a.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return a.decode(item)
}

// keepSystemFields carries over what writers cannot set.
func keepSystemFields(r, old resource.Resource) {
	switch r := r.(type) {
	case *resource.User:
		r.Spec.CreatedBy = nil
		if old, ok := old.(*resource.User); ok {
			r.Spec.CreatedBy = old.Spec.CreatedBy
		}
	}
}

// toWire returns a resource for the API.
func toWire(r resource.Resource, secrets bool) (*sallyportv1.Resource, error) {
	if !secrets {
		r = resource.WithoutSecrets(r)
		r.Meta().Name = shownName(r)
	}
	name := r.GetName()
	if server, ok := r.(*resource.DatabaseServer); ok {
		name += "/" + server.Spec.HostID
	}
	json, err := resource.Encode(r)
	return &sallyportv1.Resource{Kind: r.GetKind(), Name: name, Json: json}, err
}

// shownName is a resource's name in messages and events: a token's may be its secret.
func shownName(r resource.Resource) string {
	if token, ok := r.(*resource.Token); ok {
		return token.ShownName()
	}
	return r.GetName()
}

func shortSecret(kind, name string) string {
	if kind != resource.KindToken {
		return name
	}
	return resource.MaskToken(name)
}
