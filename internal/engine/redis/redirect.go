package redis

import (
	"sallyport/internal/engine"
	"sallyport/internal/engine/redis/resp"
)

const maxRedirections = 5

// follow sends a command again, to the node that the reply names, and waits until that has answered. It reports false
// for a reply that is not to be followed. The reply is the next size bytes of the input.
func (n *node) follow(reply *resp.Reply, size int) (bool, error) {
	to, ok := parseRedirection(reply.Text, n.address)
	if !ok || !n.believe(to) {
		return false, nil
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

// believe reports whether the redirection that answers the next request can be the cluster's own.
func (n *node) believe(to redirection) bool {
	n.mu.Lock()
	q := n.requests.First()
	if q == nil || q.own {
		n.mu.Unlock()
		return false
	}
	slot, scripted := q.slot, q.scripted
	n.mu.Unlock()
	return n.cluster.believe(to, slot, scripted)
}

// mayFollow returns the command to send again, and the node that it is to be sent to; nothing if the redirection is not to be
// followed, as one to a node that waits for the outcome itself.
func (n *node) mayFollow(to redirection) (other *node, message []byte, err error) {
	may := func() *request {
		q := n.requests.First()
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
	var asking []byte
	if to.ask {
		n.requests.PushFront(request{own: true, to: other, answer: make(chan string, 1)})
		n.owns++
		answered++
		asking = resp.AppendCommand(nil, "ASKING")
	}
	n.mu.Unlock()
	n.unlockClient()
	defer n.lockClient()
	for _, part := range [][]byte{asking, message} { // which may be large
		if _, err := other.conn.Write(part); err != nil {
			return engine.HungUp(err)
		}
	}
	err := n.wait(func() bool { return n.answers >= answered })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waits = false
	return err
}
