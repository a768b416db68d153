package cred_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// refusing is an auth server that signs nothing.
type refusing struct{ err error }

func (r refusing) SignDatabaseClientCertificate(context.Context, *sallyportv1.SignDatabaseClientCertificateRequest) (*sallyportv1.SignDatabaseClientCertificateResponse, error) {
	return nil, r.err
}

func TestOnlyDenialsToTheUserAreTheUsers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  fault.Kind
		users bool
	}{
		"the user may not":                 {fault.AccessDenied, true},
		"the agent is not authenticated":   {fault.Unauthenticated, false},
		"the agent does not serve it":      {fault.NotFound, false},
		"the auth server is not reachable": {fault.ConnectionProblem, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := cred.NewSelfHosted(refusing{fault.New(c.kind, "no")}, time.Now)
			_, err := source.Credential(t.Context(), cred.Request{Database: &resource.Database{}, DatabaseUser: "app"})
			denied, users := errors.AsType[*cred.Denied](err)
			if users != c.users || !fault.Is(err, c.kind) {
				t.Errorf("got %v", err)
			}
			if users && denied.Error() != "no" {
				t.Errorf("told %q", denied)
			}
		})
	}
}
