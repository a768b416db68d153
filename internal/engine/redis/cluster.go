package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"sallyport/internal/audit"
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
	"sallyport/internal/session"
)

const (
	maxRedirections = 5
	maxHeld         = 16 << 20 // bytes of commands that may have to be sent to another node
	maxNodes        = 1_000
)

// cluster is what a relay knows of the cluster that it is before. To the client it looks like one server.
//
// Commands are sent to one node at a time: before another node gets one, all so far are answered. So replies come in
// order, and only a command that is redirected is sent again.
type cluster struct {
	seed string // address of the node that was reached first

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

// follow sends a command again, to the node that the reply names, and waits until that has answered. It reports false
// for a reply that is not to be followed. Size is what the reply has of the input.
func (n *node) follow(reply *resp.Reply, size int) (bool, error) {
	to, ok := parseRedirection(reply.Text, n.address)
	if !ok {
		return false, nil
	}
	if !to.ask {
		n.cluster.mu.Lock()
		n.cluster.slots.learn(to.slot, to.address)
		n.cluster.mu.Unlock()
	}
	other, message, err := n.mayFollow(to)
	if message == nil {
		return false, err
	}
	if err := n.send(); err != nil {
		return true, err
	}
	n.in.Scanned += size
	n.in.Start = n.in.Scanned
	n.bytes = 0
	return true, n.sendAgain(to, other, message)
}

// mayFollow returns the command to send again, and the node that it is to be sent to; nothing if the redirection is not to be
// followed, as one to a node that waits for the outcome itself.
func (n *node) mayFollow(to redirection) (other *node, message []byte, err error) {
	may := func() *request {
		q := n.requests.first()
		if q == nil || q.own || q.sent == nil || q.redirected >= maxRedirections || n.fromServer.inMulti {
			return nil
		}
		return q
	}
	n.mu.Lock()
	q := may()
	n.mu.Unlock()
	if q == nil {
		return nil, nil, nil
	}
	if other, err = n.at(to.address); err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if q = may(); q == nil || other == n || other.waits {
		return nil, nil, nil
	}
	q.redirected++
	n.waits = true
	return other, q.sent, nil
}

func (n *node) sendAgain(to redirection, other *node, message []byte) error {
	n.mu.Lock()
	answered := n.answers + 1
	if to.ask {
		n.requests.pushFront(request{own: true, answer: make(chan string, 1)})
		n.owns++
		answered++
		message = append(resp.AppendCommand(nil, "ASKING"), message...)
	}
	n.mu.Unlock()
	n.fallSilent()
	defer n.speak()
	if _, err := other.conn.Write(message); err != nil {
		return engine.HungUp(err)
	}
	err := n.wait(func() bool { return n.answers >= answered })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waits = false
	return err
}

// route has a command go to the node that has its keys. It returns why it cannot go to any.
func (r *relay) route(c *command, args [][]byte) (*refusal, error) {
	if oneNodeOnly[c.name] {
		return refuse(codeError, "%s tells of one node only, and this database is a cluster; it is not available here", strings.ToUpper(c.name)), nil
	}
	f := &r.fromClient
	target := f.current
	slot := -1
	for _, place := range keysOf(c, args) {
		switch s := slotOf(args[place]); {
		case slot < 0:
			slot = s
		case s != slot:
			return refuse(codeCrossSlot, "Keys in request don't hash to the same slot of the cluster: use one command for each, or put the same {tag} into the keys"), nil
		}
	}
	if slot >= 0 {
		var err error
		if target, err = r.nodeOf(slot); err != nil {
			return nil, err
		}
	}
	switch {
	case c.role == subscribe && slot < 0:
		if f.listening == nil {
			f.listening = target
		}
		target = f.listening
	case f.pinned != nil && slot < 0:
		target = f.pinned
	case f.pinned != nil && target != f.pinned:
		return refuse(codeCrossSlot, "Keys of a transaction must belong to the same slot of the cluster: put the same {tag} into them"), nil
	}
	switch {
	case c.name == "watch", f.multi:
		f.pinned = target
	case c.name == "unwatch":
		f.pinned = nil
	}
	if err := r.turnTo(target); err != nil {
		return nil, err
	}
	return nil, r.beginMulti(c)
}

// oneNodeOnly are commands whose answer would be wrong, because each node knows only its own part.
var oneNodeOnly = map[string]bool{"dbsize": true, "keys": true, "scan": true, "flushall": true, "flushdb": true, "randomkey": true, "swapdb": true}

// turnTo has the commands to come go to a node.
func (r *relay) turnTo(target *node) error {
	if target == r.fromClient.current {
		return nil
	}
	if err := r.settled(); err != nil {
		return err
	}
	r.fromClient.current = target
	return nil
}

// holdMulti answers MULTI here: only the keys to come tell where the transaction is to be.
func (r *relay) holdMulti(size int) error {
	event := r.record.query(r.parser.Args)
	began := r.engine.cfg.Now()
	index, err := r.recordNow(event)
	if err != nil {
		return err
	}
	if err := r.sendToServer(); err != nil {
		return err
	}
	r.drop(size)
	result := &audit.DatabaseResult{Status: audit.Status{Success: true}, Statement: index, Rows: 1, Duration: r.engine.cfg.Now().Sub(began)}
	if _, err := r.session.Record(r.ctx, result); err != nil {
		return err
	}
	f := &r.fromClient
	f.multi, f.dirty, f.multiHeld = true, false, true
	return r.reply(resp.AppendSimple(nil, "OK"))
}

// beginMulti begins the transaction that was held, on the node that the next command goes to.
func (r *relay) beginMulti(c *command) error {
	f := &r.fromClient
	if !f.multiHeld || c.role == reset {
		return nil
	}
	f.multiHeld = false
	if err := r.sendToServer(); err != nil {
		return err
	}
	answer, err := r.askServer(multi, "MULTI")
	if err == nil && answer != "+OK" {
		err = desynchronised("%q in answer to MULTI", answer)
	}
	return err
}

// open logs in at a node as at the first.
func (r *relay) open(address string, up *session.Upstream) (*node, error) {
	b, err := connect(r.ctx, r.engine, up)
	if err != nil {
		return nil, err
	}
	if err := b.authenticate(r.ctx, up.User, r.password); err != nil {
		return nil, err
	}
	if version := r.proto.Load(); version != 2 {
		if _, err := b.ask(r.ctx, []string{"HELLO", fmt.Sprint(version)}); err != nil {
			return nil, err
		}
	}
	return &node{relay: r, backend: b, address: address}, nil
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
