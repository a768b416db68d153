package postgres

// names is what one kind of name stands for: as far as the database has confirmed it, and as far as the client
// has asked for it since.
//
// A client may send many messages ahead. Up to the next Sync each of them takes the success of the ones before
// it for granted, because the database skips them otherwise. What stands behind that Sync does not.
type names[T any] struct {
	settled map[string]known[T]
	pending map[string]definition[T] // the last one for each name
	doubts  int64                    // how often all settled names became doubtful
	touched int64                    // id of the last request under way that may redefine names; 0 for none
}

// known is what the database has confirmed that a name stands for.
type known[T any] struct {
	value  T
	doubts int64 // when it did
}

// definition is a change of a name's meaning that the database has not answered.
type definition[T any] struct {
	value   T     // zero when the name is closed
	segment int64 // the number of Syncs before it
	id      int64 // tells definitions of one name apart
}

// meaning is what a name stands for, as far as that can be known.
type meaning[T any] struct {
	value     T    // zero for nothing that we know
	uncertain bool // SQL may have given the name another meaning since
}

// lookUp returns what a name means for a message of the segment; wait is set when that depends on an answer which
// is still to come.
func (n *names[T]) lookUp(name []byte, segment int64) (m meaning[T], wait bool) {
	if d, ok := n.pending[string(name)]; ok {
		return meaning[T]{value: d.value}, d.segment != segment || d.id < n.touched
	}
	k := n.settled[string(name)]
	return meaning[T]{k.value, k.doubts != n.doubts}, n.touched != 0
}

func (n *names[T]) define(name string, d definition[T]) {
	if n.pending == nil {
		n.pending = make(map[string]definition[T])
	}
	n.pending[name] = d
}

// settle makes a definition the truth, and returns what it replaces.
func (n *names[T]) settle(name string, id int64, value T) (old T) {
	n.forget(name, id)
	if n.settled == nil {
		n.settled = make(map[string]known[T])
	}
	old = n.settled[name].value
	n.settled[name] = known[T]{value, n.doubts}
	return old
}

// doubt makes all settled names uncertain, until they are defined again.
func (n *names[T]) doubt() { n.doubts++ }

// touch notes that a request may redefine names, and lift that it was answered.
func (n *names[T]) touch(id int64) { n.touched = id }

func (n *names[T]) lift(id int64) {
	if n.touched == id {
		n.touched = 0
	}
}

// forget drops a definition that the database did not accept.
func (n *names[T]) forget(name string, id int64) {
	if d, ok := n.pending[name]; ok && d.id == id {
		delete(n.pending, name)
	}
}

// drop removes a settled name, and returns what it stood for.
func (n *names[T]) drop(name string) (old T) {
	old = n.settled[name].value
	delete(n.settled, name)
	return old
}

func (n *names[T]) count() int { return len(n.settled) + len(n.pending) }

// find returns what a name means for the next message. When that depends on answers to earlier messages it waits
// for them.
func find[T any](r *relay, n *names[*T], name []byte) (meaning[*T], error) {
	r.mu.Lock()
	found, wait := n.lookUp(name, r.segment)
	r.mu.Unlock()
	if !wait {
		return found, nil
	}
	err := r.await(func() bool {
		found, wait = n.lookUp(name, r.segment)
		return !wait
	})
	return found, err
}
