package auth

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/store"
)

// kindEpoch keeps, for each name of a user, the number of times its certificates became void: at resets,
// new passwords and deletion. It outlives the user, so that a new one of the same name is not the old one.
const kindEpoch = "user_epoch"

type userEpoch struct {
	Epoch int `json:"epoch"`
}

// epoch returns the number that certificates of the user carry now.
func (a *Authority) epoch(ctx context.Context, name string) (int, error) {
	var record userEpoch
	_, err := a.loadRecord(ctx, key(kindEpoch, name), &record)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return record.Epoch, err
}

// endEpoch makes all certificates of the user void.
func (a *Authority) endEpoch(ctx context.Context, name string) error {
	for {
		var record userEpoch
		revision, err := a.loadRecord(ctx, key(kindEpoch, name), &record)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		record.Epoch++
		if err = a.saveRecord(ctx, key(kindEpoch, name), record, time.Time{}, revision); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
}

// refuseVoid refuses a certificate of an earlier epoch.
func (a *Authority) refuseVoid(ctx context.Context, name string, epoch int) error {
	now, err := a.epoch(ctx, name)
	if err == nil && now != epoch {
		err = fault.New(fault.Unauthenticated, "your password was reset or changed since this certificate was made; log in again with tsh login")
	}
	return err
}

// refuseExpired refuses users whose account has ended.
func (a *Authority) refuseExpired(user *resource.User) error {
	if expires := user.Spec.Expires; expires != nil && !a.Now().Before(*expires) {
		return fault.New(fault.AccessDenied, "your account expired at %s; ask an administrator of the cluster", expires.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return nil
}

// accountExpires is when a user's account ends, or zero for never.
func (c *caller) accountExpires() time.Time {
	if c.user == nil || c.user.Spec.Expires == nil {
		return time.Time{}
	}
	return *c.user.Spec.Expires
}
