// Package hostproof makes what a host in AWS shows when it joins: a signed call of sts:GetCallerIdentity, or the identity
// document of its EC2 instance.
package hostproof

import (
	"context"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/fault"
)

// Maker makes proofs. Safe for concurrent use.
type Maker struct {
	Credentials *credentials.Provider
	Now         func() time.Time
}

// IAM signs a call of GetCallerIdentity with the credentials of this process. The binding is of awsjoin.Binding. Nothing
// but the credentials is asked of AWS. Errors are faults.
func (m Maker) IAM(ctx context.Context, binding string) (awsjoin.SignedRequest, error) {
	cfg, err := m.Credentials.For(ctx, credentials.Chain{})
	if err != nil {
		return awsjoin.SignedRequest{}, err
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return awsjoin.SignedRequest{}, credentials.Explain(err)
	}
	fips, err := m.Credentials.FIPS(ctx)
	if err != nil {
		return awsjoin.SignedRequest{}, err
	}
	return sign(ctx, keys, cfg.Region, binding, fips, m.Now())
}

func sign(ctx context.Context, keys aws.Credentials, region, binding string, fips bool, now time.Time) (awsjoin.SignedRequest, error) {
	host, signingRegion := awsjoin.HostFor(region, fips)
	req := awsjoin.NewRequest(host, binding)
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, awsjoin.BodyHash(), "sts", signingRegion, now); err != nil {
		return awsjoin.SignedRequest{}, fault.Wrap(fault.Internal, err, "the proof of this host's identity in AWS cannot be signed: %s", err)
	}
	return awsjoin.SignedRequest{
		Host: host, Authorization: req.Header.Get("Authorization"), Date: req.Header.Get("X-Amz-Date"),
		SecurityToken: req.Header.Get("X-Amz-Security-Token"),
	}, nil
}

const identityPath = "instance-identity/rsa2048"

// EC2 returns the signed identity document of the instance that this process runs on. Errors are faults.
func (m Maker) EC2(ctx context.Context) ([]byte, error) {
	client, err := m.Credentials.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.GetDynamicData(ctx, &imds.GetDynamicDataInput{Path: identityPath})
	var identity []byte
	if err == nil {
		identity, err = read(out.Content)
	}
	if err != nil {
		return nil, fault.Wrap(fault.ConnectionProblem, err,
			"the metadata of this EC2 instance cannot be read: %s; the join method ec2 works on instances of EC2 only, with metadata switched on and, for containers, a hop limit of at least 2", err)
	}
	return identity, nil
}

const maxIdentity = 16 << 10

func read(content io.ReadCloser) ([]byte, error) {
	defer content.Close()
	return io.ReadAll(io.LimitReader(content, maxIdentity))
}
