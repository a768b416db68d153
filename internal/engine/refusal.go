package engine

import (
	"errors"

	"sallyport/internal/cred"
	"sallyport/internal/session"
)

// RefusedLogin is the error of a login that the database refused.
type RefusedLogin interface {
	error
	// Refusal returns what the database said, and what to do about it, which may be empty.
	Refusal() (said, advice string)
}

// RefusalText words a refusal as an error.
func RefusalText(said, advice string) string {
	text := refusedBefore + said
	if advice != "" {
		text += "; " + advice
	}
	return text
}

const refusedBefore = "the database refused the login: "

// TellFailed tells of an error of the login in the step of a check that it belongs to, unless that is told already.
func TellFailed(p *session.Probe, err error) {
	name := session.StepLogin
	switch p.Result(session.StepTLS) {
	case cred.Failed:
		return
	case cred.Untold: // the database did not come to it
		name = session.StepTLS
	}
	step := cred.Failure(name, err)
	if refused, ok := errors.AsType[RefusedLogin](err); ok {
		said, advice := refused.Refusal()
		step.Detail, step.Advice = refusedBefore+said, advice
	}
	p.Tell(step)
}
