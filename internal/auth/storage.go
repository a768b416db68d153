package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// Keys are "/<kind>/<name>". A token's name is its secret, so its hash stands in the key; the several
// servers of one database are told apart by their host.

func keyOf(r resource.Resource) string {
	if server, ok := r.(*resource.DatabaseServer); ok {
		return "/" + r.GetKind() + "/" + r.GetName() + "/" + server.Spec.HostID
	}
	return key(r.GetKind(), r.GetName())
}

func key(kind, name string) string {
	if kind == resource.KindToken {
		name = secretHash(name)
	}
	return "/" + kind + "/" + name
}

// splitKey returns the kind and the rest of a key.
func splitKey(key string) (kind, name string) {
	kind, name, _ = strings.Cut(strings.TrimPrefix(key, "/"), "/")
	return kind, name
}

// secretHash is what a secret is stored and found by. Secrets of ours carry 128 random bits, so a plain
// hash cannot be guessed.
func secretHash(secret string) string {
	sum := sha256.Sum256([]byte("sallyport.secret.v1\x00" + secret))
	return hex.EncodeToString(sum[:])
}

func isSecretHash(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

func newUUID() string { return uuid.NewString() }

// sealedKinds are stored encrypted.
func sealedKind(kind string) bool {
	switch kind {
	case resource.KindToken, resource.KindCertAuthority, kindUserAuth, kindUserLink:
		return true
	}
	return false
}

// encode returns a resource as it is stored.
func (a *Authority) encode(r resource.Resource) (store.Item, error) {
	revision := r.Meta().Revision
	r.Meta().Revision = "" // the store's, not the value's
	value, err := resource.Encode(r)
	r.Meta().Revision = revision
	if err != nil {
		return store.Item{}, fmt.Errorf("encoding %s: %w", r.GetKind(), err)
	}
	item := store.Item{Key: keyOf(r)}
	if expires := r.Meta().Expires; expires != nil {
		item.Expires = *expires
	}
	if lock, ok := r.(*resource.Lock); ok && lock.Spec.Expires != nil {
		item.Expires = earliest(item.Expires, *lock.Spec.Expires) // from then on it is of no use
	}
	if revision != "" {
		if item.Revision, err = strconv.ParseUint(revision, 10, 64); err != nil {
			return store.Item{}, store.ErrChanged
		}
	}
	item.Value, err = a.sealValue(item.Key, value)
	return item, err
}

// decode reads a stored resource.
func (a *Authority) decode(item store.Item) (resource.Resource, error) {
	kind, _ := splitKey(item.Key)
	value, err := a.openValue(item)
	if err != nil {
		return nil, err
	}
	r, err := resource.Decode(kind, value)
	if err != nil {
		return nil, err
	}
	r.Meta().Revision = strconv.FormatUint(item.Revision, 10)
	return r, nil
}

func (a *Authority) sealValue(key string, value []byte) ([]byte, error) {
	if kind, _ := splitKey(key); !sealedKind(kind) {
		return value, nil
	}
	return a.Sealer.Seal(key, value)
}

func (a *Authority) openValue(item store.Item) ([]byte, error) {
	if kind, _ := splitKey(item.Key); !sealedKind(kind) {
		return item.Value, nil
	}
	value, err := a.Sealer.Unseal(item.Key, item.Value)
	if err != nil {
		return nil, fmt.Errorf("opening stored value: %w", err)
	}
	return value, nil
}

func (a *Authority) create(ctx context.Context, r resource.Resource) (resource.Resource, error) {
	return a.write(ctx, r, a.Store.Create)
}

// put stores a resource; one that names a revision only over that revision.
func (a *Authority) put(ctx context.Context, r resource.Resource) (resource.Resource, error) {
	if r.Meta().Revision != "" {
		return a.write(ctx, r, a.Store.Swap)
	}
	return a.write(ctx, r, a.Store.Put)
}

func (a *Authority) write(ctx context.Context, r resource.Resource, how func(context.Context, store.Item) (uint64, error)) (resource.Resource, error) {
	item, err := a.encode(r)
	if err != nil {
		return nil, err
	}
	if item.Revision, err = how(ctx, item); err != nil {
		return nil, err
	}
	return a.decode(item)
}

func (a *Authority) get(ctx context.Context, kind, name string) (resource.Resource, error) {
	item, err := a.Store.Get(ctx, key(kind, name))
	if err != nil {
		return nil, err
	}
	return a.decode(item)
}

// load reads a resource into one of its concrete type.
func (a *Authority) load(ctx context.Context, kind, name string, into resource.Resource) error {
	item, err := a.Store.Get(ctx, key(kind, name))
	if err != nil {
		return err
	}
	value, err := a.openValue(item)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("reading stored %s: %w", kind, err)
	}
	into.Meta().Revision = strconv.FormatUint(item.Revision, 10)
	return nil
}

// list returns all resources of a kind, by key.
func (a *Authority) list(ctx context.Context, kind string) ([]resource.Resource, error) {
	items, err := a.Store.List(ctx, "/"+kind+"/", "", 0)
	if err != nil {
		return nil, err
	}
	all := make([]resource.Resource, 0, len(items))
	for _, item := range items {
		r, err := a.decode(item)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// listOf returns all resources of a kind in their concrete type.
func listOf[R resource.Resource](ctx context.Context, a *Authority, kind string) ([]R, error) {
	all, err := a.list(ctx, kind)
	if err != nil {
		return nil, err
	}
	typed := make([]R, 0, len(all))
	for _, r := range all {
		typed = append(typed, r.(R))
	}
	return typed, nil
}

// Records are stored values that are no resources: only the authority ever sees them.

// loadRecord reads a record and returns the revision to write it back over.
func (a *Authority) loadRecord(ctx context.Context, key string, into any) (revision uint64, err error) {
	item, err := a.Store.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	value, err := a.openValue(item)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(value, into); err != nil {
		return 0, fmt.Errorf("reading stored record: %w", err)
	}
	return item.Revision, nil
}

// saveRecord writes a record over the revision, or as a new one when the revision is 0. When another
// writer was faster it returns store.ErrChanged.
func (a *Authority) saveRecord(ctx context.Context, key string, record any, expires time.Time, revision uint64) error {
	_, err := a.swapRecord(ctx, key, record, expires, revision)
	return err
}

// swapRecord is saveRecord, and returns the revision that was written.
func (a *Authority) swapRecord(ctx context.Context, key string, record any, expires time.Time, revision uint64) (uint64, error) {
	value, err := json.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("encoding record: %w", err)
	}
	if value, err = a.sealValue(key, value); err != nil {
		return 0, err
	}
	item := store.Item{Key: key, Value: value, Expires: expires, Revision: revision}
	if revision != 0 {
		revision, err = a.Store.Swap(ctx, item)
	} else {
		revision, err = a.Store.Create(ctx, item)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) {
		return 0, store.ErrChanged
	}
	return revision, err
}
