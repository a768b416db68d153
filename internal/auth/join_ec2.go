package auth

import (
	"context"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/resource"
)

// clockSkew is how far the clock of EC2 may be ahead of ours.
const clockSkew = time.Minute

// proveEC2 finds out which instance the host is, by the signature of its identity document, and asks EC2 whether it runs.
func (a *Authority) proveEC2(ctx context.Context, req *sallyportv1.JoinRequest, proof *sallyportv1.Ec2Proof, roles []resource.SystemRole, who *applicant, record *hostRecord, event *audit.InstanceJoin) error {
	token, _, err := a.tokenFor(ctx, req.GetToken(), who.method, roles)
	if err != nil {
		return err
	}
	event.TokenName = token.ShownName()
	if a.AWS.Instances == nil {
		return refuseAWS("this auth server does not ask EC2")
	}
	instance, err := awsjoin.VerifyIdentity(proof.GetIdentity(), a.AWS.Certificates.For)
	if err != nil {
		return err
	}
	event.Attributes = map[string]string{"account": instance.Account, "region": instance.Region, "instance_id": instance.ID}
	// The id is made of the instance's: it can join under no other, and nobody else can join under it.
	who.host = instance.Account + "-" + instance.ID
	record.Holder = who.host
	age, limit := a.Now().Sub(instance.Pending), time.Duration(token.Spec.AWSIIDTTL)
	if (age > limit || age < -clockSkew) && !ownHost(ctx, req, who.host) {
		return refuseAWS("the instance was started %s ago and may join for %s", age.Round(time.Second), limit)
	}
	who.match = func(rule resource.TokenRule) bool {
		return rule.AWSAccount == instance.Account && (len(rule.AWSRegions) == 0 || slices.Contains(rule.AWSRegions, instance.Region))
	}
	return a.refuseStopped(ctx, token, instance, who.match)
}

// refuseStopped refuses an instance of which EC2 does not say that it runs: a document outlives its instance.
func (a *Authority) refuseStopped(ctx context.Context, token *resource.Token, instance awsjoin.Instance, match func(resource.TokenRule) bool) error {
	for _, rule := range token.Spec.Allow {
		if !match(rule) {
			continue
		}
		runs, err := a.AWS.Instances.Running(ctx, instance.Region, rule.AWSRole, instance.ID)
		if err != nil {
			return a.cannotAsk(err)
		}
		if runs {
			return nil
		}
		return refuseAWS("EC2 knows no such instance that runs")
	}
	return refuseAWS("no rule of the token allows the host")
}
