package engine_test

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"sallyport/internal/engine"
)

const kib = 1 << 10

func TestRoom(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		others map[string]int // what other sessions keep, by their users; "me" is the user of the session that is looked at
		keep   []int
		want   []bool
		bytes  int
	}{
		{"what fits is kept", nil, []int{100 * kib, 100 * kib}, []bool{true, true}, 200 * kib},
		{"what does not fit is not counted", nil, []int{2000 * kib, 100 * kib}, []bool{false, true}, 100 * kib},
		{"all that a user may have can be taken, beside what is free", nil, []int{1088 * kib, 1}, []bool{true, false}, 1088 * kib},
		{"what the user's other sessions keep is missing", map[string]int{"me": 1000 * kib}, []int{200 * kib}, []bool{false}, 0},
		{"beside a user who has all of that a user may have half of what is left", map[string]int{"a": 1088 * kib}, []int{576 * kib, 1}, []bool{true, false}, 576 * kib},
		{"some is left however many have taken what they can", map[string]int{"a": 1088 * kib, "b": 576 * kib, "c": 320 * kib}, []int{192 * kib, 1}, []bool{true, false}, 192 * kib},
		{"a little is free for each", map[string]int{"me": 1088 * kib}, []int{64 * kib, 1}, []bool{true, false}, 64 * kib},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			room := engine.NewRoom(2048 * kib)
			var others []engine.Kept
			for _, user := range slices.Sorted(maps.Keys(c.others)) {
				other := room.Kept(user)
				if !other.Add(c.others[user]) {
					t.Fatal("the other found no room")
				}
				others = append(others, other)
			}
			kept := room.Kept("me")
			for i, n := range c.keep {
				if got := kept.Add(n); got != c.want[i] {
					t.Errorf("%d bytes more: %v", n, got)
				}
			}
			if kept.Bytes() != c.bytes {
				t.Errorf("%d bytes are kept, want %d", kept.Bytes(), c.bytes)
			}
			for _, other := range others {
				other.RemoveAll()
			}
			kept.RemoveAll()
			wantAll(t, room)
		})
	}
}

// wantAll checks that all of the room of TestRoom is there.
func wantAll(t *testing.T, room *engine.Room) {
	t.Helper()
	for _, user := range []string{"me", "a"} {
		all := room.Kept(user)
		if !all.Add(1088*kib) || all.Add(1) {
			t.Errorf("there is not as much room for %s as in the beginning", user)
		}
		all.RemoveAll()
	}
}

func TestRoomIsGivenBackInSteps(t *testing.T) {
	t.Parallel()
	room := engine.NewRoom(2048 * kib)
	kept, other := room.Kept("me"), room.Kept("me")
	for range 1088 {
		if !kept.Add(kib) {
			t.Fatal("there is no room")
		}
	}
	if other.Add(65 * kib) {
		t.Error("there is room for another")
	}
	for range 64 {
		kept.Remove(kib)
	}
	if !other.Add(65 * kib) {
		t.Error("what was removed is not free")
	}
}

func TestWhatIsOwedIsMissingLater(t *testing.T) {
	t.Parallel()
	room := engine.NewRoom(2048 * kib)
	kept, other := room.Kept("me"), room.Kept("me")
	kept.Owe(2048 * kib)
	if kept.Bytes() != 2048*kib || kept.Add(kib) || other.Add(100*kib) {
		t.Error("there is room in spite of the debt")
	}
	kept.Remove(900 * kib)
	if other.Add(100 * kib) {
		t.Error("there is room before all of the debt is paid")
	}
	kept.Remove(1148 * kib)
	wantAll(t, room)
}

// TestRoomOfMany has sessions keep and forget at the same time.
func TestRoomOfMany(t *testing.T) {
	t.Parallel()
	room := engine.NewRoom(2048 * kib)
	var sessions sync.WaitGroup
	for range 8 {
		sessions.Go(func() {
			kept := room.Kept("me")
			defer kept.RemoveAll()
			for range 1000 {
				if !kept.Add(150 * kib) {
					kept.RemoveAll()
				}
			}
		})
	}
	sessions.Wait()
	wantAll(t, room)
}
