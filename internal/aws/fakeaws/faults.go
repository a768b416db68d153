package fakeaws

import (
	"context"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/aws/fakeaws/wire"
)

// Kind is a sort of fault.
type Kind string

// The sorts of fault.
const (
	Throttle       Kind = "throttle"        // 400 Throttling, as AWS words it
	ServerError    Kind = "server-error"    // 500 InternalFailure in the protocol
	Unavailable    Kind = "unavailable"     // 503 ServiceUnavailable in the protocol
	Garbage        Kind = "garbage"         // 500 with a page of HTML
	Hang           Kind = "hang"            // no answer until the client gives up or the server stops
	Cut            Kind = "cut"             // the connection is closed without an answer
	Delay          Kind = "delay"           // the answer comes after Fault.Delay
	Denied         Kind = "denied"          // AccessDenied
	EmptyPage      Kind = "empty-page"      // a page with nothing on it and a token for the rest
	DuplicateToken Kind = "duplicate-token" // the page's token is the request's own
	Rate           Kind = "rate"            // what comes faster than Fault.PerSecond is throttled, bursts of a second apart
	Custom         Kind = "custom"          // Fault.Error
)

// Fault says which calls go wrong, and how. Empty fields match everything.
type Fault struct {
	Service, Operation, Region string
	Account                    string // the caller's
	Kind                       Kind
	Error                      *wire.Error   // for Custom
	Delay                      time.Duration // for Delay
	PerSecond                  int           // for Rate: calls that go well, in all regions and accounts that match
	Skip                       int           // so many matching calls go well first
	Times                      int           // then so many go wrong; 0 means all
}

type fault struct {
	Fault
	seen   int
	tokens float64 // of Rate: calls that go well now
	filled time.Time
}

// exceeded counts a call of a Rate and reports whether it comes too soon.
func (f *fault) exceeded(now time.Time) bool {
	most := float64(f.PerSecond)
	f.tokens = min(most, f.tokens+most*now.Sub(f.filled).Seconds())
	f.filled = now
	if f.tokens < 1 {
		return true
	}
	f.tokens--
	return false
}

type pagingFault int

const (
	pagingNormal pagingFault = iota
	pagingEmpty
	pagingDuplicate
)

// Inject makes calls go wrong until the returned function is called. Of several faults that match the first injected acts.
func (w *World) Inject(f Fault) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &fault{Fault: f}
	w.faults = append(w.faults, one)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.faults = slices.DeleteFunc(w.faults, func(other *fault) bool { return other == one })
	}
}

// faultFor picks the fault of a call and counts it.
func (w *World) faultFor(service, operation, region, account string) (Fault, bool) {
	for _, f := range w.faults {
		if f.Service != "" && f.Service != service || f.Operation != "" && f.Operation != operation ||
			f.Region != "" && f.Region != region || f.Account != "" && f.Account != account {
			continue
		}
		f.seen++
		if f.seen <= f.Skip || f.Times > 0 && f.seen > f.Skip+f.Times {
			continue
		}
		if f.Kind == Rate {
			if !f.exceeded(w.Now()) {
				continue
			}
			return Fault{Kind: Throttle}, true
		}
		return f.Fault, true
	}
	return Fault{}, false
}

// act carries a fault out that needs no handler. It says whether the call is over; an error is to be answered.
func (f Fault) act(ctx context.Context, w http.ResponseWriter, c *Call) (over bool, err *wire.Error) {
	switch f.Kind {
	case Throttle:
		return true, &wire.Error{Code: "Throttling", JSONCode: "ThrottlingException", Message: "Rate exceeded"}
	case ServerError:
		return true, &wire.Error{Code: "InternalFailure", Message: "The request processing has failed because of an unknown error, exception or failure.", Status: http.StatusInternalServerError, Fault: "Receiver"}
	case Unavailable:
		return true, &wire.Error{Code: "ServiceUnavailable", Message: "The request has failed due to a temporary failure of the server.", Status: http.StatusServiceUnavailable, Fault: "Receiver"}
	case Custom:
		return true, f.Error
	case Denied:
		resource := "*"
		if c.Operation.Resources != nil {
			c.World.mu.Lock()
			if all, err := c.Operation.Resources(c); err == nil && len(all) > 0 {
				resource = all[0]
			}
			c.World.mu.Unlock()
		}
		action := c.action()
		return true, accessDenied(c.Principal, action, resource, " because no identity-based policy allows the "+action+" action")
	case Garbage:
		http.Error(w, "<html><body><h1>Internal Server Error</h1></body></html>", http.StatusInternalServerError)
		return true, nil
	case Hang:
		<-ctx.Done()
		panic(http.ErrAbortHandler)
	case Cut:
		panic(http.ErrAbortHandler)
	case Delay:
		sleep(ctx, f.Delay)
	case EmptyPage:
		c.paging = pagingEmpty
	case DuplicateToken:
		c.paging = pagingDuplicate
	}
	return false, nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
