package discovery

// claims are who wants which name. A name that several databases want belongs to the one that has it, and otherwise to the
// first: a name that changes hands would lead users of one database to another, made or tagged by whoever may do so.
type claims[T any] map[string][]claim[T]

type claim[T any] struct {
	uri string
	of  T
}

// add notes that the database at an address wants a name. One that two looks have found is the first's.
func (c claims[T]) add(name, uri string, of T) {
	for _, other := range c[name] {
		if other.uri == uri {
			return
		}
	}
	c[name] = append(c[name], claim[T]{uri, of})
}

// best returns who gets a name that at least one wants, and whether that is the database that has it.
func best[T any](all []claim[T], holder string) (one claim[T], holds bool) {
	for _, one := range all {
		if one.uri == holder {
			return one, true
		}
	}
	return all[0], false
}
