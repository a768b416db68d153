// Package login makes the credentials with which databases in AWS are logged in to: tokens signed here, and
// passwords that AWS gives out for minutes.
package login

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/expiring"
	"sallyport/internal/aws/redisusers"
	"sallyport/internal/aws/roots"
	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// Managed knows the passwords of users of ElastiCache and MemoryDB that are kept for them.
type Managed interface {
	// Password returns the password of a user in a database; managed is false for others. What has not to be fresh may have
	// been asked for a moment ago. Errors are faults.
	Password(ctx context.Context, db *resource.Database, user string, fresh bool) (password string, managed bool, err error)
	// Refused notes that the database did not take the password.
	Refused(db *resource.Database, user string)
}

// Config is what a Source is made of. All fields must be set unless stated.
type Config struct {
	Credentials *credentials.Provider
	Roots       *roots.Store
	// Managed knows the passwords of users that are managed; may be nil, then there are none.
	Managed Managed
	Now     func() time.Time
}

// Source is the cred.Source of databases in AWS. None of them is shown a client certificate. Safe for
// concurrent use.
type Source struct {
	cfg       Config
	signer    *v4.Signer // keeps the keys that it derives
	passwords *expiring.Cache[passwordKey, password]
	users     *expiring.Cache[userKey, []redisusers.User]
}

// New returns a source that has asked for nothing yet.
func New(cfg Config) *Source {
	return &Source{
		cfg: cfg, signer: v4.NewSigner(), users: newUserCache(cfg.Now),
		passwords: expiring.New[passwordKey, password](expiring.Config{Now: cfg.Now, Refresh: passwordLife - passwordReuse}),
	}
}

// Credential implements cred.Source. Errors are faults that say what is missing.
func (s *Source) Credential(ctx context.Context, req cred.Request) (*cred.Credential, error) {
	t, err := target.Of(req.Database)
	if err != nil {
		return nil, err
	}
	if t.Endpoint.Port == 0 {
		return nil, fault.New(fault.BadParameter, "the uri of database %q has no port; write %s:PORT", t.Name, t.Endpoint.Host)
	}
	var credential *cred.Credential
	switch t.Type {
	case endpoint.RDS, endpoint.RDSProxy:
		credential, err = s.rds(ctx, &t, req)
	case endpoint.Redshift:
		credential, err = s.redshift(ctx, &t, req)
	case endpoint.RedshiftServerless:
		credential, err = s.redshiftServerless(ctx, &t, req)
	case endpoint.DocumentDB:
		credential, err = s.documentDB(ctx, &t, req)
	case endpoint.ElastiCache, endpoint.ElastiCacheServerless, endpoint.MemoryDB:
		credential, err = s.redis(ctx, &t, req)
	default:
		return nil, fault.New(fault.BadParameter, "database %q is of type %s, which this version cannot log in to", t.Name, t.Type)
	}
	if err != nil {
		return nil, err
	}
	credential.Address = t.Endpoint.Address()
	return credential, s.authorities(ctx, credential, &t, req)
}

// Trusted returns what says whose certificate a database may show, and nothing else.
func (s *Source) Trusted(ctx context.Context, db *resource.Database) (*cred.Credential, error) {
	t, err := target.Of(db)
	if err != nil {
		return nil, err
	}
	credential := &cred.Credential{Address: t.Endpoint.Address()}
	return credential, s.authorities(ctx, credential, &t, cred.Request{Database: db})
}

// authorities adds what the database's certificate may come from, unless the configuration says it.
func (s *Source) authorities(ctx context.Context, credential *cred.Credential, t *target.Target, req cred.Request) error {
	if req.Database.Spec.TLS.CACert != "" || req.Database.Spec.CACert != "" {
		return nil
	}
	found, err := s.cfg.Roots.For(ctx, t.Type, t.AWS.Region)
	if err != nil {
		return err
	}
	credential.Authorities, credential.SystemAuthorities, credential.AuthoritiesFrom = found.Certificates, found.System, found.From
	return nil
}

// userRole returns the role that a database user stands for; false if it is a name inside the database.
func (s *Source) userRole(ctx context.Context, t *target.Target, user string) (string, bool, error) {
	who := endpoint.RoleUser{Type: t.Type, Region: t.AWS.Region, Account: t.AWS.AccountID, AssumeRoleARN: t.AWS.AssumeRoleARN}
	role, isRole, err := who.Resolve(user)
	if errors.Is(err, endpoint.ErrNoAccount) {
		caller, callerErr := s.cfg.Credentials.Caller(ctx, t.Chain())
		if callerErr != nil {
			return "", true, callerErr
		}
		who.CallerAccount = caller.Account
		role, isRole, err = who.Resolve(user)
	}
	if err != nil {
		return "", isRole, fault.New(fault.BadParameter, "%s", err)
	}
	if !isRole {
		return "", false, nil
	}
	return role.String(), true, nil
}

// client returns the configuration of clients that act for the chain.
func (s *Source) client(ctx context.Context, chain credentials.Chain) (aws.Config, error) {
	return s.cfg.Credentials.For(ctx, chain)
}
