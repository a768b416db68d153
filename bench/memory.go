package main

import (
	"context"
	"fmt"
	"time"

	"sallyport/bench/programs"
)

// idler is a database of which many sessions can be held that do nothing.
type idler interface {
	// idle opens so many sessions, each of which has run a statement, and returns what ends them.
	idle(ctx context.Context, way way, sessions int) (stop func(), err error)
}

// settle is how long after the last connect the memory is read.
const settle = 2 * time.Minute

// memory opens idle sessions through the path and tells what each costs the agent and the proxy.
func (w *world) memory(ctx context.Context, db idler, sessions int) error {
	before := [2]int{programs.Memory(w.spread.agent, "VmRSS"), programs.Memory(w.spread.front, "VmRSS")}
	stop, err := db.idle(ctx, w.ways()[2], sessions)
	defer stop()
	if err != nil {
		return fmt.Errorf("opening idle sessions: %w", err)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
	}
	after := [2]int{programs.Memory(w.spread.agent, "VmRSS"), programs.Memory(w.spread.front, "VmRSS")}
	for i, name := range []string{"agent", "proxy (with auth)"} {
		fmt.Printf("| memory per idle session, %s, %d sessions | KiB | | | | %s | |\n", name, sessions, programs.Number(float64(after[i]-before[i])/float64(sessions)))
	}
	return nil
}
