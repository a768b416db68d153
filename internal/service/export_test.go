package service

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

// Protocols returns the protocols that have an engine.
func Protocols() []string {
	return slices.Sorted(maps.Keys((&daemon{logger: slog.New(slog.DiscardHandler), now: time.Now}).protocols(nil)))
}
