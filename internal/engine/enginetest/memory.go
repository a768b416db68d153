package enginetest

import (
	"runtime"
	"testing"
	"time"
)

// LiveHeap returns the bytes of what is still in use.
func LiveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// AwaitHeap waits until no more than so many bytes are in use. Tests that call it are not parallel, so that what is in use is theirs.
func AwaitHeap(t testing.TB, most int64) {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		live := LiveHeap()
		if live <= most {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB are in use, want %d", live>>20, most>>20)
		}
	}
}
