package spool

import "slices"

// Damage is a place in a segment from where on no record could be read.
type Damage struct {
	File   string
	Offset int64
	Lost   uint64 // records known to be missing; 0 if only the end of the stream was torn
	Reason string
}

const missingBefore = "the records before this file are missing"

// Had says that the audit log has so many of the lost records, the first ones, all the same. A queue that does not
// know how far its records were acknowledged takes those that were delivered and deleted for lost.
func (b *Batch) Had(delivered uint64) {
	b.Lost -= delivered
	for i := range b.Damage {
		known := min(delivered, b.Damage[i].Lost)
		b.Damage[i].Lost -= known
		delivered -= known
	}
	b.Damage = slices.DeleteFunc(b.Damage, func(d Damage) bool { return d.Lost == 0 && d.Reason == missingBefore })
}

// report adds damage to the batch, once per segment until Rewind.
func (q *Queue) report(batch *Batch, damage Damage) {
	if _, known := q.damaged[damage.File]; known {
		return
	}
	if q.damaged == nil {
		q.damaged = make(map[string]bool)
	}
	q.damaged[damage.File] = false
	batch.Damage = append(batch.Damage, damage)
}
