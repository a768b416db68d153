package auth

import (
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
)

// Bounds of one request's body, in bytes, after decompression.
const (
	smallRequest    = 64 << 10 // what strangers send, and people who log in
	resourceRequest = 4 << 20  // resources and certificates
)

// strangerDeadline is how long a caller without an identity may take to send a request.
const strangerDeadline = 30 * time.Second

// readLimit bounds the requests of one method.
func readLimit(spec connect.Spec) []connect.HandlerOption {
	limit := smallRequest
	service, _, _ := strings.Cut(strings.TrimPrefix(spec.Procedure, "/"), "/")
	switch {
	case spec.Procedure == sallyportv1connect.AuditServiceSubmitEventsProcedure:
		limit = authapi.MaxMessage // an event may hold the longest statement there is
	case service == sallyportv1connect.ResourceServiceName, service == sallyportv1connect.UserServiceName,
		service == sallyportv1connect.CertificateServiceName, service == sallyportv1connect.DatabaseServiceName,
		service == sallyportv1connect.PolicyServiceName:
		limit = resourceRequest
	}
	return []connect.HandlerOption{connect.WithReadMaxBytes(limit)}
}

// gate stands before the door, where a request's body has not been read yet: whoever can never pass the
// door does not get there with a body, and a stranger's body is small, plain and in time. So nobody can
// fill the memory before it is known who calls.
func (a *Authority) gate(next http.Handler) http.Handler {
	errors := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := identity.FromContext(r.Context())
		if id != nil && a.Now().After(id.Expires) {
			w.Header().Set("Connection", "close") // the next connection brings the renewed certificate
		}
		if rule, ok := table[r.URL.Path]; ok {
			err := rule.hopeless(id)
			if err == nil && id == nil && compressed(r.Header) {
				err = fault.New(fault.BadParameter, "a compressed request needs a certificate; send it plain")
			}
			if err != nil {
				_ = errors.Write(w, r, authapi.ToWire(err)) // the caller is gone
				return
			}
		}
		if id == nil {
			r.Body = http.MaxBytesReader(w, r.Body, smallRequest+1<<10)                         // with the framing of the protocol
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strangerDeadline)) // net/http always can
		}
		next.ServeHTTP(w, r)
	})
}

// compressed reports whether a request of any of Connect's protocols says that it is compressed.
func compressed(h http.Header) bool {
	for _, key := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		if value := h.Get(key); value != "" && value != "identity" {
			return true
		}
	}
	return false
}
