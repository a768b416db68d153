package login

import (
	"context"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
)

// Names of steps.
const (
	stepAuthorities = "authorities"
	stepCredentials = "AWS credentials"
	stepRole        = "role"
	stepUser        = "database user"
	stepToken       = "token"
	stepPassword    = "password"
	stepIdentity    = "identity"
)

// Walk implements cred.Walker.
func (s *Source) Walk(ctx context.Context, req cred.Request, tell func(cred.Step)) (*cred.Credential, error) {
	t, err := target.Of(req.Database)
	if err != nil {
		tell(cred.Failure(stepAuthorities, err))
		return nil, err
	}
	trust := &cred.Credential{Address: t.Endpoint.Address()}
	if err := s.authorities(ctx, trust, &t, req); err != nil {
		tell(cred.Failure(stepAuthorities, err))
		trust = nil
	} else {
		from := trust.AuthoritiesFrom
		if from == "" {
			from = "those in tls.ca_cert"
		}
		tell(cred.Passing(stepAuthorities, "certificates of the database may come from %s", from))
	}
	if err := s.walkChain(ctx, &t, req, tell); err != nil {
		return trust, err
	}
	credential, err := s.Credential(ctx, req)
	name := stepToken
	switch t.Type {
	case endpoint.ElastiCache, endpoint.ElastiCacheServerless, endpoint.MemoryDB:
		return tellRedis(&t, credential, trust, err, tell)
	case endpoint.Redshift, endpoint.RedshiftServerless:
		name = stepPassword
	case endpoint.DocumentDB:
		name = stepIdentity
	}
	if err != nil {
		tell(cred.Failure(name, err))
		return trust, err
	}
	switch {
	case credential.Prove != nil:
		tell(cred.Passing(name, "AWS will be asked by the database who %q is", credential.User))
	case credential.Token:
		tell(cred.Passing(name, "signed for %s as %q, valid for %s", credential.Address, credential.User, tokenLife))
	default:
		tell(cred.Passing(name, "AWS gave one for account %q", credential.User))
	}
	return credential, nil
}

// walkChain tells of the credentials with which the database's are got.
func (s *Source) walkChain(ctx context.Context, t *target.Target, req cred.Request, tell func(cred.Step)) error {
	link := func(l credentials.Link) { tell(stepOf(l)) }
	role, isRole, err := s.userRole(ctx, t, req.DatabaseUser)
	if err != nil {
		if walkErr := s.cfg.Credentials.Walk(ctx, t.Chain(), link); walkErr != nil {
			return walkErr // it is why the role is not known, and is told
		}
		tell(cred.Failure(stepUser, err))
		return err
	}
	chain := t.Chain()
	if isRole {
		chain = t.UserChain(role, req.User)
	}
	return s.cfg.Credentials.Walk(ctx, chain, link)
}

// stepOf puts one link into words.
func stepOf(l credentials.Link) cred.Step {
	name := stepCredentials
	if l.Role != "" {
		name = stepRole
	}
	if l.Err != nil {
		return cred.Failure(name, l.Err)
	}
	detail := "from " + l.Source
	if l.Role != "" {
		detail = "assumed " + l.Role
		if l.ExternalID {
			detail += " with the external id"
		}
	}
	if !l.Expires.IsZero() {
		detail += ", valid until " + l.Expires.UTC().Format(time.RFC3339)
	}
	if l.CallerErr != nil {
		step := cred.Failure(name, l.CallerErr)
		return cred.Step{Name: name, Result: cred.Doubtful, Detail: detail, Advice: "who AWS takes them for could not be asked: " + step.Detail}
	}
	return cred.Passing(name, "%s; AWS knows the caller as %s", detail, l.Caller.ARN)
}
