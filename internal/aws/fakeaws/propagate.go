package fakeaws

import (
	"maps"
	"slices"
	"time"
)

// effect is what permissions, or a managed policy, contained from a time on.
type effect struct {
	since    time.Time
	inline   map[string]string
	attached []string
	boundary string
	document string
}

// changing must be called before the IAM API changes permissions: it keeps what they were, to be in effect until the
// change has propagated.
func (w *World) changing(p *Permissions) {
	if w.config.Propagation > 0 {
		p.history = append(p.history, effect{since: w.Now(), inline: maps.Clone(p.Inline), attached: slices.Clone(p.Attached), boundary: p.Boundary})
	}
}

func (w *World) changingPolicy(p *ManagedPolicy) {
	if w.config.Propagation > 0 {
		p.history = append(p.history, effect{since: w.Now(), document: p.version(p.Default).Document})
	}
}

// effective is what permissions were before the first change that has not propagated yet.
func (w *World) effective(p *Permissions) effect {
	if old, ok := w.superseded(p.history); ok {
		return old
	}
	return effect{inline: p.Inline, attached: p.Attached, boundary: p.Boundary}
}

func (w *World) effectiveDocument(p *ManagedPolicy) string {
	if old, ok := w.superseded(p.history); ok {
		return old.document
	}
	return p.version(p.Default).Document
}

func (w *World) superseded(history []effect) (effect, bool) {
	settled := w.Now().Add(-w.config.Propagation)
	for _, old := range history {
		if old.since.After(settled) {
			return old, true
		}
	}
	return effect{}, false
}
