package health

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Result is what one check found.
type Result struct {
	Address  string // host:port, several separated by commas
	Protocol string // resource.HealthTCP or resource.HealthTLS
	Err      error  // nil when the check passed
}

// ErrNotMade is in the error of a check that says nothing about the database, because it could not be made.
var ErrNotMade = errors.New("the check could not be made")

// Transition is a change that people are told of: a database became healthy or unhealthy, or unknown by a fault of ours.
type Transition struct {
	Database *resource.Database
	Was      string // the last status that was known; resource.Healthy before there was one
	Now      resource.TargetHealth
	Err      error // of the check; nil when it passed
}

// state is how one database does.
type state struct {
	health         resource.TargetHealth
	known          string // the last status other than unknown; empty before there was one
	passed, failed int    // checks in a row
	begun          time.Time
	up             bool // it has been healthy since begun
}

// begin is the state before the first check; a nil spec means that there will be none.
func (s *state) begin(spec *resource.HealthCheckSpec, now time.Time) {
	s.passed, s.failed, s.begun, s.up = 0, 0, now, false
	s.health = resource.TargetHealth{}
	if spec == nil {
		s.move(resource.HealthUnknown, resource.HealthDisabled, nil, "no health_check_config matches the database", now)
		return
	}
	s.move(resource.HealthUnknown, resource.HealthInitialized, nil, "checks have begun", now)
}

// note takes a result and reports whether the health is another one now, and whether people are to be told.
func (s *state) note(r Result, spec *resource.HealthCheckSpec, now time.Time) (changed, tell bool) {
	before := s.health
	if r.Address != "" {
		s.health.Address, s.health.Protocol = bounded(r.Address), r.Protocol
	}
	switch {
	case errors.Is(r.Err, ErrNotMade):
		s.passed, s.failed = 0, 0
		s.move(resource.HealthUnknown, resource.HealthInternalError, r.Err, "the agent could not make the check", now)
	case r.Err == nil:
		s.passed, s.failed = s.passed+1, 0
		if s.passed >= spec.HealthyThreshold {
			s.up = true
			s.move(resource.Healthy, resource.HealthThresholdReached, nil, inARow(s.passed, "passed"), now)
		}
	default:
		s.passed, s.failed = 0, s.failed+1
		if s.failed >= spec.UnhealthyThreshold {
			s.move(resource.Unhealthy, resource.HealthThresholdReached, r.Err, inARow(s.failed, "failed"), now)
		}
	}
	notMade := s.health.TransitionReason == resource.HealthInternalError && before.TransitionReason != s.health.TransitionReason
	return s.health != before, s.remember() || notMade
}

// settling reports whether the next check should come soon: nothing is known yet, or the database has never been healthy, and may
// well be about to be.
func (s *state) settling(now time.Time) bool {
	switch {
	case s.health.TransitionReason == resource.HealthInitialized:
		return true
	case s.up || s.health.TransitionReason == resource.HealthInternalError:
		return false
	}
	return s.passed > 0 || now.Sub(s.begun) < comingUp
}

// move goes to a status for a reason. What is so already stays as it is.
func (s *state) move(status, reason string, err error, message string, now time.Time) {
	if s.health.Status == status && s.health.TransitionReason == reason {
		return
	}
	h := &s.health
	now = now.UTC()
	h.Status, h.TransitionReason, h.TransitionTimestamp, h.Message, h.TransitionError = status, reason, &now, message, ""
	if err != nil {
		h.TransitionError = bounded(fault.Message(err))
	}
}

// remember keeps a status that is known and reports whether it is news. That a database is healthy is none at first.
func (s *state) remember() bool {
	status := s.health.Status
	if status == resource.HealthUnknown || status == s.known {
		return false
	}
	first := s.known == ""
	s.known = status
	return !first || status == resource.Unhealthy
}

func inARow(n int, how string) string {
	if n == 1 {
		return "the last check " + how
	}
	return fmt.Sprintf("%d checks in a row %s", n, how)
}

const maxText = 1 << 10

// bounded makes a text fit for tables and terminals: part of it may be from whoever answers in a database's place.
func bounded(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
