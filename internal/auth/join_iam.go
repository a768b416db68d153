package auth

import (
	"context"
	"errors"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/resource"
)

// proveIAM finds out who the host is in AWS, by asking STS who signed its request.
func (a *Authority) proveIAM(ctx context.Context, req *sallyportv1.JoinRequest, proof *sallyportv1.IamProof, roles []resource.SystemRole, who *applicant, record *hostRecord, event *audit.InstanceJoin) error {
	if !a.challenges.use(proof.GetChallenge(), a.Now()) { // whatever comes of it, it is used now
		return refuseAWS("the challenge was not given out, is used, or has expired")
	}
	if a.AWS.STS == nil {
		return refuseAWS("this auth server does not ask STS")
	}
	// Without a token for it, strangers could have STS asked as often as they like.
	token, _, err := a.tokenFor(ctx, req.GetToken(), who.method, roles)
	if err != nil {
		return err
	}
	event.TokenName = token.ShownName()
	caller, err := a.AWS.STS.Caller(ctx, awsjoin.SignedRequest{
		Host: proof.GetHost(), Authorization: proof.GetAuthorization(), Date: proof.GetDate(), SecurityToken: proof.GetSecurityToken(),
	}, awsjoin.Binding(proof.GetChallenge(), awsjoin.Application{
		Token: req.GetToken(), HostID: req.GetHostId(), NodeName: req.GetNodeName(), Roles: req.GetRoles(), PublicKey: req.GetPublicKey(),
	}))
	if _, refused := errors.AsType[*awsjoin.Refusal](err); err != nil && !refused {
		return a.cannotAsk(err)
	}
	if err != nil {
		return err
	}
	event.Attributes = map[string]string{"account": caller.Account, "arn": caller.ARN}
	record.Holder = holderOf(caller.ARN)
	who.match = func(rule resource.TokenRule) bool {
		return rule.AWSAccount == caller.Account && rule.MatchARN(caller.ARN)
	}
	return nil
}

// holderOf returns what stays the same of an identity when its host is started again: a role's sessions may have another
// name each time.
func holderOf(arn string) string {
	if strings.Contains(arn, ":assumed-role/") {
		arn = arn[:strings.LastIndexByte(arn, '/')]
	}
	return arn
}
