package managedusers

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/upkeep"
)

// work keeps the passwords of one place until the context ends.
func (k *Keeper) work(ctx context.Context, p *place) {
	var look time.Time
	for ctx.Err() == nil {
		now := k.cfg.Now()
		if !now.Before(look) || !k.hasLooked(p) {
			err := k.look(ctx, p)
			k.note(p, err)
			wait := lookEvery
			if err != nil {
				wait = troubleWait
			}
			look = k.cfg.Now().Add(upkeep.Jitter(wait))
		}
		next := look
		for _, id := range k.due(p) {
			k.tend(ctx, p, id)
		}
		if at := k.nextDue(p); !at.IsZero() && at.Before(next) {
			next = at
		}
		timer := time.NewTimer(max(next.Sub(k.cfg.Now()), 10*time.Millisecond))
		select {
		case <-timer.C:
		case <-p.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (k *Keeper) hasLooked(p *place) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return p.looked
}

// due returns the ids of the users for whom it is time.
func (k *Keeper) due(p *place) (ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	for id, u := range p.users {
		if !now.Before(u.due) {
			ids = append(ids, id)
		}
	}
	return ids
}

// nextDue returns when it is time for the next user; the zero time if there is none.
func (k *Keeper) nextDue(p *place) (next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range p.users {
		if next.IsZero() || u.due.Before(next) {
			next = u.due
		}
	}
	return next
}

// note logs how a look went, once until that changes, and lets those go who wait for the first.
func (k *Keeper) note(p *place, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.looked = true
	k.news.Ring()
	text := ""
	if err != nil && !errors.Is(err, context.Canceled) {
		err = credentials.Explain(err)
		text = fault.Message(err)
	}
	switch {
	case text == p.trouble:
	case text != "" && fault.Is(err, fault.AccessDenied): // which is in order where there are none
		k.cfg.Logger.Info("no passwords of users are managed, because the tags of users cannot be read", "service", p.key.service, "region", p.key.region, "reason", text, "error", err)
	case text != "":
		k.cfg.Logger.Warn("users whose passwords are to be managed cannot be looked for", "service", p.key.service, "region", p.key.region, "reason", text, "error", err)
	default:
		k.cfg.Logger.Info("users of databases can be looked for again", "service", p.key.service, "region", p.key.region)
	}
	p.trouble = text
}

// look finds out which users of the databases are managed. What it could not see stays as it was.
func (k *Keeper) look(ctx context.Context, p *place) error {
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	cfg, err := k.cfg.Credentials.For(ctx, p.key.chain())
	if err != nil {
		return err
	}
	attached, groupsErr := k.groups(ctx, cfg, p)
	all, err := p.key.service.List(ctx, cfg)
	if err != nil {
		return errors.Join(groupsErr, err)
	}
	found := make(map[string]redisusers.User)
	lost := make(map[string]bool) // users that are known not to be managed any more
	var tagErr error
	exists := make(map[string]bool, len(all))
	for _, u := range all {
		exists[u.ID] = true
		known := k.knows(p, u.ID)
		if !known && (!u.In(attached) || u.Kind == redisusers.IAM) { // a password would take IAM away from the latter
			continue
		}
		managed, err := p.key.service.Managed(ctx, cfg, u.ARN)
		switch {
		case err != nil:
			tagErr = err
		case managed && u.Kind != redisusers.IAM && len(u.Groups) > 0:
			found[u.ID] = u // one in another group only may be used by others, so it is kept up as long as it is known
		default:
			lost[u.ID] = true
		}
	}
	k.merge(ctx, p, found, func(id string) bool { return lost[id] || !exists[id] })
	return errors.Join(groupsErr, tagErr)
}

func (k *Keeper) knows(p *place, id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return p.users[id] != nil
}

// groups finds out which groups of users are attached to the databases of the place, and returns all of them.
func (k *Keeper) groups(ctx context.Context, cfg aws.Config, p *place) (all []string, err error) {
	k.mu.Lock()
	databases := make(map[string]database, len(p.databases))
	for name, d := range p.databases {
		databases[name] = *d
	}
	k.mu.Unlock()
	for name, d := range databases {
		groups, one := redisusers.Groups(ctx, cfg, &d.target)
		if one != nil {
			err = one
			if groups = d.groups; groups == nil {
				groups = redisusers.Known(&d.target)
			}
		}
		all = append(all, groups...)
		k.mu.Lock()
		if d := p.databases[name]; d != nil {
			d.groups = groups
		}
		k.mu.Unlock()
	}
	return all, err
}

// merge takes over what a look has found. Users that two looks in a row have found no more are let go, with their secrets.
func (k *Keeper) merge(ctx context.Context, p *place, found map[string]redisusers.User, gone func(id string) bool) {
	var drop []*user
	k.mu.Lock()
	for id, one := range found {
		u := p.users[id]
		if u == nil {
			u = &user{}
			p.users[id] = u
			k.cfg.Logger.Info("passwords of user are managed from now on", "user", one.ID, "service", p.key.service, "region", p.key.region)
		}
		u.User, u.missed = one, false
	}
	for id, u := range p.users {
		if _, ok := found[id]; ok || !gone(id) {
			continue
		}
		if u.missed {
			delete(p.users, id)
			drop = append(drop, u)
		}
		u.missed = true
	}
	store := p.store
	k.mu.Unlock()
	for _, u := range drop {
		k.drop(ctx, p.key, store, u)
	}
}

// drop deletes the secret of a user that is managed no more.
func (k *Keeper) drop(ctx context.Context, key placeKey, store resource.SecretStore, u *user) {
	v, err := k.vault(ctx, key, store, u)
	if err == nil {
		err = v.delete(ctx)
	}
	if err != nil {
		err = credentials.Explain(err)
		k.cfg.Logger.Warn("user is not managed any more, and its secret could not be deleted; delete it by hand", "user", u.ID, "service", key.service, "reason", fault.Message(err), "error", err)
		return
	}
	k.cfg.Logger.Info("user is not managed any more; its secret is deleted, and it keeps its last passwords", "user", u.ID, "service", key.service)
}
