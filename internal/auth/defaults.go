package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// writeDefaults stores preset roles that are missing and settings: those of the configuration file
// always, the defaults where nobody has written any.
func (a *Authority) writeDefaults(ctx context.Context) error {
	for _, role := range resource.PresetRoles() {
		if _, err := a.create(ctx, role); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("storing preset role %s: %w", role.GetName(), err)
		}
	}
	if err := a.createOnce(ctx, resource.DefaultHealthCheck()); err != nil {
		return err
	}
	configured := map[string]bool{}
	for _, r := range a.Settings {
		configured[r.GetKind()] = true
		setOrigin(r, resource.OriginConfigFile)
		if err := a.writeChanged(ctx, r); err != nil {
			return fmt.Errorf("storing %s of the configuration file: %w", r.GetKind(), err)
		}
	}
	for _, kind := range singletons {
		if configured[kind] {
			continue
		}
		if err := a.defaultSetting(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// createOnce stores a resource that clusters begin with. An administrator may delete it for good.
func (a *Authority) createOnce(ctx context.Context, r resource.Resource) error {
	done := "/preset" + keyOf(r)
	if _, err := a.Store.Get(ctx, done); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if _, err := a.create(ctx, r); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("storing preset %s %s: %w", r.GetKind(), r.GetName(), err)
	}
	_, err := a.Store.Put(ctx, store.Item{Key: done, Value: []byte("{}")})
	return err
}

// singletons are the kinds of which there is exactly one.
var singletons = []string{resource.KindAuthPreference, resource.KindNetworkingConfig, resource.KindRecordingConfig}

// defaultSetting stores the default of a kind when there is none, or when the stored one came from a
// configuration file that no longer has it.
func (a *Authority) defaultSetting(ctx context.Context, kind string) error {
	name, _ := resource.SingletonName(kind)
	stored, err := a.get(ctx, kind, name)
	if err == nil && stored.Meta().Labels[resource.LabelOrigin] != resource.OriginConfigFile {
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r, err := newDefault(kind)
	if err != nil {
		return err
	}
	if stored == nil {
		_, err = a.put(ctx, r)
		return err
	}
	return a.writeChanged(ctx, r)
}

func newDefault(kind string) (resource.Resource, error) {
	r, err := resource.New(kind)
	if err != nil {
		return nil, err
	}
	r.Meta().Name, _ = resource.SingletonName(kind)
	setOrigin(r, resource.OriginDefaults)
	return r, r.Validate()
}

func setOrigin(r resource.Resource, origin string) {
	meta := r.Meta()
	if meta.Labels == nil {
		meta.Labels = map[string]string{}
	}
	meta.Labels[resource.LabelOrigin] = origin
}

func (a *Authority) writeAll(ctx context.Context, all []resource.Resource) error {
	for _, r := range all {
		if err := a.writeChanged(ctx, r); err != nil {
			return fmt.Errorf("%s %q: %w", r.GetKind(), shownName(r), err)
		}
	}
	return nil
}

// writeChanged records and stores a resource of the configuration, unless it is stored as it is.
func (a *Authority) writeChanged(ctx context.Context, r resource.Resource) error {
	old, err := a.getKey(ctx, keyOf(r))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	keepSystemFields(r, old)
	if old != nil {
		same := resource.Clone(old)
		same.Meta().Revision = r.Meta().Revision
		before, errBefore := resource.Encode(same)
		after, errAfter := resource.Encode(r)
		if err := errors.Join(errBefore, errAfter); err != nil || bytes.Equal(before, after) {
			return err
		}
	}
	if err := a.recordChange(ctx, r, old); err != nil {
		return err
	}
	_, err = a.put(ctx, r)
	return err
}
