package service

import (
	"context"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/aws/policy"
)

// policyLedger is the ledger of policies that auth keeps.
type policyLedger struct {
	auth sallyportv1connect.PolicyServiceClient
}

// Begin implements policy.Ledger.
func (l policyLedger) Begin(ctx context.Context, identity string, change policy.Change) (*policy.Turn, error) {
	res, err := l.auth.BeginPolicyChange(ctx, &sallyportv1.BeginPolicyChangeRequest{Identity: identity, Policy: change.Policy, Needs: toWire(change.Adds), Drops: toWire(change.Drops)})
	if err != nil {
		return nil, err
	}
	if res.GetTurn() == "" {
		return nil, policy.ErrBusy
	}
	return &policy.Turn{
		Identity: identity, ID: res.GetTurn(), Others: fromWire(res.GetOthers()), Own: fromWire(res.GetOwn()), Left: fromWire(res.GetLeft()),
	}, nil
}

// End implements policy.Ledger.
func (l policyLedger) End(ctx context.Context, turn *policy.Turn, granted []policy.Permission) error {
	_, err := l.auth.EndPolicyChange(ctx, &sallyportv1.EndPolicyChangeRequest{Identity: turn.Identity, Turn: turn.ID, Granted: toWire(granted)})
	return err
}

// GiveUp implements policy.Ledger.
func (l policyLedger) GiveUp(ctx context.Context, turn *policy.Turn) error {
	_, err := l.auth.EndPolicyChange(ctx, &sallyportv1.EndPolicyChangeRequest{Identity: turn.Identity, Turn: turn.ID, Failed: true})
	return err
}

func toWire(all []policy.Permission) []*sallyportv1.PolicyPermission {
	var wire []*sallyportv1.PolicyPermission
	for _, p := range all {
		wire = append(wire, &sallyportv1.PolicyPermission{Action: p.Action, Resource: p.Resource})
	}
	return wire
}

func fromWire(wire []*sallyportv1.PolicyPermission) []policy.Permission {
	var all []policy.Permission
	for _, p := range wire {
		all = append(all, policy.Permission{Action: p.GetAction(), Resource: p.GetResource()})
	}
	return all
}
