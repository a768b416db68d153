package policy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"sallyport/internal/fault"
)

// ErrBusy is what Ledger.Begin returns while another agent has its turn.
var ErrBusy = errors.New("another agent has its turn at the policy")

const (
	changeTime = 45 * time.Second // less than a turn lasts, so that nobody else changes the policy meanwhile
	endTime    = 5 * time.Second
)

// change brings the inline policy of a holder in line with what databases need.
type change struct {
	policy inline
	ledger Ledger
	logger *slog.Logger
	needs  []need
	// keepOwn leaves what was noted for this agent and is not needed now. It is set while not all is known that it needs.
	keepOwn bool
}

// outcome says why databases are not allowed, by their names. All others are.
type outcome map[string]error

// run makes the change. Its error is of all databases.
func (c *change) run(ctx context.Context) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	turn, err := c.ledger.Begin(ctx, c.policy.of.id(), Change{})
	if err != nil {
		return nil, err
	}
	refused, granted, err := c.within(ctx, turn)
	after, stop := context.WithTimeout(context.WithoutCancel(ctx), endTime) // others wait for it
	defer stop()
	if err != nil {
		return nil, errors.Join(err, c.ledger.GiveUp(after, turn))
	}
	return refused, c.ledger.End(after, turn, granted)
}

// within makes the change while this agent has its turn.
func (c *change) within(ctx context.Context, turn *Turn) (refused outcome, granted []Permission, err error) {
	before, err := c.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	plan := c.plan(before, turn)
	after, full, err := c.write(ctx, turn, before, plan)
	if err != nil {
		return nil, nil, err
	}
	refused = plan.unknown
	for _, w := range plan.wants {
		if !after.has(w.permissions) {
			refused[w.name] = c.noRoom(full)
		}
	}
	others, own := setOf(turn.Others), setOf(turn.Own)
	for _, p := range after.sorted() {
		if plan.mine[p] || own[p] && !others[p] { // the latter could not be taken away
			granted = append(granted, p)
		}
	}
	return refused, granted, nil
}

func (c *change) read(ctx context.Context) (document, error) {
	text, err := c.policy.get(ctx)
	if err != nil {
		return document{}, c.policy.explain(err)
	}
	d, err := readDocument(text)
	if err != nil {
		return document{}, fault.Wrap(fault.KindOf(err), err, "the inline policy %s of the %s is left as it is: %s", c.policy.name, c.policy.of, fault.Message(err))
	}
	return d, nil
}

// want is what one database needs.
type want struct {
	name        string
	permissions []Permission
}

// plan is what a policy is to have.
type plan struct {
	mine    set     // what this agent needs, or may need
	base    set     // what it has and is to keep, so that nothing makes room for others
	wants   []want  // of databases, in the order in which they get room
	unknown outcome // databases of which it is not known what they need
}

func (c *change) plan(before document, turn *Turn) plan {
	p := plan{mine: set{}, base: set{}, unknown: outcome{}}
	for _, n := range c.needs {
		permissions, err := n.permissions(c.policy.of)
		if err != nil {
			p.unknown[n.name] = err
			continue
		}
		p.wants = append(p.wants, want{n.name, permissions})
		p.mine.add(permissions)
	}
	if c.keepOwn || len(p.unknown) > 0 { // what is not known may be what was noted
		p.mine.add(turn.Own)
	}
	others, noted := setOf(turn.Others), setOf(turn.Own, turn.Left)
	for permission := range before.has {
		if p.mine[permission] || others[permission] || !noted[permission] {
			p.base[permission] = true
		}
	}
	return p
}

// write writes the policy, as much of it as there is room for, and returns what it has then. full is what IAM said of the
// room, or nil.
func (c *change) write(ctx context.Context, turn *Turn, before document, p plan) (now set, full, err error) {
	fitting := c.fit(before, p)
	low, high, try := -1, len(fitting)+1, len(fitting) // with so many it was written; with so many it was not
	intent := Change{Policy: c.policy.name, Adds: added(before.has, fitting), Drops: before.has.without(p.base)}
	if len(intent.Adds)+len(intent.Drops) > 0 {
		if _, err := c.ledger.Begin(ctx, turn.Identity, intent); err != nil { // recorded and noted before it is done
			return nil, nil, err
		}
	}
	for now = before.has; ; try = (low + high) / 2 {
		next := maps.Clone(p.base)
		for _, w := range fitting[:try] {
			next.add(w.permissions)
		}
		err := c.put(ctx, before, now, next)
		if limit, ok := errors.AsType[*types.LimitExceededException](err); ok {
			// The identity's other inline policies take room, too, and nothing tells how much.
			high, full = try, limit
		} else if err != nil {
			return nil, nil, c.policy.explain(err)
		} else {
			low, now = try, next
		}
		if high-low <= 1 {
			return now, full, nil
		}
	}
}

// fit returns the wants for which there is room if the identity has no other inline policies.
func (c *change) fit(before document, p plan) []want {
	var fitting []want
	has, limit := maps.Clone(p.base), c.policy.of.limit()
	size := before.render(has).Size()
	for _, w := range p.wants {
		if !has.has(w.permissions) {
			fresh := added(has, []want{w})
			if size+least(fresh) > limit {
				continue
			}
			has.add(fresh)
			more := before.render(has).Size()
			if more > limit {
				for _, permission := range fresh {
					delete(has, permission)
				}
				continue
			}
			size = more
		}
		fitting = append(fitting, w)
	}
	return fitting
}

// least is what permissions take at the least: each a string in a list.
func least(all []Permission) int {
	size := 0
	for _, p := range all {
		size += len(p.Resource) + len(`"",`)
	}
	return size
}

// added returns the permissions that are wanted and not there.
func added(has set, wants []want) []Permission {
	fresh := set{}
	for _, w := range wants {
		for _, p := range w.permissions {
			if !has[p] {
				fresh[p] = true
			}
		}
	}
	return fresh.sorted()
}

// put replaces what the policy has, unless that is the same.
func (c *change) put(ctx context.Context, d document, has, next set) error {
	if len(has) == len(next) && has.has(next.sorted()) {
		return nil
	}
	if d.empty(next) {
		if err := c.policy.delete(ctx); err != nil {
			return err
		}
	} else if err := c.policy.put(ctx, d.render(next).Compact()); err != nil {
		return err
	}
	c.logger.Info("IAM policy was changed", "identity", c.policy.of.arn, "policy", c.policy.name, "permissions", len(next), "before", len(has))
	return nil
}

// noRoom says that a policy has no room for a database. full is what IAM said, if it did.
func (c *change) noRoom(full error) error {
	h := c.policy.of
	said := ""
	if limit, ok := errors.AsType[*types.LimitExceededException](full); ok {
		said = " (LimitExceeded: " + limit.ErrorMessage() + ")"
	}
	other := "divide the databases among several roles with assume_role_arn"
	if !h.isRole() {
		other = "run the agent as a role, which has room for five times as much, or " + other
	}
	return fault.New(fault.LimitExceeded, "the inline policies of the %s may have %d characters together, and there is no room for this database%s; %s, or allow the databases by wildcards in a managed policy", h, h.limit(), said, other)
}
