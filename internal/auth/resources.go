package auth

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/fault"
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

func (a *Authority) getKey(ctx context.Context, key string) (resource.Resource, error) {
	item, err := a.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return a.decode(item)
}
