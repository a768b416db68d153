package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/agent"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/cancelkey"
	"sallyport/internal/detour"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/session"
)

// canceller is an engine with one session, whose key is pid 7.
type canceller struct {
	cancelled chan cancelkey.Key // that were shown
	found     chan cancelkey.ID  // answers of others
}

func (canceller) Serve(context.Context, net.Conn, *session.Session) error { return nil }

func (c canceller) FindCancel(key cancelkey.Key) func(context.Context) {
	if key.ProcessID != 7 {
		return nil
	}
	return func(context.Context) { c.cancelled <- key }
}

func (c canceller) CancelFound(request cancelkey.ID) { c.found <- request }

// farProxy is the proxy's side of control connections.
type farProxy struct {
	heard chan *sallyportv1.ControlRequest
	say   chan *sallyportv1.ControlResponse
	end   chan error // with which a connection ends
}

func (p *farProxy) Control(ctx context.Context, stream *connect.BidiStream[sallyportv1.ControlRequest, sallyportv1.ControlResponse]) error {
	ended := make(chan error, 1)
	go func() {
		for {
			msg, err := stream.Receive()
			if err != nil {
				ended <- err
				return
			}
			if msg.GetHeartbeat() == nil {
				p.heard <- msg
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case err := <-p.end:
			return err
		case msg := <-p.say:
			if err := stream.Send(msg); err != nil {
				return err
			}
		}
	}
}

// startProxy serves control connections of the cluster's agents and returns the address.
func (a *authority) startProxy(t *testing.T) (*farProxy, string) {
	t.Helper()
	p := &farProxy{heard: make(chan *sallyportv1.ControlRequest, 10), say: make(chan *sallyportv1.ControlResponse), end: make(chan error)}
	cert := a.certificate(t, &identity.Identity{Kind: identity.Host, Cluster: cluster, Name: "44444444-4444-4444-8444-444444444444", SystemRoles: []string{"Proxy"}})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(sallyportv1connect.NewTunnelServiceHandler(p))
	server := &http.Server{Handler: mux}
	cfg := mtls.Server(func(string) (*tls.Certificate, error) { return cert, nil }, a.trust, true, mtls.ProtocolHTTP2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(tls.NewListener(listener, cfg))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return p, listener.Addr().String()
}

func (p *farProxy) hear(t *testing.T) *sallyportv1.ControlRequest {
	t.Helper()
	select {
	case msg := <-p.heard:
		return msg
	case <-time.After(patience):
		t.Fatal("the agent says nothing")
		return nil
	}
}

// follow has an agent connect to one proxy.
func follow(cfg *agent.Config, address string) {
	cfg.Proxies = func() []string { return []string{address} }
	cfg.Dialer = detour.New(detour.Config{
		TCP: func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
		Mode: detour.Never, Now: time.Now,
	})
}

func TestAgentsSayWhichCancelKeysTheyKnow(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p, address := a.startProxy(t)
	e := canceller{cancelled: make(chan cancelkey.Key, 10), found: make(chan cancelkey.ID, 10)}
	r := a.start(t, func(cfg *agent.Config) {
		cfg.Engines = map[string]agent.Protocol{"postgres": {Engine: e}}
		follow(cfg, address)
	})
	request := cancelkey.NewID()
	ask := func(pid uint32) {
		p.say <- &sallyportv1.ControlResponse{Message: &sallyportv1.ControlResponse_Cancel{Cancel: &sallyportv1.CancelKey{
			ProcessId: pid, ClientAddress: "192.0.2.1:1000", Request: request[:], Protocol: "postgres"}}}
	}
	ask(6) // which nobody knows: nothing is said
	ask(7)
	if msg := p.hear(t); !bytes.Equal(msg.GetCancelFound().GetRequest(), request[:]) {
		t.Errorf("the agent says %v", msg)
	}
	if key := <-e.cancelled; key.ClientAddress != "192.0.2.1:1000" || key.Protocol != "postgres" || key.Request != request { // which tells the same by way of another proxy
		t.Errorf("cancelled by %+v", key)
	}
	p.say <- &sallyportv1.ControlResponse{Message: &sallyportv1.ControlResponse_CancelFound{CancelFound: &sallyportv1.CancelFound{Request: request[:3]}}}
	p.say <- &sallyportv1.ControlResponse{Message: &sallyportv1.ControlResponse_CancelFound{CancelFound: &sallyportv1.CancelFound{Request: request[:]}}}
	if got := <-e.found; got != request {
		t.Errorf("the engine heard that %x was found", got)
	}
	r.ForwardCancel(cancelkey.Key{Protocol: "mysql", ProcessID: 9, Secret: []byte("key!"), ClientAddress: "192.0.2.2:1", Request: request})
	key := p.hear(t).GetCancel()
	if key.GetProtocol() != "mysql" || key.GetProcessId() != 9 || string(key.GetSecret()) != "key!" || key.GetClientAddress() != "192.0.2.2:1" || !bytes.Equal(key.GetRequest(), request[:]) {
		t.Errorf("passed on as %v", key)
	}
}

// TestCancelKeysAreOfOneProtocol shows every engine's key as one of each protocol: strangers show keys of PostgreSQL, of which every
// byte is theirs.
func TestCancelKeysAreOfOneProtocol(t *testing.T) {
	t.Parallel()
	engines := map[string]canceller{}
	a := newAuthority(t).start(t, func(cfg *agent.Config) {
		cfg.Engines = map[string]agent.Protocol{}
		for _, protocol := range []string{"postgres", "mysql"} {
			engines[protocol] = canceller{cancelled: make(chan cancelkey.Key, 1)}
			cfg.Engines[protocol] = agent.Protocol{Engine: engines[protocol]}
		}
	})
	for _, protocol := range []string{"postgres", "mysql", "redis", ""} {
		cancel := a.FindCancel(cancelkey.Key{Protocol: protocol, ProcessID: 7})
		_, known := engines[protocol]
		if found := cancel != nil; found != known {
			t.Errorf("a key of protocol %q is found: %t", protocol, found)
		}
		if cancel != nil {
			cancel(t.Context())
		}
		for name, e := range engines {
			if n := len(e.cancelled); n > 0 != (name == protocol) {
				t.Errorf("a key of protocol %q cancelled %d sessions of %s", protocol, n, name)
			}
			for len(e.cancelled) > 0 {
				<-e.cancelled
			}
		}
	}
}
