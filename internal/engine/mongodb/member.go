package mongodb

import (
	"errors"
	"math"

	"sallyport/internal/fault"
	"sallyport/internal/mongowire"
)

// member is what a server says of itself.
type member struct {
	version   int64 // newest of the wire protocol
	primary   bool  // it takes writes; also a server that is in no replica set
	secondary bool
	router    bool // of a sharded cluster
	set       string
	leader    string   // address of the primary
	hosts     []string // of all members that can be asked

	connection uint32 // its number of the connection; 0 when it does not tell
}

// memberOf reads an answer to hello.
func memberOf(reply mongowire.Document) (member, error) {
	var m member
	for e := range reply.Elements() {
		text, _ := e.Text()
		switch string(e.Key) {
		case "maxWireVersion":
			m.version, _ = e.Number()
		case "ismaster", "isWritablePrimary":
			m.primary = e.True()
		case "secondary":
			m.secondary = e.True()
		case "msg":
			m.router = string(text) == "isdbgrid"
		case "connectionId":
			if n, _ := e.Number(); n > 0 && n <= math.MaxUint32 {
				m.connection = uint32(n)
			}
		case "setName":
			m.set = string(text)
		case "primary":
			m.leader = string(text)
		case "hosts":
			list, ok := e.Array()
			if !ok {
				return m, unexpected("hosts that are no list")
			}
			for host := range list.Elements() {
				if text, _ := host.Text(); len(text) > 0 && len(m.hosts) < maxMembers {
					m.hosts = append(m.hosts, string(text))
				}
			}
		}
	}
	return m, nil
}

// fits reports whether a member is of the kind that is wanted.
func (m *member) fits(kind string) bool {
	switch kind {
	case primary:
		return m.primary
	case secondary:
		return m.secondary
	default:
		return m.primary || m.secondary
	}
}

// choose goes to the member that the URI asks for, and returns it.
func (l *login) choose(m member) (member, error) {
	p := l.place
	if p.replicaSet != "" && m.set != p.replicaSet && !m.router {
		return m, fault.New(fault.ConnectionProblem, "the database is a member of replica set %q, and not of %q as its uri says; correct replicaSet", m.set, p.replicaSet)
	}
	if !p.discover || m.router || m.set == "" {
		return m, nil
	}
	wanted := map[string][]string{
		primary: {primary}, primaryPreferred: {primary, secondary}, secondary: {secondary}, secondaryPreferred: {secondary, primary}, nearest: {nearest},
	}[p.preference]
	first := m
	for _, kind := range wanted {
		if m.fits(kind) {
			return m, nil
		}
		found, err := l.search(first, kind)
		if err == nil {
			return found, nil
		}
		if l.ctx.Err() != nil || kind == wanted[len(wanted)-1] {
			return m, err
		}
		m = member{} // where the search has left us is not known
	}
	return m, nil
}

// search tries members until one is of the kind.
func (l *login) search(first member, kind string) (member, error) {
	addresses := first.hosts
	if kind == primary && first.leader != "" {
		addresses = append([]string{first.leader}, addresses...)
	}
	var failures []error
	for _, address := range addresses {
		if kind == secondary && address == first.leader {
			continue
		}
		m, err := l.move(address)
		switch {
		case err != nil:
			failures = append(failures, err)
		case m.set != first.set:
			failures = append(failures, fault.New(fault.ConnectionProblem, "%s is a member of another replica set", address))
		case m.fits(kind):
			return m, nil
		}
		if l.ctx.Err() != nil {
			break
		}
	}
	return member{}, fault.Wrap(fault.ConnectionProblem, errors.Join(failures...), "replica set %q has no %s that can be reached from the agent now; check its members with rs.status()", first.set, kind)
}
