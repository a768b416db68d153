package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/upkeep"
)

// task is what a group needs now.
type task struct {
	id    string
	needs []need              // by name
	chain []credentials.Chain // that lead to the holder; those of databases that are gone, too
	gone  []string            // databases whose permissions are not wanted any more
	early bool                // the process may not know all its databases yet
}

func (k *Keeper) task(id string) task {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	t := task{id: id, early: now.Before(k.began.Add(linger))}
	for _, name := range slices.Sorted(maps.Keys(k.databases)) {
		db := k.databases[name]
		if k.groupOf(db.need) != id {
			continue
		}
		if chain := db.chain(); !slices.ContainsFunc(t.chain, func(c credentials.Chain) bool {
			return c.AssumeRoleARN == chain.AssumeRoleARN && c.ExternalID == chain.ExternalID
		}) {
			t.chain = append(t.chain, chain)
		}
		if db.absent.IsZero() || now.Before(db.absent.Add(linger)) {
			t.needs = append(t.needs, db.need)
		} else {
			t.gone = append(t.gone, name)
		}
	}
	return t
}

// work changes the policy of one group's holder.
func (k *Keeper) work(ctx context.Context, id string) {
	t := k.task(id)
	h, cfg, err := k.holder(ctx, t)
	var refused outcome
	switch {
	case err != nil:
	case h.id() != id: // the agent's own identity was not known, or is another now
		k.moveOwn(id, h.id())
		return
	default:
		cfg.Region = endpoint.RegionOfIAM(h.partition)
		c := &change{policy: inline{iam.NewFromConfig(cfg), h, Name(k.cfg.Cluster)}, ledger: k.cfg.Ledger, logger: k.cfg.Logger, needs: t.needs, keepOwn: t.early}
		refused, err = c.run(ctx)
	}
	if ctx.Err() == nil {
		k.finish(t, refused, err)
	}
}

// holder returns whose policy is the group's, and the settings of clients that act as it.
func (k *Keeper) holder(ctx context.Context, t task) (h holder, cfg aws.Config, err error) {
	err = fault.New(fault.Internal, "there is nobody whose policy could be changed")
	for _, chain := range t.chain { // they differ in their external ids, of which one may be wrong
		if chain.AssumeRoleARN == "" {
			var caller credentials.Caller
			if caller, err = k.cfg.Credentials.Caller(ctx, chain); err == nil {
				h, err = holderOfCaller(caller)
			}
		} else {
			h, err = holderOfRole(chain.AssumeRoleARN)
		}
		if err == nil {
			cfg, err = k.cfg.Credentials.For(ctx, chain)
		}
		if err == nil {
			return h, cfg, nil
		}
	}
	return h, cfg, err
}

// moveOwn notes who the agent itself is.
func (k *Keeper) moveOwn(from, to string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own = to
	delete(k.groups, from)
	now := k.cfg.Now()
	k.schedule(to, now)
	for _, db := range k.databases {
		if id := k.groupOf(db.need); id == from { // others that are reached through it by a role
			k.schedule(id, now)
		}
	}
}

// finish notes how a change went.
func (k *Keeper) finish(t task, refused outcome, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, now := k.groups[t.id], k.cfg.Now()
	g.running = false
	if errors.Is(err, ErrBusy) {
		g.due = now.Add(upkeep.Jitter(busyRetry))
		k.cfg.Logger.Debug("IAM policy is being changed by another agent; waiting for its end", "identity", t.id)
		return
	}
	k.note(t.needs, refused, err)
	k.tell(g, t, refused, err)
	if err != nil {
		g.due = now.Add(upkeep.Jitter(g.delay))
		g.delay = min(2*g.delay, lastRetry)
	} else {
		g.due, g.delay = now.Add(upkeep.Jitter(refreshEvery)), firstRetry
		for _, name := range t.gone {
			if db := k.databases[name]; db != nil && !db.absent.IsZero() {
				delete(k.databases, name)
			}
		}
	}
	if g.changed {
		g.due = now.Add(settle)
	}
	k.lingering(t.id, g, now)
}

// lingering has a group come again when databases have been gone for long enough, and forgets one without any.
func (k *Keeper) lingering(id string, g *group, now time.Time) {
	left := false
	for _, db := range k.databases {
		if k.groupOf(db.need) != id {
			continue
		}
		left = true
		if at := db.absent.Add(linger); !db.absent.IsZero() && at.After(now) && at.Before(g.due) {
			g.due = at
		}
	}
	if at := k.began.Add(linger); at.After(now) && at.Before(g.due) {
		g.due = at // then what an earlier process left is taken away
	}
	if !left && !g.changed {
		delete(k.groups, id)
	}
}

// note puts the result into the databases' status.
func (k *Keeper) note(needs []need, refused outcome, err error) {
	told := false
	for _, n := range needs {
		db := k.databases[n.name]
		if db == nil || db.need != n {
			continue // it is another now, and another change will tell
		}
		status, reason, failure := resource.IAMPolicySuccess, "", err
		if failure == nil {
			failure = refused[n.name]
		}
		if failure != nil {
			status, reason = resource.IAMPolicyFailed, fault.Message(failure)
		}
		told = told || db.status != status || db.reason != reason
		db.status, db.reason = status, reason
	}
	if told {
		k.news.Ring()
	}
}

// tell logs failures, each once until they change.
func (k *Keeper) tell(g *group, t task, refused outcome, err error) {
	const message = "databases may not be logged in to: the IAM policy lacks their permissions"
	var names []string
	reasons := map[string][]string{}
	for _, n := range t.needs {
		names = append(names, n.name)
		if failure := refused[n.name]; failure != nil {
			reasons[fault.Message(failure)] = append(reasons[fault.Message(failure)], n.name)
		}
	}
	if err != nil {
		reasons = map[string][]string{fault.Message(err): names}
	}
	var text strings.Builder
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintln(&text, reason, reasons[reason])
	}
	if text.String() == g.told {
		return
	}
	g.told = text.String()
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		failed := reasons[reason]
		k.cfg.Logger.Warn(message, "databases", len(failed), "first", strings.Join(failed[:min(len(failed), 10)], " "), "reason", reason, "error", err)
	}
}
