package credentials

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sallyport/internal/aws/endpoint"
)

// Caller is who AWS takes the holder of credentials for.
type Caller struct {
	ARN       string // of a user, or of a role's session: arn:aws:sts::123456789012:assumed-role/name/session
	Account   string // 12 digits
	Partition string
}

// Caller returns who the credentials of the chain belong to. The answer is kept for ten minutes. Errors are
// explained.
func (p *Provider) Caller(ctx context.Context, chain Chain) (Caller, error) {
	cfg, err := p.For(ctx, chain)
	if err != nil {
		return Caller{}, err
	}
	caller, err := p.callers.Get(ctx, chain.key(), func(ctx context.Context) (Caller, time.Time, error) {
		caller, err := callerOf(ctx, cfg)
		return caller, p.cfg.Now().Add(callerLife), err
	})
	return caller, Explain(err)
}

func callerOf(ctx context.Context, cfg aws.Config) (Caller, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, err
	}
	parsed, err := endpoint.ParseARN(aws.ToString(out.Arn))
	if err != nil {
		return Caller{}, errors.New("STS answered without a caller")
	}
	return Caller{ARN: parsed.String(), Account: parsed.Account, Partition: parsed.Partition}, nil
}

// Role returns the name of the caller's role, or "" if it is not a session of a role.
func (c Caller) Role() string {
	_, rest, ok := strings.Cut(c.ARN, ":assumed-role/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}
