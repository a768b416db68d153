package service

import (
	"context"
	"log/slog"

	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/aws/hostproof"
	"sallyport/internal/aws/instances"
	"sallyport/internal/config"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// authOfAWS is what auth needs to judge hosts in AWS that join.
func (d *daemon) authOfAWS(logger *slog.Logger) (auth.AWS, error) {
	certificates := awsjoin.Certificates(d.cfg.Auth.EC2IdentityCertificates)
	if certificates != "" {
		if err := certificates.Check(); err != nil {
			return auth.AWS{}, fault.Wrap(fault.BadParameter, err, "auth_service.ec2_identity_certificates: %s", err)
		}
	}
	sts := awsjoin.NewSTS(d.sts)
	if d.fips() {
		sts = sts.Validated()
	}
	return auth.AWS{
		STS: sts, Certificates: certificates,
		Instances: instances.Asker{Credentials: d.awsCredentials(logger.With("component", "aws"))},
	}, nil
}

// joinToken returns the secret with which this host joins, or the name of the token of another join method.
func (d *daemon) joinToken() (string, error) {
	if d.cfg.JoinMethod != resource.JoinToken {
		return d.cfg.Token, nil
	}
	return config.ReadSecret(d.cfg.Token)
}

// prove adds to a request what the join method asks for besides the token.
func (d *daemon) prove(ctx context.Context, client *authapi.Client, req *sallyportv1.JoinRequest) error {
	maker := hostproof.Maker{Credentials: d.awsCredentials(d.logger.With("component", "aws")), Now: d.now}
	switch d.cfg.JoinMethod {
	case resource.JoinIAM:
		return proveIAM(ctx, maker, client, req)
	case resource.JoinEC2:
		identity, err := maker.EC2(ctx)
		req.Proof = &sallyportv1.JoinRequest_Ec2{Ec2: &sallyportv1.Ec2Proof{Identity: identity}}
		return err
	}
	return nil
}

func proveIAM(ctx context.Context, maker hostproof.Maker, client *authapi.Client, req *sallyportv1.JoinRequest) error {
	res, err := client.Join.GetJoinChallenge(ctx, &sallyportv1.GetJoinChallengeRequest{})
	if err != nil {
		return err
	}
	if len(res.GetChallenge()) != awsjoin.ChallengeSize {
		return fault.New(fault.Internal, "the auth server gave a challenge of %d bytes", len(res.GetChallenge()))
	}
	signed, err := maker.IAM(ctx, awsjoin.Binding(res.GetChallenge(), awsjoin.Application{
		Token: req.GetToken(), HostID: req.GetHostId(), NodeName: req.GetNodeName(), Roles: req.GetRoles(), PublicKey: req.GetPublicKey(),
	}))
	if err != nil {
		return err
	}
	req.Proof = &sallyportv1.JoinRequest_Iam{Iam: &sallyportv1.IamProof{
		Challenge: res.GetChallenge(), Host: signed.Host,
		Authorization: signed.Authorization, Date: signed.Date, SecurityToken: signed.SecurityToken,
	}}
	return nil
}
