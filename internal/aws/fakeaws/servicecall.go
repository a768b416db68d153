package fakeaws

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"sallyport/internal/aws/fakeaws/iam"
	"sallyport/internal/aws/fakeaws/wire"
)

// ServiceCall is a call that a service of AWS makes by itself, as a role that was handed to it: RDS Proxy reads its secrets
// so.
type ServiceCall struct {
	Caller             string // such as rds.amazonaws.com, whom the role must trust
	Role               string // ARN
	Region             string
	Service, Operation string
	Params             []byte // JSON
}

// CallAsService does the call if role and resource allow it, and writes it into the journal. Faults of tests do not apply.
func (w *World) CallAsService(call ServiceCall) (wire.Fields, error) {
	params, err := wire.ParseJSON(call.Params)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	entry := Entry{Time: w.Now(), Service: call.Service, Operation: call.Operation, Region: call.Region}
	result, err := w.callAsService(call, params, &entry)
	if err != nil {
		entry.Error, entry.Message = "Denied", err.Error()
	}
	w.journal = append(w.journal, entry)
	return result, err
}

func (w *World) callAsService(call ServiceCall, params wire.Params, entry *Entry) (wire.Fields, error) {
	role := w.roleByARN(call.Role)
	if role == nil || !w.handedTo(role, call.Caller) {
		return nil, fmt.Errorf("role %s does not trust %s", call.Role, call.Caller)
	}
	i := slices.IndexFunc(w.services, func(s *Service) bool { return s.Name == call.Service && s.named(call.Operation) != nil })
	if i < 0 {
		return nil, fmt.Errorf("this local AWS has no %s %s", call.Service, call.Operation)
	}
	c := &Call{World: w, Service: w.services[i], Operation: w.services[i].named(call.Operation), Region: call.Region, Params: params, entry: entry,
		Account: role.account, Principal: Principal{Account: role.account, Role: role, SessionName: "RDS-Proxy", issued: w.Now()},
		Request: &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/"}, Header: http.Header{}}}
	entry.Principal = c.Principal.ARN()
	if err := c.authorize(); err != nil {
		return nil, err
	}
	return c.Operation.Handle(c)
}

// handedTo says whether a role's trust policy lets a service of AWS have it.
func (w *World) handedTo(role *Role, service string) bool {
	policy, err := iam.Parse(role.Trust, iam.Trust)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(policy.Statements, func(s iam.Statement) bool {
		return !s.Deny && s.Principal != nil && slices.Contains(s.Principal.Service, service) && slices.Contains(s.Actions, "sts:AssumeRole")
	})
}
