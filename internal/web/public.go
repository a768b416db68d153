package web

import (
	"context"
	"net/http"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
)

type clientKey struct{}

// client is who sits at the other end of a request.
type client struct{ address, agent string }

func withClient(ctx context.Context, address, agent string) context.Context {
	return context.WithValue(ctx, clientKey{}, client{address, agent})
}

func clientOf(ctx context.Context) client {
	c, _ := ctx.Value(clientKey{}).(client)
	return c
}

// publicLogin passes logins on, with the address that the client really has.
type publicLogin struct {
	sallyportv1connect.UnimplementedLoginServiceHandler
	auth *authapi.Client
}

// Login implements the API.
func (p publicLogin) Login(ctx context.Context, req *sallyportv1.LoginRequest) (*sallyportv1.LoginResponse, error) {
	req.ClientAddress, req.UserAgent = clientOf(ctx).address, clientOf(ctx).agent
	res, err := p.auth.Login.Login(ctx, req)
	return res, authapi.ToWire(err)
}

// publicJoin passes joins on.
type publicJoin struct {
	sallyportv1connect.UnimplementedJoinServiceHandler
	auth *authapi.Client
}

// GetJoinChallenge implements the API.
func (p publicJoin) GetJoinChallenge(ctx context.Context, req *sallyportv1.GetJoinChallengeRequest) (*sallyportv1.GetJoinChallengeResponse, error) {
	req.ClientAddress = clientOf(ctx).address
	res, err := p.auth.Join.GetJoinChallenge(ctx, req)
	return res, authapi.ToWire(err)
}

// Join implements the API.
func (p publicJoin) Join(ctx context.Context, req *sallyportv1.JoinRequest) (*sallyportv1.JoinResponse, error) {
	req.ClientAddress = clientOf(ctx).address
	res, err := p.auth.Join.Join(ctx, req)
	return res, authapi.ToWire(err)
}

// publicCluster says what anyone may know.
type publicCluster struct {
	sallyportv1connect.UnimplementedClusterServiceHandler
	auth  *authapi.Client
	allow func(address string) error
}

// Ping implements the API.
func (p publicCluster) Ping(ctx context.Context, req *sallyportv1.PingRequest) (*sallyportv1.PingResponse, error) {
	if err := p.allow(clientOf(ctx).address); err != nil {
		return nil, authapi.ToWire(err)
	}
	res, err := p.auth.Cluster.Ping(ctx, req)
	return res, authapi.ToWire(err)
}

// GetAuthorities implements the API.
func (p publicCluster) GetAuthorities(ctx context.Context, req *sallyportv1.GetAuthoritiesRequest) (*sallyportv1.GetAuthoritiesResponse, error) {
	if err := p.allow(clientOf(ctx).address); err != nil {
		return nil, authapi.ToWire(err)
	}
	res, err := p.auth.Cluster.GetAuthorities(ctx, req)
	return res, authapi.ToWire(err)
}

// sameOrigin reports whether a form was sent by a page of ours.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return r.Header.Get("Origin") == "https://"+r.Host
}
