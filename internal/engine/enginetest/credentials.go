package enginetest

import (
	"context"

	"sallyport/internal/cred"
)

// Certificates is a source of credentials that makes a certificate for whichever account is asked for.
type Certificates func(account string) (*cred.Credential, error)

// Credential implements cred.Source.
func (c Certificates) Credential(_ context.Context, req cred.Request) (*cred.Credential, error) {
	return c(req.DatabaseUser)
}

// Given is a source of one credential, which it gives to whichever account is asked for.
func Given(credential cred.Credential) Certificates {
	return func(account string) (*cred.Credential, error) {
		given := credential
		given.User = account
		return &given, nil
	}
}

// AccountsOnly is a source of credentials that prove nothing.
var AccountsOnly = Given(cred.Credential{})
