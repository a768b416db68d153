package admission

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

type visitorKey struct{}

// ConnContext is for http.Server: it lets VisitorOf and Recognise find the visitor of a request's connection, which must
// come from Own, with or without TLS above it.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	if owned, ok := conn.(*ownedConn); ok {
		return context.WithValue(ctx, visitorKey{}, owned.visitor)
	}
	return ctx
}

// VisitorOf returns the visitor of a request's connection, or nil if the server does not use ConnContext.
func VisitorOf(ctx context.Context) *Visitor {
	visitor, _ := ctx.Value(visitorKey{}).(*Visitor)
	return visitor
}

// Recognise wraps a handler behind a listener that verifies client certificates: whoever has shown one is
// no stranger any more.
func Recognise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if visitor := VisitorOf(r.Context()); visitor != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			visitor.Known()
		}
		next.ServeHTTP(w, r)
	})
}
