// Package authapi is what travels to and from the auth server: the generated types, the client, and the
// turning of faults into API errors and back.
package authapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
)

// MaxMessage bounds one message in either direction, in bytes. Audit batches are cut to fit, except that
// a single event of any size travels alone, up to what PostgreSQL can send at once.
const MaxMessage = 1<<30 + 1<<20

// Client calls the auth server. Safe for concurrent use.
type Client struct {
	Cluster      sallyportv1connect.ClusterServiceClient
	Resources    sallyportv1connect.ResourceServiceClient
	Join         sallyportv1connect.JoinServiceClient
	Users        sallyportv1connect.UserServiceClient
	Login        sallyportv1connect.LoginServiceClient
	Certificates sallyportv1connect.CertificateServiceClient
	Databases    sallyportv1connect.DatabaseServiceClient
	Policies     sallyportv1connect.PolicyServiceClient
	Audit        sallyportv1connect.AuditServiceClient

	transport *http.Transport
}

// New returns a client that sends calls with the HTTP client to a base address. Errors of its calls are
// faults.
func New(httpClient connect.HTTPClient, baseURL string) *Client {
	opts := []connect.ClientOption{
		connect.WithInterceptors(faults{}),
		connect.WithReadMaxBytes(MaxMessage),
	}
	return &Client{
		Cluster:      sallyportv1connect.NewClusterServiceClient(httpClient, baseURL, opts...),
		Resources:    sallyportv1connect.NewResourceServiceClient(httpClient, baseURL, opts...),
		Join:         sallyportv1connect.NewJoinServiceClient(httpClient, baseURL, opts...),
		Users:        sallyportv1connect.NewUserServiceClient(httpClient, baseURL, opts...),
		Login:        sallyportv1connect.NewLoginServiceClient(httpClient, baseURL, opts...),
		Certificates: sallyportv1connect.NewCertificateServiceClient(httpClient, baseURL, opts...),
		Databases:    sallyportv1connect.NewDatabaseServiceClient(httpClient, baseURL, opts...),
		Policies:     sallyportv1connect.NewPolicyServiceClient(httpClient, baseURL, opts...),
		Audit:        sallyportv1connect.NewAuditServiceClient(httpClient, baseURL, opts...),
	}
}

// Dialer opens TLS as the configuration says to the auth server, or to the proxy that passes it on.
type Dialer func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error)

// NewTLS returns a client that reaches the server on connections from the dialer with the configuration. Close
// frees them.
func NewTLS(dial Dialer, cfg *tls.Config) *Client {
	transport := NewTransport(dial, cfg)
	client := New(&http.Client{Transport: transport}, "https://auth")
	client.transport = transport
	return client
}

// NewTransport returns an HTTP/2 transport on connections from the dialer with the configuration. Dead
// connections are noticed within half a minute.
func NewTransport(dial Dialer, cfg *tls.Config) *http.Transport {
	return &http.Transport{
		DialTLSContext:      func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, cfg) },
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     90 * time.Second,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 15 * time.Second,
			PingTimeout:     15 * time.Second,
		},
	}
}

// Close closes the client's idle connections.
func (c *Client) Close() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// faults turns the errors of calls into faults.
type faults struct{}

func (faults) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		return res, FromWire(err)
	}
}

func (faults) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		return faultConn{next(ctx, spec)}
	}
}

func (faults) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

type faultConn struct{ connect.StreamingClientConn }

func (c faultConn) Receive(msg any) error { return keepEOF(c.StreamingClientConn.Receive(msg)) }
