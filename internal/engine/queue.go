package engine

import "slices"

// Queue holds the requests of a client in the order in which they are answered. The zero value is empty. It is not safe for
// concurrent use. What is returned by reference is valid until the next change.
type Queue[T any] struct {
	items []T
	head  int
}

// KeptRequests is the room, in requests, that an idle session may keep.
const KeptRequests = 64

// Len returns how many requests wait.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Push puts a request behind all others.
func (q *Queue[T]) Push(r T) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, r)
}

// PushFront puts a request before all others.
func (q *Queue[T]) PushFront(r T) {
	if q.head == 0 {
		q.items = slices.Insert(q.items, 0, r)
		return
	}
	q.head--
	q.items[q.head] = r
}

// Pop takes the request that is answered next. There must be one.
func (q *Queue[T]) Pop() T {
	var none T
	r := q.items[q.head]
	q.items[q.head] = none
	if q.head++; q.head == len(q.items) {
		if q.items, q.head = q.items[:0], 0; cap(q.items) > KeptRequests {
			q.items = nil
		}
	}
	return r
}

// First returns the request that is answered next, or nil.
func (q *Queue[T]) First() *T {
	if q.Len() == 0 {
		return nil
	}
	return &q.items[q.head]
}

// Last returns the request that came last, or nil.
func (q *Queue[T]) Last() *T {
	if q.Len() == 0 {
		return nil
	}
	return &q.items[len(q.items)-1]
}

// Waiting returns all requests.
func (q *Queue[T]) Waiting() []T { return q.items[q.head:] }

// Truncate forgets all but the first n requests.
func (q *Queue[T]) Truncate(n int) {
	clear(q.items[q.head+n:])
	q.items = q.items[:q.head+n]
}

// TakeAll returns all requests and forgets them.
func (q *Queue[T]) TakeAll() []T {
	all := slices.Clone(q.Waiting())
	*q = Queue[T]{}
	return all
}
