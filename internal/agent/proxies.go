package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/mtls"
	"sallyport/internal/tunnel"
)

const (
	beatEvery      = 10 * time.Second
	proxySilence   = 45 * time.Second
	longestRedial  = 5 * time.Second
	proxyListEvery = 5 * time.Second
	elsewhereCheck = time.Minute
)

// control is the control connection to one proxy.
type control struct {
	reports chan *sallyportv1.ControlRequest // to be sent
	ended   chan struct{}                    // closed at the end
}

// followedElsewhere is why an address is left alone: it leads to a proxy that is followed by another address
// already, and a proxy takes one control connection of each agent.
type followedElsewhere struct{ by *control }

func (*followedElsewhere) Error() string { return "the proxy is followed by another address" }

// followProxies keeps a control connection to every proxy until the context ends. Data connections are
// served until drain ends.
func (a *Agent) followProxies(ctx, drain context.Context) {
	running := make(map[string]context.CancelFunc)
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		wanted := make(map[string]bool)
		for _, address := range a.Proxies() {
			wanted[address] = true
			if running[address] == nil {
				proxyCtx, cancel := context.WithCancel(ctx)
				running[address] = cancel
				all.Go(func() { a.followProxy(proxyCtx, drain, address) })
			}
		}
		for address, cancel := range running {
			if !wanted[address] {
				a.Logger.Info("proxy has left the cluster", "proxy", address)
				cancel()
				delete(running, address)
			}
		}
		changed := a.Cache.Changed()
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(proxyListEvery):
		}
	}
	for _, cancel := range running {
		cancel()
	}
}

// followProxy keeps one control connection, dialling again whenever it breaks.
func (a *Agent) followProxy(ctx, drain context.Context, address string) {
	logger := a.Logger.With("proxy", address)
	lost := false
	back := func() {
		if lost {
			logger.Info("connected to the proxy again")
		}
	}
	for wait := time.Duration(0); ctx.Err() == nil; {
		began := a.Now()
		err := a.controlOnce(ctx, drain, address, back)
		if ctx.Err() != nil {
			return
		}
		if elsewhere, ok := errors.AsType[*followedElsewhere](err); ok {
			select {
			case <-ctx.Done():
			case <-elsewhere.by.ended:
			case <-time.After(elsewhereCheck): // it may lead to another proxy by now
			}
			continue
		}
		if connect.CodeOf(err) == connect.CodeAlreadyExists {
			a.twin.saw(a.Now())
		}
		lost = true
		if a.Now().Sub(began) > longestRedial {
			wait = 0
		}
		wait = min(max(2*wait, 100*time.Millisecond), longestRedial)
		logger.Warn("proxy connection ended; sessions go on whose own connections hold", "error", err, "retry_in", wait.String())
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

// controlOnce opens a control connection and serves it until it breaks. Connected is called when the proxy has answered.
func (a *Agent) controlOnce(ctx, drain context.Context, address string, connected func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &control{reports: make(chan *sallyportv1.ControlRequest, 1024), ended: make(chan struct{})}
	defer a.leave(c)
	var taken atomic.Pointer[followedElsewhere]
	transport := authapi.NewTransport(a.Dialer.To(address), a.controlConfig(c, &taken))
	defer transport.CloseIdleConnections()
	client := sallyportv1connect.NewTunnelServiceClient(&http.Client{Transport: transport}, "https://proxy")
	stream, err := client.Control(ctx)
	if err == nil {
		err = stream.Send(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Heartbeat{Heartbeat: &sallyportv1.Heartbeat{}}})
		if err != nil {
			err = streamError(stream, err)
		}
	}
	if elsewhere := taken.Load(); elsewhere != nil {
		return elsewhere
	}
	if err != nil {
		return err
	}
	pool := a.pool(address, c)
	parking, unpark := context.WithCancel(ctx)
	defer func() {
		unpark()
		a.leaving.Go(pool.Wait) // sessions go on
	}()
	var sender sync.WaitGroup
	sender.Go(func() {
		cancel(a.sendReports(ctx, stream, c))
		_ = stream.CloseRequest() // while it is open, the end of the context does not end the stream (net/http, HTTP/2)
	})
	defer sender.Wait()
	defer cancel(nil)
	return a.receive(ctx, parking, drain, stream, c, pool, cancel, sync.OnceFunc(connected))
}

// controlConfig is for a control connection, which is given up when it leads to a proxy that is followed already.
func (a *Agent) controlConfig(c *control, taken *atomic.Pointer[followedElsewhere]) *tls.Config {
	cfg := mtls.At(a.Now, mtls.Client(a.HostCert, a.Trust, "Proxy", "proxy."+a.Cluster, mtls.ProtocolTunnel, mtls.ProtocolHTTP2))
	verify := cfg.VerifyConnection
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := verify(cs); err != nil {
			return err
		}
		id, err := mtls.PeerIdentity(&cs)
		if err != nil {
			return err
		}
		if other := a.claim(id.Name, c); other != c {
			elsewhere := &followedElsewhere{other}
			taken.Store(elsewhere)
			return elsewhere
		}
		return nil
	}
	return cfg
}

// claim makes c the control connection to a proxy, by host id, unless there is one, and returns which it is.
func (a *Agent) claim(proxy string, c *control) *control {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.controls[proxy] == nil {
		a.controls[proxy] = c
	}
	return a.controls[proxy]
}

// leave ends the claims of a control connection.
func (a *Agent) leave(c *control) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.controls, func(_ string, other *control) bool { return other == c })
	close(c.ended)
}

// streamError returns why a stream ended, which the failure of a send does not say.
func streamError(stream *connect.BidiStreamForClientSimple[sallyportv1.ControlRequest, sallyportv1.ControlResponse], err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	_, err = stream.Receive()
	return err
}

func (a *Agent) pool(address string, c *control) *tunnel.Pool {
	return &tunnel.Pool{
		Dial:  func(ctx context.Context) (net.Conn, error) { return a.Dialer.Dial(ctx, address) },
		Admit: a.Admit,
		Serve: func(ctx context.Context, conn net.Conn, d tunnel.Dispatch) {
			a.Serve(ctx, conn, d, func() {
				c.report(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Authenticated{
					Authenticated: &sallyportv1.Authenticated{ConnectionId: d.Connection[:]}}})
			})
		},
	}
}

// report queues a message for the proxy; when the connection is far behind it is left out.
func (c *control) report(msg *sallyportv1.ControlRequest) {
	select {
	case c.reports <- msg:
	default:
	}
}

func (a *Agent) sendReports(ctx context.Context, stream *connect.BidiStreamForClientSimple[sallyportv1.ControlRequest, sallyportv1.ControlResponse], c *control) error {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		var msg *sallyportv1.ControlRequest
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case msg = <-c.reports:
		case <-beat.C:
			msg = &sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Heartbeat{Heartbeat: &sallyportv1.Heartbeat{}}}
		}
		if err := stream.Send(msg); err != nil {
			return fmt.Errorf("sending to proxy: %w", err)
		}
	}
}

// receive does what the proxy asks for until the connection breaks.
func (a *Agent) receive(ctx, parking, drain context.Context, stream *connect.BidiStreamForClientSimple[sallyportv1.ControlRequest, sallyportv1.ControlResponse], c *control, pool *tunnel.Pool, cancel context.CancelCauseFunc, connected func()) error {
	silence := time.AfterFunc(proxySilence, func() { cancel(errors.New("proxy is silent")) })
	defer silence.Stop()
	for {
		msg, err := stream.Receive()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return err
		}
		silence.Reset(proxySilence)
		connected()
		switch m := msg.GetMessage().(type) {
		case *sallyportv1.ControlResponse_Ticket:
			ticket, err := tunnel.NewTicket(m.Ticket.GetId(), m.Ticket.GetSecret())
			if err != nil {
				return err
			}
			pool.Use(parking, drain, ticket, func(err error) {
				a.Logger.Warn("data connection to proxy failed", "error", err)
			})
		case *sallyportv1.ControlResponse_Cancel:
			a.cancelFor(ctx, c, m.Cancel)
		case *sallyportv1.ControlResponse_CancelFound:
			if request, ok := authapi.FoundRequest(m.CancelFound); ok {
				a.CancelFound(request)
			}
		}
	}
}
