package fakeawstest

import (
	"io"
	"net/http"
)

// HTTPClient is a client for the SDK that makes a request's body an io.Reader and nothing more.
//
// The SDK closes a body as soon as the answer begins, while net/http may still be looking for its end. Of a closed body
// that is an io.WriterTo (smithy-go v1.28.9, safeWriteToReadCloser) it then learns an error, and closes the connection
// under the answer: "use of closed network connection". A server as near as this one is quick enough for that to happen.
// The SDK tries again, but tests count calls.
func HTTPClient() *http.Client { return &http.Client{Transport: plainBodies{http.DefaultTransport}} }

type plainBodies struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return p.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Body = struct {
		io.Reader
		io.Closer
	}{r.Body, r.Body}
	return p.next.RoundTrip(r)
}
