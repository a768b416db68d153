package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"sallyport/internal/access"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/cache"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/resource"
	"sallyport/internal/tunnel"
)

const (
	upkeepEvery  = 5 * time.Second
	agentSilence = 45 * time.Second // an agent that sends nothing for so long is gone
)

func newTunnelHandler(p *Proxy) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(sallyportv1connect.NewTunnelServiceHandler(&control{p}))
	return mux
}

// control implements TunnelService.
type control struct{ *Proxy }

// Control implements TunnelService: it lives as long as the agent serves through this proxy.
func (c *control) Control(ctx context.Context, stream *connect.BidiStream[sallyportv1.ControlRequest, sallyportv1.ControlResponse]) error {
	id := identity.FromContext(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := c.refuseLocked(id); err != nil {
		return authapi.ToWire(err)
	}
	attached := c.hub.Attach(id.Name)
	defer attached.Close()
	one := &link{host: id.Name, messages: make(chan *sallyportv1.ControlResponse, 32)}
	c.links.add(one)
	defer c.links.remove(one)
	c.cfg.Logger.Info("agent connected", "host_id", id.Name)
	defer c.cfg.Logger.Info("agent disconnected", "host_id", id.Name)
	silence := time.AfterFunc(agentSilence, func() {
		cancel(fault.New(fault.ConnectionProblem, "the proxy heard nothing from this agent for %s", agentSilence))
	})
	defer silence.Stop()
	received := make(chan error, 1)
	// Nobody waits for the receiver: only the handler's return ends the stream and with it the receiver.
	go func() { received <- c.receive(stream, one, silence) }()
	return authapi.ToWire(c.send(ctx, stream, attached, one, id, received))
}

func (c *control) receive(stream *connect.BidiStream[sallyportv1.ControlRequest, sallyportv1.ControlResponse], one *link, silence *time.Timer) error {
	for {
		msg, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		silence.Reset(agentSilence)
		switch m := msg.GetMessage().(type) {
		case *sallyportv1.ControlRequest_Authenticated:
			if id := m.Authenticated.GetConnectionId(); len(id) == len(tunnel.ID{}) {
				c.reports.authenticated(tunnel.ID(id))
			}
		case *sallyportv1.ControlRequest_Cancel:
			c.carryOut(c.passCancel(authapi.CancelKeyFromWire(m.Cancel), one.host))
		case *sallyportv1.ControlRequest_CancelFound:
			if request, ok := authapi.FoundRequest(m.CancelFound); ok {
				c.cancelFound(request, one.host)
			}
		}
	}
}

func (c *control) send(ctx context.Context, stream *connect.BidiStream[sallyportv1.ControlRequest, sallyportv1.ControlResponse], attached *tunnel.Link, one *link, id *identity.Identity, received <-chan error) error {
	upkeep := time.NewTicker(upkeepEvery)
	defer upkeep.Stop()
	for {
		changed := c.cfg.Cache.Changed()
		if err := c.refuseLocked(id); err != nil {
			return err
		}
		msg := &sallyportv1.ControlResponse{}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-received:
			return err
		case <-changed:
			continue
		case ticket, open := <-attached.Tickets():
			if !open {
				return fault.New(fault.AlreadyExists, "another process has connected as this host; if a second one runs with the same data_dir, stop it, or give it a data_dir of its own")
			}
			msg.Message = &sallyportv1.ControlResponse_Ticket{Ticket: &sallyportv1.Ticket{Id: ticket.ID[:], Secret: ticket.Secret()}}
		case msg = <-one.messages:
		case now := <-upkeep.C:
			attached.Upkeep(now)
			msg.Message = &sallyportv1.ControlResponse_Heartbeat{Heartbeat: &sallyportv1.Heartbeat{}}
		}
		if err := stream.Send(msg); err != nil {
			return err
		}
	}
}

func (c *control) refuseLocked(id *identity.Identity) error {
	for _, lock := range cache.List[*resource.Lock](c.cfg.Cache, resource.KindLock) {
		if access.MatchLock(lock, access.LockSubject{ServerID: id.Name, JoinToken: id.JoinToken}, c.cfg.Now()) {
			return access.LockedError(lock)
		}
	}
	return nil
}
