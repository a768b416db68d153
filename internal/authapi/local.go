package authapi

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"sallyport/internal/identity"
	"sallyport/internal/mux"
)

// Local connects clients to an API handler in the same process: the same handler and the same decisions
// as over the network, without TLS. Close ends it.
type Local struct {
	id        atomic.Pointer[identity.Identity]
	server    *http.Server
	transport *http.Transport
	done      chan struct{}
}

// NewLocal returns a client whose calls reach the handler as the identity. Close on the Local ends it.
func NewLocal(handler http.Handler, id *identity.Identity) (*Local, *Client) {
	listener := mux.NewListener(&net.UnixAddr{Name: "in-process", Net: "pipe"})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	l := &Local{
		done: make(chan struct{}),
		server: &http.Server{
			Protocols: protocols,
		},
		transport: &http.Transport{
			Protocols: protocols,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				listener.Hand(theirs)
				return ours, nil
			},
		},
	}
	l.id.Store(id)
	l.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(identity.NewContext(r.Context(), l.id.Load())))
	})
	go func() {
		defer close(l.done)
		_ = l.server.Serve(listener) // always ends with ErrServerClosed
	}()
	client := New(&http.Client{Transport: l.transport}, "http://auth")
	client.transport = l.transport
	return l, client
}

// SetIdentity replaces the identity as which later calls are made.
func (l *Local) SetIdentity(id *identity.Identity) { l.id.Store(id) }

// Close ends running calls and waits until nothing is left.
func (l *Local) Close() {
	_ = l.server.Close()
	<-l.done
	l.transport.CloseIdleConnections()
}
