package session

import (
	"errors"
)

// Refuse is Open for a visit that the engine itself turns away, because of something the client asked for
// beside account and logical database. The refusal is recorded like one of the rules. It returns cause,
// with what went wrong in recording it; the session is not to be opened any more.
func (s *Session) Refuse(want Want, cause error) error {
	if s.opened {
		return errors.New("session was opened before")
	}
	s.opened = true
	return errors.Join(cause, s.recordRefusal(s.startOf(want), cause))
}
