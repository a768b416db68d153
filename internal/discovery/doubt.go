package discovery

// doubt is what the looks of a round could not see.
type doubt struct {
	asked  map[lookID]bool
	unseen map[lookID]bool // looks that saw nothing for certain
	places map[place]bool  // where a look went wrong, in whole or in part
}

type place struct{ kind, region string }

func (id lookID) place() place { return place{id.kind, id.region} }

func newDoubt() doubt {
	return doubt{asked: make(map[lookID]bool), unseen: make(map[lookID]bool), places: make(map[place]bool)}
}

// note says that a look was made, and how it went.
func (d doubt) note(id lookID, err error) {
	d.asked[id] = true
	if err != nil {
		d.places[id.place()] = true
	}
}

// all says that nothing is known of what a look may have registered.
func (d doubt) all(id lookID) { d.unseen[id] = true }

// about reports whether a database that was not found may exist all the same. Where the look that registered it is not made
// any more, another of the same place may have taken its turn, as when a matcher gets another role: as long as that one
// fails, nothing is known.
func (d doubt) about(id lookID) bool {
	if d.asked[id] {
		return d.unseen[id]
	}
	return d.places[id.place()]
}
