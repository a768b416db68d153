package engine_test

import (
	"slices"
	"testing"

	"sallyport/internal/engine"
)

// TestQueue does the same to a queue and to a list, in all ways and long enough that its room is used again.
func TestQueue(t *testing.T) {
	t.Parallel()
	var q engine.Queue[int]
	var want []int
	for i := range 5000 {
		switch {
		case i%7 == 3:
			q.PushFront(i)
			want = slices.Insert(want, 0, i)
		case i%5 == 4 && len(want) > 0:
			if got := q.Pop(); got != want[0] {
				t.Fatalf("step %d: %d came out, want %d", i, got, want[0])
			}
			want = want[1:]
		case i%997 == 996:
			q.Truncate(len(want) / 2)
			want = want[:len(want)/2]
		case i%1999 == 1998:
			if got := q.TakeAll(); !slices.Equal(got, want) {
				t.Fatalf("step %d: all are %v, want %v", i, got, want)
			}
			want = nil
		case i/500%2 == 1 && len(want) > 0: // it runs empty now and then
			q.Pop()
			want = want[1:]
		default:
			q.Push(i)
			want = append(want, i)
		}
		if !slices.Equal(q.Waiting(), want) || q.Len() != len(want) {
			t.Fatalf("step %d: %v wait, want %v", i, q.Waiting(), want)
		}
		if first, last := q.First(), q.Last(); (first == nil) != (len(want) == 0) || first != nil && (*first != want[0] || *last != want[len(want)-1]) {
			t.Fatalf("step %d: the first is %v and the last %v of %v", i, first, last, want)
		}
	}
}
