// Package credentials gives the credentials for calls of AWS: those of the process itself, found as every
// program of AWS finds them, or of roles that it assumes. They are kept for as long as they are valid, apart
// for everything that AWS was told when it issued them, and a failure never falls back to wider ones.
package credentials

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"sallyport/internal/aws/expiring"
)

// Config is what a Provider is made of. All fields must be set unless stated.
type Config struct {
	// SessionName names the sessions of roles that are assumed for everybody, so that the audit logs of AWS
	// tell which service it was. It is made valid as a user's name is.
	SessionName string
	// FIPS has all clients talk to endpoints that are validated by FIPS 140.
	FIPS bool
	// HTTPClient carries the calls of AWS; nil means one that honours AWS_CA_BUNDLE and the proxy settings of
	// the environment.
	HTTPClient aws.HTTPClient
	Logger     *slog.Logger
	Now        func() time.Time
}

// Provider gives credentials. There is one for the process. Safe for concurrent use.
type Provider struct {
	cfg     Config
	creds   *expiring.Cache[string, aws.Credentials]
	callers *expiring.Cache[string, Caller]
	configs *expiring.Cache[string, aws.Config]
}

const (
	// RoleDuration is how long credentials of an assumed role are valid. AWS grants no more than this when one
	// role assumes another, and every role allows as much.
	RoleDuration = time.Hour

	refreshBefore = 5 * time.Minute
	callerLife    = 10 * time.Minute
	callTimeout   = 20 * time.Second
)

// New returns a provider that has asked for nothing yet.
func New(cfg Config) *Provider {
	cfg.SessionName = SessionName(cfg.SessionName)
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = defaultClient()
	}
	p := &Provider{cfg: cfg}
	p.creds = expiring.New[string, aws.Credentials](expiring.Config{Now: cfg.Now, Refresh: refreshBefore, Tolerate: p.tolerate})
	p.callers = expiring.New[string, Caller](expiring.Config{Now: cfg.Now})
	p.configs = expiring.New[string, aws.Config](expiring.Config{Now: cfg.Now})
	return p
}

// For returns the configuration of clients that act with the credentials of the chain, which are valid when it
// returns. Errors are explained. The configuration is the caller's; its credentials are renewed when they
// are used.
func (p *Provider) For(ctx context.Context, chain Chain) (aws.Config, error) {
	cfg, err := p.config(ctx, chain)
	if err != nil {
		return aws.Config{}, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, Explain(err)
	}
	return cfg, nil
}

// config returns a configuration whose credentials nobody has asked for yet.
func (p *Provider) config(ctx context.Context, chain Chain) (aws.Config, error) {
	if err := chain.check(); err != nil {
		return aws.Config{}, err
	}
	cfg, err := p.settings(ctx)
	if err != nil {
		return aws.Config{}, Explain(err)
	}
	cfg = cfg.Copy()
	if chain.Region == "" {
		chain.Region = cfg.Region
		if err := chain.check(); err != nil { // roles must be of that region's partition too
			return aws.Config{}, err
		}
	}
	cfg.Region = chain.Region
	chain = chain.clone()
	cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) { return p.retrieve(ctx, chain) })
	return cfg, nil
}

// retrieve returns the credentials at the end of the chain.
func (p *Provider) retrieve(ctx context.Context, chain Chain) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, context.DeadlineExceeded)
	defer cancel()
	return p.creds.Get(ctx, chain.key(), func(ctx context.Context) (aws.Credentials, time.Time, error) {
		hops := chain.hops(p.cfg.SessionName)
		if len(hops) == 0 {
			return p.retrieveBase(ctx)
		}
		return p.assume(ctx, chain, hops)
	})
}

// assume takes the last hop of the chain with the credentials of those before it.
func (p *Provider) assume(ctx context.Context, chain Chain, hops []hop) (aws.Credentials, time.Time, error) {
	last := hops[len(hops)-1]
	cfg, err := p.config(ctx, chain.parent())
	if err != nil {
		return aws.Credentials{}, time.Time{}, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil { // its error is of an earlier hop
		return aws.Credentials{}, time.Time{}, err
	}
	input := &sts.AssumeRoleInput{
		RoleArn: aws.String(last.role), RoleSessionName: aws.String(last.session),
		DurationSeconds: aws.Int32(int32(RoleDuration / time.Second)),
	}
	if last.externalID != "" {
		input.ExternalId = aws.String(last.externalID)
	}
	for key, value := range last.tags {
		input.Tags = append(input.Tags, ststypes.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	out, err := sts.NewFromConfig(cfg).AssumeRole(ctx, input)
	if err == nil && (out.Credentials == nil || out.Credentials.Expiration == nil) {
		err = errors.New("STS answered without credentials")
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && isExpired(api.ErrorCode()) && len(hops) == 1 {
		// Those in the environment's files may have been replaced since they were read.
		p.creds.Forget("")
		p.configs.Forget("")
	}
	if err != nil {
		return aws.Credentials{}, time.Time{}, &hopError{
			number: len(hops), role: last.role, region: cfg.Region, externalID: last.externalID != "", tagged: len(last.tags) > 0, err: err,
		}
	}
	issued, expires := out.Credentials, *out.Credentials.Expiration
	if longest := p.cfg.Now().Add(RoleDuration); expires.After(longest) { // than was asked for
		expires = longest
	}
	return aws.Credentials{
		AccessKeyID: aws.ToString(issued.AccessKeyId), SecretAccessKey: aws.ToString(issued.SecretAccessKey), SessionToken: aws.ToString(issued.SessionToken),
		Source: "AssumeRole", CanExpire: true, Expires: expires, AccountID: accountOf(last.role),
	}, expires, nil
}

// tolerate lets credentials that are about to run out serve to their end if AWS could not be asked for new
// ones. If it was asked and said no, they must not.
func (p *Provider) tolerate(err error) bool {
	tolerable := transient(err)
	if tolerable {
		p.cfg.Logger.Warn("AWS credentials could not be renewed yet", "error", err)
	}
	return tolerable
}
