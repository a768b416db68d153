package login

import (
	"context"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

// redisLife is how long ElastiCache and MemoryDB keep a connection after a login with a token ("Authenticating with IAM" in
// their user guides).
const redisLife = 12 * time.Hour

// redis opens an account with the password that is managed for it, or with a token; or it leaves that to the client,
// whose password nobody else knows.
func (s *Source) redis(ctx context.Context, t *target.Target, req cred.Request) (*cred.Credential, error) {
	if t.Unencrypted {
		return nil, unencrypted(t)
	}
	of := t.Endpoint
	c := &cred.Credential{User: req.DatabaseUser, Member: func(address string) bool { return isMember(of, address) }}
	managed, err := s.managed(ctx, c, req)
	if managed || err != nil {
		return c, err
	}
	found := s.findUser(ctx, t, req.DatabaseUser)
	if found.problem == nil && found.user.Kind == redisusers.IAM {
		return c, s.redisToken(ctx, c, t, found.user)
	}
	about := *t
	c.Advice = func(r cred.Refusal) string { return plainAdvice(&about, req.DatabaseUser, found, r) }
	return c, nil
}

// isMember reports whether an address is another node of the same database, encrypted.
func isMember(of endpoint.Endpoint, address string) bool {
	e, err := endpoint.Parse(address)
	return err == nil && e.Type == of.Type && e.Region == of.Region && e.TLS == endpoint.TLSOn &&
		e.ReplicationGroup == of.ReplicationGroup && e.CacheName == of.CacheName && e.ClusterName == of.ClusterName
}

// managed opens the account with the password that is managed for it, if there is one.
func (s *Source) managed(ctx context.Context, c *cred.Credential, req cred.Request) (bool, error) {
	if s.cfg.Managed == nil {
		return false, nil
	}
	password, ok, err := s.cfg.Managed.Password(ctx, req.Database, c.User, false)
	if !ok || err != nil {
		return ok, err
	}
	c.Password, c.Token = password, true
	c.Renew = func(ctx context.Context) (string, error) {
		password, _, err := s.cfg.Managed.Password(ctx, req.Database, c.User, true)
		return password, err
	}
	c.Advice = func(r cred.Refusal) string {
		if r.Code != "WRONGPASS" {
			return ""
		}
		s.cfg.Managed.Refused(req.Database, c.User)
		return "the password that is managed for this user does not hold: the agent is setting it anew, so try again in a minute; and check that nobody else changes the passwords of the user"
	}
	return true, nil
}

// redisToken signs a token for each login. The user is one of IAM.
func (s *Source) redisToken(ctx context.Context, c *cred.Credential, t *target.Target, user redisusers.User) error {
	if err := checkIAMUser(t, user); err != nil {
		return err
	}
	of := *t
	if arn, err := endpoint.ParseARN(user.ARN); err == nil && of.Account() == "" {
		of.AWS.AccountID = arn.Account
	}
	c.Token, c.Lasts = true, redisLife
	c.Renew = func(ctx context.Context) (string, error) { return s.signRedis(ctx, &of, user.ID) }
	c.Advice = func(r cred.Refusal) string {
		s.users.Forget(s.userKey(&of, user.Name))
		return iamAdvice(&of, user, r)
	}
	var err error
	c.Password, err = c.Renew(ctx)
	return err
}

// signRedis presigns the request that connecting stands for: to the name of the database, not to its host.
func (s *Source) signRedis(ctx context.Context, t *target.Target, id string) (string, error) {
	query := url.Values{"User": {id}}
	if t.Type == endpoint.ElastiCacheServerless {
		query.Set("ResourceType", "ServerlessCache")
	}
	cfg, err := s.client(ctx, t.Chain())
	if err != nil {
		return "", explainRedis(t, err)
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", explainRedis(t, err)
	}
	return s.presign(ctx, keys, strings.ToLower(signedFor(t))+"/?", query, string(serviceOf(t)), t.AWS.Region)
}

func serviceOf(t *target.Target) redisusers.Service {
	service, _ := redisusers.ServiceOf(t.Type) // no other types come here
	return service
}

// explainRedis explains why there is nothing to sign a token with.
func explainRedis(t *target.Target, err error) error {
	err = credentials.Explain(err)
	return fault.Wrap(fault.KindOf(err), err, "Could not generate an IAM auth token for %s: %s", t.Type.Title(), fault.Message(err))
}
