package agent

import (
	"context"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cancelkey"
	"sallyport/internal/engine"
)

// FindCancel implements proxy.LocalAgent. The engine of the key's protocol is asked, and no other: strangers show keys of PostgreSQL
// that consist of anything, such as what agents ask for kills in MySQL with.
func (a *Agent) FindCancel(key cancelkey.Key) func(context.Context) {
	canceller, ok := a.Engines[key.Protocol].Engine.(engine.Canceller)
	if !ok {
		return nil
	}
	return canceller.FindCancel(key)
}

// CancelFound implements proxy.LocalAgent.
func (a *Agent) CancelFound(request cancelkey.ID) {
	for _, protocol := range a.Engines {
		if canceller, ok := protocol.Engine.(engine.Canceller); ok {
			canceller.CancelFound(request)
		}
	}
}

// ForwardCancel asks the proxies for the session of a key that this agent does not know.
func (a *Agent) ForwardCancel(key cancelkey.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.controls {
		c.report(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Cancel{Cancel: authapi.CancelKeyToWire(key)}})
	}
}

// cancelFor does what a proxy asks for when the key is of a session here, and says so at once: nobody has guessed then.
func (a *Agent) cancelFor(ctx context.Context, c *control, asked *sallyportv1.CancelKey) {
	cancel := a.FindCancel(authapi.CancelKeyFromWire(asked)) // the same may come by way of several proxies
	if cancel == nil {
		return
	}
	c.report(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_CancelFound{
		CancelFound: &sallyportv1.CancelFound{Request: asked.GetRequest()}}})
	a.leaving.Go(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), handshakeTimeout)
		defer stop()
		cancel(ctx)
	})
}
