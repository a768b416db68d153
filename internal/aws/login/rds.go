package login

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/endpoint"
	"sallyport/internal/aws/target"
	"sallyport/internal/cred"
	"sallyport/internal/fault"
)

const (
	// tokenLife is how long databases accept a token after it was signed ("IAM database authentication for MariaDB,
	// MySQL, and PostgreSQL" in the RDS user guide, "Authenticating with IAM" in those of ElastiCache and MemoryDB). It ends
	// no connection.
	tokenLife = 15 * time.Minute

	rdsSigningName   = "rds-db"
	emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// rds signs a token. It costs some microseconds, so each connection gets its own, and none is ever reused.
func (s *Source) rds(ctx context.Context, t *target.Target, req cred.Request) (*cred.Credential, error) {
	cfg, err := s.client(ctx, t.Chain())
	if err != nil {
		return nil, explainRDS(err)
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, explainRDS(err)
	}
	token, err := s.token(ctx, keys, t.Endpoint, req.DatabaseUser)
	if err != nil {
		return nil, err
	}
	advice := rdsAdvice
	if t.Type == endpoint.RDSProxy {
		advice = proxyAdvice
	}
	user, of := req.DatabaseUser, *t
	return &cred.Credential{
		User: user, Password: token, Token: true,
		Advice: func(r cred.Refusal) string { return advice(&of, user, r) },
	}, nil
}

// explainRDS explains why there is nothing to sign a token with.
func explainRDS(err error) error {
	err = credentials.Explain(err)
	return fault.Wrap(fault.KindOf(err), err, "Could not generate RDS IAM auth token: %s", fault.Message(err))
}

// token presigns the request that connecting stands for. It is valid for this host, port and user only.
func (s *Source) token(ctx context.Context, keys aws.Credentials, e endpoint.Endpoint, user string) (string, error) {
	return s.presign(ctx, keys, e.Address()+"?", url.Values{"DBUser": {user}}, rdsSigningName, e.Region)
}

// presign signs the request of connecting for a place and what else a service wants in it.
func (s *Source) presign(ctx context.Context, keys aws.Credentials, place string, query url.Values, service, region string) (string, error) {
	query.Set("Action", "connect")
	query.Set("X-Amz-Expires", strconv.Itoa(int(tokenLife/time.Second)))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+place+query.Encode(), nil)
	if err != nil {
		return "", fmt.Errorf("making the request of a token: %w", err)
	}
	signed, _, err := s.signer.PresignHTTP(ctx, keys, req, emptyPayloadHash, service, region, s.cfg.Now().UTC())
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return strings.TrimPrefix(signed, "https://"), nil
}
