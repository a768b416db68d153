package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"

	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
)

// Handler returns the API. The context of a request says who calls; see TLSHandler and
// authapi.NewLocal.
func (a *Authority) Handler() http.Handler {
	opts := connect.WithHandlerOptions(
		connect.WithInterceptors(door{a}),
		connect.WithConditionalHandlerOptions(readLimit),
		connect.WithRecover(a.recovered),
	)
	mux := http.NewServeMux()
	mount := func(path string, handler http.Handler) { mux.Handle(path, handler) }
	mount(sallyportv1connect.NewClusterServiceHandler(clusterAPI{a}, opts))
	mount(sallyportv1connect.NewResourceServiceHandler(resourceAPI{a}, opts))
	mount(sallyportv1connect.NewJoinServiceHandler(joinAPI{a}, opts))
	mount(sallyportv1connect.NewUserServiceHandler(userAPI{a}, opts))
	mount(sallyportv1connect.NewLoginServiceHandler(loginAPI{a}, opts))
	mount(sallyportv1connect.NewCertificateServiceHandler(certAPI{a}, opts))
	mount(sallyportv1connect.NewDatabaseServiceHandler(databaseAPI{a}, opts))
	mount(sallyportv1connect.NewPolicyServiceHandler(policyAPI{a}, opts))
	mount(sallyportv1connect.NewAuditServiceHandler(auditAPI{a}, opts))
	return a.gate(mux)
}

// unknownPeer is no address, so that no certificate is bound to it.
const unknownPeer = "unknown"

// TLSHandler puts the identity of the TLS client certificate, which the listener has verified, and the
// peer's address into the context of each request.
func TLSHandler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := mtls.PeerIdentity(r.TLS)
		if err != nil {
			http.Error(w, "the client certificate cannot be read", http.StatusUnauthorized)
			return
		}
		from := r.RemoteAddr
		if id != nil && id.PinnedIP != "" && r.TLS.HelloRetryRequest {
			// What a proxy signs about a client is about its first ClientHello; whoever answered the request for a second
			// one need not be the same.
			from = unknownPeer
		}
		ctx := WithPeer(r.Context(), from)
		if id != nil {
			ctx = identity.NewContext(ctx, id)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// recovered turns a panic of a method into an error of that call alone.
func (a *Authority) recovered(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
	a.Logger.Error("call panicked", "procedure", spec.Procedure, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New(fault.Message(nil)))
}
