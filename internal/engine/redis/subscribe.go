package redis

import "sallyport/internal/engine/redis/resp"

// allChannels stands for the number of answers to an UNSUBSCRIBE without names: one for each channel, or one if there
// is none.
const allChannels = -1

func isUnsubscribe(names byte) bool { return names >= 'A' && names <= 'Z' }

// subscriptions are how many channels of each kind the client has subscribed to.
type subscriptions struct {
	channels, patterns int64
	shards             int64
}

func (s *subscriptions) any() bool { return s.channels+s.patterns+s.shards > 0 }

// confirmed notes a confirmation, which tells how many there are now. Channels and patterns are counted together.
func (s *subscriptions) confirmed(names byte, count int64) {
	switch names {
	case 'c', 'C':
		s.channels = max(count-s.patterns, 0)
	case 'p', 'P':
		s.patterns = max(count-s.channels, 0)
	case 's', 'S':
		s.shards = max(count, 0)
	}
}

// of returns how many there are that an unsubscription without names ends.
func (s *subscriptions) of(names byte) int64 {
	switch names {
	case 'C':
		return s.channels
	case 'P':
		return s.patterns
	default:
		return s.shards
	}
}

// unasked deals with what is not the whole reply to the next command: messages of subscriptions and the like, and
// confirmations.
func (n *node) unasked(reply *resp.Reply) (bool, error) {
	isPush := reply.Type == resp.Push
	if !isPush && (reply.Type != resp.Array || n.proto.Load() != 2) {
		return false, nil
	}
	names, isConfirmation := channels[string(reply.Head)]
	switch {
	case isConfirmation:
		return n.confirmed(names, reply, isPush)
	case isPush:
		return true, nil
	default:
		return n.subscribed.any() && isMessage(reply.Head), nil
	}
}

func isMessage(head []byte) bool {
	switch string(head) {
	case "message", "pmessage", "smessage":
		return true
	}
	return false
}

// confirmed attributes a confirmation. It may come unasked: a shard channel moves away with its slot.
func (n *node) confirmed(names byte, reply *resp.Reply, isPush bool) (bool, error) {
	n.mu.Lock()
	q := n.requests.First()
	asked := q != nil && q.role == subscribe && q.names == names
	if !asked {
		n.mu.Unlock()
		if isPush || n.subscribed.any() {
			n.confirm(names, reply.Last)
			return true, nil
		}
		return false, nil // an array that looks like one
	}
	if q.expect == allChannels {
		q.expect = int(max(n.subscribed.of(names), 1))
	}
	q.expect--
	done := q.expect <= 0
	var finished request
	if done {
		finished = n.pop()
	}
	n.mu.Unlock()
	n.confirm(names, reply.Last)
	if !done {
		return true, nil
	}
	return true, n.recordOutcome(&finished, "", 1, 0)
}

// confirm notes a confirmation, for the other goroutines too.
func (n *node) confirm(names byte, count int64) {
	n.subscribed.confirmed(names, count)
	n.listening.Store(n.subscribed.any())
}

// unsubscribeAll notes that RESET has ended all subscriptions.
func (n *node) unsubscribeAll() {
	n.subscribed = subscriptions{}
	n.listening.Store(false)
}
