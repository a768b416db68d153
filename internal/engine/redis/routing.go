package redis

import (
	"strings"

	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// chooseNode has a command for a cluster go to the node that executes it. It reports true when that has all been done: where it is for
// every node, or for none.
func (r *relay) chooseNode(c *command, size int) (done bool, err error) {
	if r.cluster == nil {
		return false, nil
	}
	if c.role == multi && r.fromClient.pinned == nil && !r.fromClient.multi {
		return true, r.holdMulti(size)
	}
	slot, no := slotOfAll(c, r.parser.Args)
	r.fromClient.slot = slot
	if no == nil && slot < 0 {
		no = r.keylessRefusal(c)
	}
	switch {
	case no != nil:
		return true, r.refuse(no, size)
	case slot < 0 && c.cluster.every != nil:
		return true, r.onEveryNode(c, size)
	}
	no, err = r.route(c, slot)
	if fault.Is(err, fault.ConnectionProblem) && r.ctx.Err() == nil {
		no, err = refuse(codeError, "%s", fault.Message(err)), nil
	}
	if err != nil || no == nil {
		return false, err
	}
	return true, r.refuse(no, size)
}

// slotOfAll returns the slot that all keys of a command belong to, -1 if it has none, and a refusal if they belong to several.
func slotOfAll(c *command, args [][]byte) (slot int, no *refusal) {
	slot = -1
	for _, place := range keysOf(c, args) {
		switch s := slotOf(args[place]); {
		case slot < 0:
			slot = s
		case s != slot:
			return 0, refuse(codeCrossSlot, "Keys in request don't hash to the same slot of the cluster: use one command for each, or put the same {tag} into the keys")
		}
	}
	return slot, nil
}

// keylessRefusal returns why a command without keys cannot be in a cluster, or nil.
func (r *relay) keylessRefusal(c *command) *refusal {
	const instead = "and this database is a cluster; a database whose uri names the node, with mode=standalone, is the place for it"
	name := strings.ToUpper(c.name)
	switch {
	case c.admin:
		return refuse(codeError, "%s %s, %s", name, actsOnOne, instead)
	case c.cluster.no != "":
		return refuse(codeError, "%s %s, %s", name, c.cluster.no, instead)
	case c.cluster.every != nil && r.fromClient.multi:
		return refuse(codeError, "%s is for all nodes of the cluster, and is not passed on within MULTI", name)
	}
	return nil
}

// route has a command go to the node that has its slot, which is below 0 if it has no keys. It returns why it cannot go to any.
func (r *relay) route(c *command, slot int) (*refusal, error) {
	f := &r.fromClient
	target := f.current
	if slot >= 0 {
		err := r.locate(c, slot)
		if err != nil {
			return nil, err
		}
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
	case c.cluster.home && slot < 0 && !f.multi:
		target = r.server
	case f.pinned != nil && slot < 0:
		target = f.pinned
	case f.pinned != nil && target != f.pinned && f.keyless:
		return refuse(codeCrossSlot, "The first command of a transaction chooses the node of the cluster, and had no key: put one with a key before it"), nil
	case f.pinned != nil && target != f.pinned:
		return refuse(codeCrossSlot, "Keys of a transaction must belong to the same slot of the cluster: put the same {tag} into them"), nil
	}
	switch {
	case c.name == "watch", f.multi:
		f.keyless = slot < 0 && (f.pinned == nil || f.keyless)
		f.pinned = target
	case c.name == "unwatch":
		f.pinned = nil
	}
	if err := r.turnTo(target); err != nil {
		return nil, err
	}
	return nil, r.beginMulti(c)
}

// locate finds out where a slot is, if that is not known, before a script is sent there, whose redirections are not to be relied on: by a command
// of ours that does nothing. An account that may not use that has its scripts go to the seed.
func (r *relay) locate(c *command, slot int) error {
	key := r.parser.Args[keysOf(c, r.parser.Args)[0]]
	if !c.scripted() || r.fromClient.multi || len(key) > maxAskedKey || r.cluster.knows(slot) {
		return nil
	}
	if err := r.turnTo(r.server); err != nil {
		return err
	}
	if err := r.settled(); err != nil {
		return err
	}
	answer, err := r.askServer(ordinary, "EXISTS", string(key))
	if err != nil {
		return err
	}
	to := redirection{slot: slot, address: r.server.address}
	if answer[0] == resp.Error {
		var ok bool
		if to, ok = parseRedirection([]byte(answer[1:]), r.server.address); !ok {
			return nil
		}
	}
	r.cluster.believe(to, slot, false)
	return nil
}

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
	f := &r.fromClient
	f.multi, f.dirty, f.multiHeld = true, false, true
	return r.answerHere(size, resp.AppendSimple(nil, "OK"))
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
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(answer, "-"+codeNoPerm):
		return fault.New(fault.AccessDenied, "the database refuses the account MULTI (%s), and it was answered already; have the account be given +multi, or go without transactions", answer[1:])
	case answer != "+OK":
		return desynchronised("%q in answer to MULTI", answer)
	}
	return nil
}
