package auth

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
)

// clusterAPI implements ClusterService.
type clusterAPI struct{ *Authority }

// Ping implements the API.
func (a clusterAPI) Ping(ctx context.Context, _ *sallyportv1.PingRequest) (*sallyportv1.PingResponse, error) {
	if err := a.allowQuestion(ctx); err != nil {
		return nil, err
	}
	preference, err := a.preference(ctx)
	if err != nil {
		return nil, err
	}
	factor, err := a.secondFactor(ctx)
	if err != nil {
		return nil, err
	}
	addresses, err := a.proxyAddresses(ctx)
	return &sallyportv1.PingResponse{
		ClusterName: a.cluster, ServerVersion: a.Version, SecondFactor: factor, ProxyAddresses: addresses,
		MessageOfTheDay: preference.MessageOfTheDay,
	}, err
}

// GetAuthorities implements the API.
func (a clusterAPI) GetAuthorities(ctx context.Context, _ *sallyportv1.GetAuthoritiesRequest) (*sallyportv1.GetAuthoritiesResponse, error) {
	if err := a.allowQuestion(ctx); err != nil {
		return nil, err
	}
	res := &sallyportv1.GetAuthoritiesResponse{Authorities: a.publicAuthorities()}
	for _, cert := range a.authority(ca.HostCA).trusted {
		res.Pins = append(res.Pins, ca.Pin(cert))
	}
	return res, nil
}

// WhoAmI implements the API.
func (a clusterAPI) WhoAmI(ctx context.Context, _ *sallyportv1.WhoAmIRequest) (*sallyportv1.WhoAmIResponse, error) {
	c := callerOf(ctx)
	res := &sallyportv1.WhoAmIResponse{Name: c.id.Name, SystemRoles: c.id.SystemRoles, Expires: timestamppb.New(c.id.Expires)}
	if c.user != nil {
		res.Roles = c.user.Spec.Roles
	}
	return res, nil
}
