package credentials

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Link is one part of a chain: the process's own credentials, or a role that is assumed with those before it.
type Link struct {
	Role       string    // that was assumed; empty for the process's own
	ExternalID bool      // one was sent
	Source     string    // in words, where the process's own come from
	Expires    time.Time // zero if they do not say
	Caller     Caller    // who AWS takes the holder for; zero if it could not be asked
	// Err is why there are no credentials, explained, and the last that is told. CallerErr is why the caller is not
	// known, which nothing else depends on.
	Err, CallerErr error
}

// Walk gets the credentials of a chain link by link, as For does, tells of each, and returns the error of the one
// that it ended at.
func (p *Provider) Walk(ctx context.Context, chain Chain, tell func(Link)) error {
	for _, part := range chain.parts() {
		link := Link{Role: part.UserRoleARN}
		if link.Role == "" {
			link.Role = part.AssumeRoleARN
		}
		hops := part.hops(p.cfg.SessionName)
		link.ExternalID = len(hops) > 0 && hops[len(hops)-1].externalID != ""
		cfg, err := p.For(ctx, part)
		var creds aws.Credentials
		if err == nil {
			creds, err = cfg.Credentials.Retrieve(ctx)
		}
		if err != nil {
			link.Err = Explain(err)
			tell(link)
			return link.Err
		}
		link.Source = sourceInWords(creds.Source)
		if creds.CanExpire {
			link.Expires = creds.Expires
		}
		link.Caller, link.CallerErr = p.Caller(ctx, part)
		tell(link)
	}
	return nil
}

// parts returns the chain as it grows, from the process's own credentials on.
func (c Chain) parts() []Chain {
	parts := []Chain{{Region: c.Region}}
	if c.AssumeRoleARN != "" {
		parts = append(parts, c.withoutUser())
	}
	if c.UserRoleARN != "" {
		parts = append(parts, c)
	}
	return parts
}

// sourceInWords says where the default chain found credentials. What follows the name of a kind, as that of a file,
// stays.
func sourceInWords(source string) string {
	kind, rest, _ := strings.Cut(source, ":")
	for _, known := range []struct{ kind, words string }{
		{"EnvConfigCredentials", "the environment (AWS_ACCESS_KEY_ID)"},
		{"WebIdentityCredentials", "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)"},
		{"SharedConfigCredentials", "the shared file"},
		{"ProcessProvider", "the credential_process of the profile"},
		{"SSOProvider", "the single sign-on of the profile"},
		{"CredentialsEndpointProvider", "container credentials (AWS_CONTAINER_CREDENTIALS_*)"},
		{"EC2RoleProvider", "EC2 instance metadata"},
	} {
		if kind == known.kind {
			return known.words + strings.TrimRight(" "+strings.TrimSpace(rest), " ")
		}
	}
	return source
}
