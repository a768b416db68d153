package cancelkey

import "slices"

// kept is how many requests a session remembers: clients ask once or twice at a time, and the same request comes by way of each
// proxy, in any order.
const kept = 16

// Recent are the last requests that showed a session's key. The zero value has seen none; it is not safe for concurrent use.
type Recent struct {
	ids  [kept]ID
	next int
}

// Seen notes a request and reports whether it came before, by way of another proxy. Requests without an id are never the same.
func (r *Recent) Seen(id ID) bool {
	if id == (ID{}) {
		return false
	}
	if slices.Contains(r.ids[:], id) {
		return true
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % kept
	return false
}
