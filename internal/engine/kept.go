package engine

import "sync"

// keptStep is how many bytes a session takes at a time. As much is free for each: who keeps no more than that is in nobody's
// way, and works also when others have taken all the room.
const keptStep = 64 << 10

// Room bounds the bytes that all sessions of an engine together keep beyond a command, such as the texts of prepared
// statements. The sessions of one user may have as much as they leave to others: alone half of all, a third beside another user
// who has that too, and so on, so that however many take what they can, who comes new finds some. Nobody waits for it, since it
// may never be given back: what finds none is refused. It is safe for concurrent use.
type Room struct {
	mu    sync.Mutex
	left  int64            // guarded by mu
	taken map[string]int64 // by user; guarded by mu
}

// NewRoom returns room for so many bytes, 0 meaning 512 MiB.
func NewRoom(bytes int) *Room {
	if bytes == 0 {
		bytes = 512 << 20
	}
	return &Room{left: int64(bytes), taken: make(map[string]int64)}
}

// Kept counts what a new session of a user keeps.
func (r *Room) Kept(user string) Kept { return Kept{room: r, user: user} }

// take reports false, and takes nothing, when the user would then have more than is left.
func (r *Room) take(user string, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[user]+n > r.left-n {
		return false
	}
	r.add(user, n)
	return true
}

// give takes back so much.
func (r *Room) give(user string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(user, -n)
}

// add takes so much, which is left or not. The caller holds mu.
func (r *Room) add(user string, n int64) {
	r.left -= n
	if r.taken[user] += n; r.taken[user] == 0 {
		delete(r.taken, user)
	}
}

// Kept is what one session keeps. It is used by one goroutine at a time.
type Kept struct {
	room  *Room
	user  string
	bytes int64
	taken int64 // of the room
}

// Bytes returns how many are kept.
func (k *Kept) Bytes() int { return int(k.bytes) }

// Add keeps so many bytes more. It reports false, and keeps nothing, when there is no room for them.
func (k *Kept) Add(n int) bool {
	if more := stepsOf(k.bytes+int64(n)) - k.taken; more > 0 {
		if !k.room.take(k.user, more) {
			return false
		}
		k.taken += more
	}
	k.bytes += int64(n)
	return true
}

// Owe keeps so many bytes more, where it is too late to refuse them: what is missing has to be given back before others can take
// anything.
func (k *Kept) Owe(n int) {
	k.bytes += int64(n)
	k.settle()
}

// Remove keeps so many bytes less.
func (k *Kept) Remove(n int) {
	k.bytes -= int64(n)
	k.settle()
}

// RemoveAll keeps nothing any more, as at the end of the session.
func (k *Kept) RemoveAll() { k.Remove(int(k.bytes)) }

func (k *Kept) settle() {
	if need := stepsOf(k.bytes); need != k.taken {
		k.room.give(k.user, k.taken-need)
		k.taken = need
	}
}

// stepsOf returns what has to be taken for so many bytes.
func stepsOf(bytes int64) int64 {
	if bytes <= keptStep {
		return 0
	}
	return (bytes - 1) / keptStep * keptStep
}
