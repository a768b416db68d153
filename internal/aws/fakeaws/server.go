package fakeaws

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"sallyport/internal/aws/fakeaws/sigv4"
	"sallyport/internal/aws/fakeaws/wire"
)

const maxBody = 1 << 20

// ServeHTTP answers the calls of every API, on one address for all services and regions or on their real host names.
func (w *World) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.Host == TrustStore || r.Host == RedshiftTrustStore {
		w.serveTrustStore(out, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxBody))
	if err != nil {
		http.Error(out, "the request's body is too large or broken", http.StatusRequestEntityTooLarge)
		return
	}
	if w.config.Latency > 0 {
		sleep(r.Context(), w.config.Latency)
	}
	auth, _ := sigv4.ParseAuthorization(r.Header.Get("Authorization")) // judged below; here it only shows the way
	w.mu.Lock()
	found, failure := w.route(r, body, auth.Scope)
	requestID := w.requestID()
	w.mu.Unlock()
	entry := Entry{Time: w.Now(), Host: r.Host, Region: auth.Scope.Region, AccessKey: auth.Scope.AccessKey, Service: auth.Scope.Service}
	if found.service == nil {
		entry.Error = "UnknownService"
		w.record(entry)
		http.Error(out, "this local AWS has no such service: "+auth.Scope.Service+" "+r.Header.Get("X-Amz-Target"), http.StatusNotFound)
		return
	}
	entry.Service = found.service.Name
	c := &Call{World: w, Service: found.service, Operation: found.operation, Region: auth.Scope.Region, Params: found.params, Request: r, entry: &entry}
	defer func() {
		if aborted := recover(); aborted != nil { // a fault that hangs up
			entry.Error, entry.Injected = "NoAnswer", true
			w.record(entry)
			panic(aborted)
		}
	}()
	var result wire.Fields
	answered := false
	if failure == nil {
		entry.Operation = found.operation.Name
		result, answered, failure = w.answer(out, c, body)
	}
	if failure != nil {
		entry.Error, entry.Message = failure.Code, failure.Message
		if found.service.Protocol != wire.Query && failure.JSONCode != "" {
			entry.Error = failure.JSONCode
		}
	}
	w.record(entry)
	protocol := found.service.Protocol
	if protocol == wire.Query && found.service.Scope == "sts" && r.Header.Get("Accept") == "application/json" {
		protocol = wire.QueryJSON // STS answers so to those who ask for it
	}
	switch {
	case answered:
	case failure != nil:
		wire.Fail(out, protocol, found.service.Namespace, requestID, found.service.dialect(failure))
	default:
		wire.Answer(out, protocol, found.operation.Name, found.service.Namespace, requestID, result)
	}
}

// answer authenticates, lets faults act, authorizes and handles.
func (w *World) answer(out http.ResponseWriter, c *Call, body []byte) (result wire.Fields, answered bool, failure *wire.Error) {
	if failure = w.identify(c, body); failure != nil {
		return nil, false, failure
	}
	w.mu.Lock()
	f, faulty := w.faultFor(c.Service.Name, c.Operation.Name, c.Region, accountID(c.Account))
	w.mu.Unlock()
	if faulty {
		c.entry.Injected = true
		if answered, failure = f.act(c.Request.Context(), out, c); answered {
			return nil, failure == nil, failure
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := c.authorize()
	if err == nil {
		result, err = c.Operation.Handle(c)
	}
	if err == nil {
		return result, false, nil
	}
	failure, ok := errors.AsType[*wire.Error](err)
	if !ok {
		failure = &wire.Error{Code: "InternalFailure", Message: err.Error(), Status: http.StatusInternalServerError, Fault: "Receiver"}
	}
	return nil, false, failure
}

// identify finds out who calls.
func (w *World) identify(c *Call, body []byte) *wire.Error {
	if c.Operation.Anonymous {
		if c.Request.Header.Get("Authorization") != "" {
			return wire.StatusErrorf(http.StatusForbidden, "AccessDenied", "%s must be called without a signature", c.Operation.Name)
		}
		c.Region = "us-east-1"
		if _, region, ok := hostRegion(c.Request.Host); ok {
			c.Region = region
		}
		c.entry.Region = c.Region
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known, _, failure := w.authenticate(c.Request, body, c.Service)
	if failure != nil {
		return failure
	}
	c.Principal, c.Account = known.principal, known.principal.Account
	c.entry.Principal = c.Principal.ARN()
	return nil
}

func accountID(a *Account) string {
	if a == nil {
		return ""
	}
	return a.ID
}

// dialect puts the errors common to all services into EC2's words.
func (s *Service) dialect(e *wire.Error) *wire.Error {
	if s.Protocol != wire.EC2 {
		return e
	}
	other := *e
	switch e.Code {
	case "AccessDenied":
		other.Code, other.Message = "UnauthorizedOperation", "You are not authorized to perform this operation. "+e.Message
	case "InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken":
		other.Code, other.Status = "AuthFailure", http.StatusUnauthorized
		other.Message = "AWS was not able to validate the provided access credentials"
	case "ExpiredToken":
		other.Code = "RequestExpired"
		other.Status = http.StatusBadRequest
	case "Throttling":
		other.Code, other.Status = "RequestLimitExceeded", http.StatusServiceUnavailable
		other.Message = strings.TrimSuffix(e.Message, ".") + "."
	}
	return &other
}
