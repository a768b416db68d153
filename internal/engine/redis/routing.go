package redis

import (
	"strings"

	"sallyport/internal/engine/redis/resp"
)

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
	if err == nil && answer != "+OK" {
		err = desynchronised("%q in answer to MULTI", answer)
	}
	return err
}
