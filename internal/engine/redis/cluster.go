package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/session"
)

const (
	maxHeld  = 1 << 20 // bytes of copies of commands that may have to be sent to another node
	maxNodes = 1_000

	maxAskedKey = 1 << 10 // bytes of a key that we ask for
)

// cluster is what a relay knows of the cluster that it is before. To the client it looks like one server.
//
// Commands are sent to one node at a time: before another node gets one, all so far are answered. So replies come in
// order, and only a command that is redirected is sent again.
type cluster struct {
	seed string // address of the node that was reached first

	share *engine.Share // of the budget for large commands, for replies that are kept

	mu    sync.Mutex // held while a node is dialled
	slots slotMap    // guarded by mu
	nodes map[string]*node
}

// joinCluster learns which node has which slots. An account that may not ask learns it by being redirected.
func joinCluster(ctx context.Context, b *backend, address string) (*cluster, error) {
	values, err := b.ask(ctx, []string{"CLUSTER", "SLOTS"})
	if err != nil {
		return nil, err
	}
	c := &cluster{seed: address, nodes: make(map[string]*node)}
	answer := &values[0]
	if answer.IsError() && !strings.HasPrefix(answer.Text, codeNoPerm) {
		return nil, &refusedLogin{reply: fmt.Sprintf("ERR the uri of the database says mode=cluster, and it is none: %s", answer.Text)}
	}
	c.slots = parseSlots(answer, address)
	return c, nil
}

// at returns the connection to a node, and opens one if there is none.
func (r *relay) at(address string) (*node, error) {
	c := r.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.nodes[address]; ok {
		return n, nil
	}
	if len(c.nodes) >= maxNodes {
		return nil, desynchronised("more than %d nodes", maxNodes)
	}
	up, err := r.session.DialMember(r.ctx, address)
	if err != nil {
		return nil, err
	}
	n, err := r.open(address, up)
	if err != nil {
		_ = up.Conn.Close()
		return nil, err
	}
	c.nodes[address] = n
	r.start(n)
	return n, nil
}

// nodeOf returns the node that has a slot, as far as is known.
func (r *relay) nodeOf(slot int) (*node, error) {
	r.cluster.mu.Lock()
	address := r.cluster.slots.node(slot)
	r.cluster.mu.Unlock()
	if address == "" {
		address = r.cluster.seed
	}
	return r.at(address)
}

// knows reports whether it is known which node has a slot.
func (c *cluster) knows(slot int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots.node(slot) != ""
}

// believe reports whether a redirection of a command with keys of a slot can be the cluster's own, and notes where the slot is. What a
// script may have said leads to nodes that the cluster has named before: whoever may use scripts could have the agent connect to any
// address otherwise.
func (c *cluster) believe(to redirection, slot int, scripted bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case scripted && to.address != c.seed && !c.slots.members[to.address]:
		if slot >= 0 {
			c.slots.note(slot, "") // it is asked for before the next script
		}
		return false
	case slot != to.slot:
		return slot < 0 && scripted
	}
	c.slots.addMember(to.address)
	if !to.ask {
		c.slots.note(slot, to.address)
	}
	return true
}

// closeNodes closes the connections to all nodes but the first, when nothing uses them any more.
func (r *relay) closeNodes() {
	if r.cluster == nil {
		return
	}
	for _, n := range r.cluster.nodes {
		if n != r.server {
			_ = n.up.Conn.Close()
			n.in.Release()
		}
	}
}

// open logs in at a node as at the first.
func (r *relay) open(address string, up *session.Upstream) (*node, error) {
	b, err := connect(r.ctx, r.engine, up)
	if err != nil {
		return nil, err
	}
	secret, err := r.secret(r.ctx, up)
	if err != nil {
		return nil, err
	}
	if err := b.authenticate(r.ctx, up.User, secret); err != nil {
		return nil, err
	}
	if version := r.proto.Load(); version != 2 {
		if _, err := b.ask(r.ctx, []string{"HELLO", fmt.Sprint(version)}); err != nil {
			return nil, err
		}
	}
	return &node{relay: r, backend: b, address: address}, nil
}

// behindHello has all nodes speak the version of the protocol that a HELLO has led to, which asked for one if that is not 0.
func (r *relay) behindHello(asked byte) error {
	if r.cluster == nil || asked == 0 {
		return nil
	}
	if err := r.settled(); err != nil {
		return err
	}
	return r.tellOthers(hello, []string{"HELLO", fmt.Sprint(r.proto.Load())})
}

// tellOthers sends commands to all nodes but the one in use: what the client has just said of its connection is not
// known there.
func (r *relay) tellOthers(role role, commands ...[]string) error {
	if r.cluster == nil {
		return nil
	}
	if err := r.settled(); err != nil {
		return err
	}
	f := &r.fromClient
	current := f.current
	defer func() { f.current = current }()
	r.cluster.mu.Lock()
	others := slices.Collect(maps.Values(r.cluster.nodes))
	r.cluster.mu.Unlock()
	for _, n := range others {
		if n == current {
			continue
		}
		f.current = n
		for _, c := range commands {
			answer, err := r.askServer(role, c...)
			if err == nil && answer[0] == resp.Error {
				err = fault.New(fault.ConnectionProblem, "the node at %s refused %s, which another accepted; connect again", n.address, c[0])
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
