package proxy

import (
	"context"
	"sync"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cancelkey"
)

// links are the agents' control connections, for what goes to all of them.
type links struct {
	mu  sync.Mutex
	all map[*link]struct{} // guarded by mu
}

type link struct {
	host     string
	messages chan *sallyportv1.ControlResponse
}

func (l *links) add(one *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[*link]struct{})
	}
	l.all[one] = struct{}{}
}

func (l *links) remove(one *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, one)
}

// tell sends a message to all agents but one. An agent that is behind misses it, as a client's cancel request may be
// missed anyway.
func (l *links) tell(message *sallyportv1.ControlResponse, except string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := range l.all {
		if one.host == except {
			continue
		}
		select {
		case one.messages <- message:
		default:
		}
	}
}

// carryOut does what passCancel has returned, so that what an agent says next does not wait for a database. It has to be done,
// also by a proxy that is stopping: the session waits for it.
func (p *Proxy) carryOut(end func()) {
	switch {
	case end == nil:
	case p.begin():
		go func() {
			defer p.conns.Done()
			end()
		}()
	default:
		end()
	}
}

// passCancel asks the agents whose session the key is. If it is one of the agent in this process, it returns what ends its
// statement, which may take a while, for the caller to do in any case.
func (p *Proxy) passCancel(key cancelkey.Key, from string) (end func()) {
	// An agent states the client's address, so that it is counted as a source itself.
	if from != "" && !p.cancels.Allow(from) || !p.cancels.Ask(key) {
		return nil
	}
	if p.cfg.Local != nil && from != p.cfg.HostID {
		if cancel := p.cfg.Local.FindCancel(key); cancel != nil {
			p.cancelFound(key.Request, p.cfg.HostID)
			return func() {
				ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
				defer stop()
				cancel(ctx)
			}
		}
	}
	p.links.tell(&sallyportv1.ControlResponse{Message: &sallyportv1.ControlResponse_Cancel{Cancel: authapi.CancelKeyToWire(key)}}, from)
	return nil
}

// cancelFound notes that an agent knows the key of a request, and tells those who may have asked for it.
func (p *Proxy) cancelFound(request cancelkey.ID, by string) {
	if !p.cancels.Known(request) {
		return
	}
	if p.cfg.Local != nil && by != p.cfg.HostID {
		p.cfg.Local.CancelFound(request)
	}
	p.links.tell(&sallyportv1.ControlResponse{Message: &sallyportv1.ControlResponse_CancelFound{
		CancelFound: &sallyportv1.CancelFound{Request: request[:]}}}, by)
}

// Cancel passes on a cancel request that the agent in this process does not know.
func (p *Proxy) Cancel(key cancelkey.Key) { p.passCancel(key, p.cfg.HostID) }
