package finder

import (
	"maps"
	"slices"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// PartialError is the error of a look that could not see everything: what was found is right, and complete but for the
// parts. It is a fault of the first part's kind.
type PartialError struct{ Parts []Part }

// Part is what a look could not see.
type Part struct {
	What string // as in "Aurora clusters"
	Err  error  // a fault

	covers func(*resource.Database) bool
}

// Error names the parts and why they could not be seen.
func (e *PartialError) Error() string {
	texts := make([]string, len(e.Parts))
	for i, part := range e.Parts {
		texts[i] = part.What + " could not be read: " + fault.Message(part.Err)
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns a fault.
func (e *PartialError) Unwrap() error {
	return fault.Wrap(fault.KindOf(e.Parts[0].Err), e.Parts[0].Err, "%s", e.Error())
}

// covers reports whether a database belongs to what could not be seen.
func (e *PartialError) covers(db *resource.Database) bool {
	return slices.ContainsFunc(e.Parts, func(part Part) bool { return part.covers(db) })
}

// Resolve completes what was found by what an earlier look for the same found, so that nothing is removed, renamed or
// loses labels because this look could not see it. Neither argument is changed.
func (e *PartialError) Resolve(found, known []*resource.Database) []*resource.Database {
	all := slices.Clone(found)
	at := make(map[string]int, len(all))
	for i, db := range all {
		at[db.Spec.URI] = i
	}
	for _, old := range known {
		i, again := at[old.Spec.URI]
		switch {
		case !e.covers(old):
		case !again:
			all = append(all, old)
		default:
			db := resource.Clone(all[i])
			db.Metadata.Name = old.Metadata.Name
			db.Metadata.Labels = maps.Clone(old.Metadata.Labels)
			for key, value := range all[i].Metadata.Labels {
				if key != resource.LabelDiscovered {
					db.Metadata.Labels[key] = value
				}
			}
			all[i] = db
		}
	}
	return all
}

// labelsOf is the part of databases, by address, some of whose labels could not be read.
func labelsOf(lacking map[string]error) Part {
	addresses := slices.Sorted(maps.Keys(lacking))
	return Part{
		What:   "labels of some databases",
		Err:    lacking[addresses[0]],
		covers: func(db *resource.Database) bool { return lacking[db.Spec.URI] != nil },
	}
}
