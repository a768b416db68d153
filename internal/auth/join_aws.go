package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
)

// AWS checks what hosts in AWS show when they join.
type AWS struct {
	// STS tells who signed a host's request, for the method iam. Nil: nobody joins so.
	STS *awsjoin.STS
	// Certificates are those whose identity documents are believed, for the method ec2. None: nobody joins so.
	Certificates awsjoin.Certificates
	// Instances tells whether instances run, for the method ec2. Nil: nobody joins so.
	Instances Instances
}

// Instances tells whether an instance of EC2 runs, as the holder of the role sees it, or this process if that is empty.
type Instances interface {
	Running(ctx context.Context, region, role, instanceID string) (bool, error)
}

// errJoinAWS is the one answer to a host that a token of iam or ec2 does not let in, whatever the reason: the log and the
// audit log of the authority have it.
var errJoinAWS = fault.New(fault.AccessDenied, "this host was not let in with its identity in AWS; the audit log of the cluster tells why (event instance.join), and the token's join method, roles and allow rules say who is (tctl get token/NAME)")

// errAskAWS is the answer to a host about which AWS could not be asked, which may try again.
var errAskAWS = fault.New(fault.ConnectionProblem, "the auth server cannot ask AWS about this host at this moment; its log tells why")

func refuseAWS(format string, args ...any) error {
	return &joinRefusal{fmt.Sprintf(format, args...), errJoinAWS}
}

// rejoinAfter is how long after a join another may follow under the same id, with the same identity in AWS: until then
// the host may be one that is about to run.
const rejoinAfter = time.Minute

// admitFromAWS lets a host in, or not, by what it is in AWS, and completes its record and the event.
func (a *Authority) admitFromAWS(ctx context.Context, req *sallyportv1.JoinRequest, roles []resource.SystemRole, record *hostRecord, event *audit.InstanceJoin) error {
	who := applicant{host: req.GetHostId()}
	var err error
	switch proof := req.GetProof().(type) {
	case *sallyportv1.JoinRequest_Iam:
		who.method = resource.JoinIAM
		event.Method = who.method
		err = a.proveIAM(ctx, req, proof.Iam, roles, &who, record, event)
	case *sallyportv1.JoinRequest_Ec2:
		who.method = resource.JoinEC2
		event.Method = who.method
		err = a.proveEC2(ctx, req, proof.Ec2, roles, &who, record, event)
	default:
		return fault.New(fault.BadParameter, "the join request holds a proof that this auth server does not know; use a newer one")
	}
	if err == nil {
		event.HostID, who.proven = who.host, ownHost(ctx, req, who.host)
		record.Token, err = a.useToken(ctx, req.GetToken(), who, roles, event)
	}
	if err == nil {
		err = a.saveHost(ctx, who.host, *record, func(old hostRecord) error { return record.mayReplace(old, who.proven) })
	}
	return a.explainAWS(err)
}

// mayReplace refuses to put the record in the place of that of a host which is another in AWS, or which may be about to
// run, unless it is proven to be the same: the second of two that show one identity document must find that it is taken.
func (r *hostRecord) mayReplace(old hostRecord, proven bool) error {
	switch {
	case old.Holder != "" && old.Holder != r.Holder:
		return refuseAWS("host id is taken by another identity in AWS: %s", old.Holder)
	case old.Holder != "" && !proven && r.Joined.Sub(old.Joined) < rejoinAfter:
		return &joinRefusal{"host joined less than a minute ago", fault.New(fault.LimitExceeded,
			"a host with this id and this identity in AWS has joined within the last minute; try again in a minute")}
	}
	return nil
}

// explainAWS turns what is wrong with a proof into a refusal with one answer to the host.
func (a *Authority) explainAWS(err error) error {
	if refusal, ok := errors.AsType[*awsjoin.Refusal](err); ok {
		return refuseAWS("%s", refusal)
	}
	if refusal, ok := errors.AsType[*joinRefusal](err); ok && refusal.told == errJoin {
		return &joinRefusal{refusal.why, errJoinAWS}
	}
	return err
}

// cannotAsk says that AWS could not be asked. It is a failure on our side, which the log tells of.
func (a *Authority) cannotAsk(err error) error {
	return &joinRefusal{fmt.Sprintf("AWS could not be asked: %s", explained(err)), errAskAWS}
}

func explained(err error) string {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return fault.Message(known)
	}
	return err.Error()
}
