package postgres

// touch notes that a request may redefine names: until it is answered nobody knows what they mean.
func (r *relay) touch(q *request) {
	r.lastID++
	q.id = r.lastID
	if q.touches&touchesStatements != 0 {
		r.statements.touch(q.id)
	}
	if q.touches&touchesPortals != 0 {
		r.portals.touch(q.id)
	}
}

// lift notes that the request will redefine nothing any more.
func (r *relay) lift(q *request) {
	r.statements.lift(q.id)
	r.portals.lift(q.id)
}

// touched ends a request that may have redefined names, also if it failed: prepared statements are not part of
// the transaction.
func (r *relay) touched(q *request) {
	if q.touches&touchesStatements != 0 && q.change == nil {
		r.statements.doubt()
	}
	if q.touches&touchesPortals != 0 {
		r.portals.doubt()
	}
	r.lift(q)
}

// followTag does to names what a command has done that ended with the tag, or doubts them if that is not known.
func (r *relay) followTag(tag string) {
	change := r.fromServer.current.change
	switch tag {
	case "DISCARD ALL", "DEALLOCATE ALL":
		for name := range r.statements.settled {
			r.dropStatement(name)
		}
	case "DEALLOCATE":
		if change == nil {
			r.statements.doubt()
		} else {
			r.dropStatement(change.name)
		}
	case "PREPARE":
		if change == nil {
			r.statements.doubt()
		} else {
			r.prepared(change)
		}
	case "DO", "CALL":
		r.statements.doubt()
		r.portals.doubt()
	case "CLOSE CURSOR", "CLOSE CURSOR ALL", "DECLARE CURSOR", "COMMIT", "ROLLBACK", "PREPARE TRANSACTION":
		r.portals.doubt()
	}
}

// prepared notes a statement that SQL has prepared, if there is room for it.
func (r *relay) prepared(c *change) {
	s := newStatement(c.name, c.text, nil)
	if r.dropStatement(c.name); r.checkRoom(c.name, r.statements.count(), s.size()) != nil || !r.kept.Add(s.size()) {
		return
	}
	r.statements.settle(c.name, 0, s)
}
