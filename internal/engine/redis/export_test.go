package redis

import (
	"context"
	"net"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/inbox"
	"sallyport/internal/session"
)

// Relay runs the part of a session behind the login, which opened the account with the password.
func (e *Engine) Relay(ctx context.Context, client, server net.Conn, s *session.Session, up *session.Upstream, password string) error {
	v := &visit{engine: e, client: client, session: s, in: inbox.New(&e.buffers), account: up.User, password: password}
	defer v.in.Release()
	b := &backend{conn: server, in: inbox.New(&e.buffers), up: up}
	defer b.in.Release()
	return newRelay(ctx, v, b).run()
}

// ClusterRules returns the commands that may come without keys and have no rule for clusters, and rules for what is no command.
func ClusterRules() (undecided, unknown []string) {
	left := make(map[string]bool)
	for name := range clusterRules {
		left[name] = true
	}
	var look func(table map[string]*command)
	look = func(table map[string]*command) {
		for _, c := range table {
			look(c.sub)
			hasRole := c.role != ordinary && c.role != scriptLoad
			if !left[c.name] && !c.admin && !hasRole && len(c.keys) == 0 {
				undecided = append(undecided, c.name)
			}
			delete(left, c.name)
		}
	}
	look(newTable())
	for name := range left {
		unknown = append(unknown, name)
	}
	slices.Sort(undecided)
	return undecided, unknown
}

// Record returns what is recorded of a command's arguments.
func Record(args [][]byte) string {
	return string(RecordOf(args).Query)
}

// RecordOf returns the record of a command's arguments.
func RecordOf(args [][]byte) *audit.DatabaseQuery {
	var c reading
	c.read(args, lenOf(args))
	return new(recorder).query(&c)
}

// SlotOf returns the slot of a key.
func SlotOf(key string) int { return slotOf([]byte(key)) }

// Look has a relay look at a command that was sent as so many bytes, whose room comes from the budget.
func Look(ctx context.Context, budget *engine.Budget, args [][]byte, sent int) error {
	r := &relay{visit: &visit{}, ctx: ctx}
	r.parser.Args = args
	r.fromClient.share = budget.Share("reader", func(error) {})
	return r.look(sent)
}
