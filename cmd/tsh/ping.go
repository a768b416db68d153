package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
	"sallyport/internal/version"
)

// public returns a client of the part of the API that needs no certificate, at the first port that
// answers as a proxy.
func (g *global) public(ctx context.Context, proxy string) (*authapi.Client, string, *sallyportv1.PingResponse, error) {
	addresses := client.ProxyAddresses(proxy)
	address, err := client.FirstAnswer(ctx, addresses, func(ctx context.Context, address string) error {
		api := g.publicAPI(address)
		defer api.Close()
		_, err := api.Cluster.Ping(ctx, &sallyportv1.PingRequest{})
		return err
	})
	switch {
	case untrusted(err):
		return nil, "", nil, fault.Wrap(fault.ConnectionProblem, err, "the web certificate of %s is not trusted by this machine; ask for the proxy's right address, or for tests use --insecure", proxy)
	case fault.Is(err, fault.LimitExceeded):
		return nil, "", nil, err // it is a proxy, and says so
	case err != nil:
		return nil, "", nil, fault.Wrap(fault.ConnectionProblem, err, "no proxy answers at %s; check the address", strings.Join(addresses, " or "))
	}
	api := g.publicAPI(address)
	info, err := api.Cluster.Ping(ctx, &sallyportv1.PingRequest{})
	if err != nil {
		api.Close()
	}
	return api, address, info, err
}

func untrusted(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError))
}

func (g *global) publicAPI(address string) *authapi.Client {
	dialer := client.NewDialer(detour.Never, g.insecure) // what pages are served by is what is meant
	config := mtls.ToWeb(client.ProxyHost(address), g.insecure, mtls.ProtocolHTTP2, mtls.ProtocolHTTP)
	transport := named{authapi.NewTransport(dialer.To(address), config)}
	return authapi.New(&http.Client{Transport: transport}, "https://"+address)
}

// named says in each request which program sends it: the audit log keeps that of logins.
type named struct{ http.RoundTripper }

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "tsh/"+version.Version)
	return n.RoundTripper.RoundTrip(r)
}
