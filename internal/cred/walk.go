package cred

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/fault"
)

// Result is how a step of a check went.
type Result int

// The results. Untold is that of no step; Doubtful is what works and asks for attention.
const (
	Untold Result = iota
	Passed
	Doubtful
	Failed
)

// Step is one part of the way to a database, as a check of it found it. It holds no secret.
type Step struct {
	Name   string
	Result Result
	Detail string // what was found; of a failed step, why it failed and what to do
	Advice string // what to do, where Detail does not say it; may be empty
}

// Passing returns a step that went well.
func Passing(name, format string, args ...any) Step {
	return Step{Name: name, Result: Passed, Detail: fmt.Sprintf(format, args...)}
}

// Failure returns the step that an error ended, in the words that the error has for people.
func Failure(name string, err error) Step {
	return Step{Name: name, Result: Failed, Detail: fault.Message(err)}
}

// Walker is a Source that tells how it comes to a credential.
type Walker interface {
	Source
	// Walk is Credential, and tells of each step on the way as it is taken. What goes wrong it tells and returns. It may
	// return a credential with the error: that says only where to dial and whose certificate the database may show.
	Walk(ctx context.Context, req Request, tell func(Step)) (*Credential, error)
}

// Walk asks the source for a credential and tells of the steps, as far as the source does.
func Walk(ctx context.Context, s Source, req Request, tell func(Step)) (*Credential, error) {
	if w, ok := s.(Walker); ok {
		return w.Walk(ctx, req, tell)
	}
	const name = "credential"
	credential, err := s.Credential(ctx, req)
	if err != nil {
		tell(Failure(name, err))
		return nil, err
	}
	tell(Passing(name, "for account %q", credential.User))
	return credential, nil
}

// Walk implements Walker. It keeps no certificate of a check and uses none of a user's.
func (s *SelfHosted) Walk(ctx context.Context, req Request, tell func(Step)) (*Credential, error) {
	const name = "client certificate"
	credential, expires, err := s.sign(ctx, req)
	if err != nil {
		tell(Failure(name, err))
		return nil, err
	}
	tell(Passing(name, "the cluster signed one for account %q, valid until %s", credential.User, expires.UTC().Format(time.RFC3339)))
	return credential, nil
}

// Walk implements Walker.
func (d Dispatch) Walk(ctx context.Context, req Request, tell func(Step)) (*Credential, error) {
	source, err := d.of(req.Database)
	if err != nil {
		tell(Failure("credential", err))
		return nil, err
	}
	return Walk(ctx, source, req, tell)
}
