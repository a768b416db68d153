package authapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"sallyport/internal/identity"
)

// keepEOF turns an error of a stream into a fault and leaves the ordinary end alone.
func keepEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	return FromWire(err)
}

// Local connects clients to an API handler in the same process: the same handler and the same decisions
// as over the network, without TLS. Close ends it.
type Local struct {
	id        atomic.Pointer[identity.Identity]
	server    *http.Server
	listener  *pipeListener
	transport *http.Transport
	done      chan struct{}
}

// NewLocal returns a client whose calls reach the handler as the identity. Close on the Local ends it.
func NewLocal(handler http.Handler, id *identity.Identity) (*Local, *Client) {
	listener := newPipeListener()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	l := &Local{
		listener: listener,
		done:     make(chan struct{}),
		server: &http.Server{
			Protocols: protocols,
		},
		transport: &http.Transport{
			Protocols:   protocols,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.dial(ctx) },
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

// pipeListener is a listener whose connections are made by dial in the same process.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "in-process" }
