package fakeaws

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/aws/fakeaws/sigv4"
	"sallyport/internal/aws/fakeaws/wire"
)

// maxSkew is how far the time of a signature may lie from ours.
const maxSkew = 5 * time.Minute

const mismatchMessage = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func authError(code, jsonCode, format string, args ...any) *wire.Error {
	return &wire.Error{Code: code, JSONCode: jsonCode, Message: fmt.Sprintf(format, args...), Status: http.StatusForbidden}
}

func mismatch(format string, args ...any) *wire.Error {
	return authError("SignatureDoesNotMatch", "InvalidSignatureException", format, args...)
}

var errUnknownKey = authError("InvalidClientTokenId", "UnrecognizedClientException", "The security token included in the request is invalid.")

// authenticate checks a request's signature for a service and says whose it is.
func (w *World) authenticate(r *http.Request, body []byte, s *Service) (*credential, sigv4.Scope, *wire.Error) {
	auth, err := sigv4.ParseAuthorization(r.Header.Get("Authorization"))
	switch {
	case errors.Is(err, sigv4.ErrMissing):
		return nil, auth.Scope, authError("MissingAuthenticationToken", "MissingAuthenticationTokenException", "Request is missing Authentication Token")
	case err != nil:
		e := authError("IncompleteSignature", "IncompleteSignatureException", "%v", err)
		e.Status = http.StatusBadRequest
		return nil, auth.Scope, e
	}
	scope := auth.Scope
	if scope.Service != s.Scope {
		return nil, scope, mismatch("Credential should be scoped to correct service: '%s'.", s.Scope)
	}
	message := sigv4.FromHTTP(r, body)
	date, err := message.Date()
	if err != nil {
		e := authError("IncompleteSignature", "IncompleteSignatureException", "%v", err)
		e.Status = http.StatusBadRequest
		return nil, scope, e
	}
	if e := w.checkTime(date); e != nil {
		return nil, scope, e
	}
	if e := checkRegion(r.Host, s, scope); e != nil {
		return nil, scope, e
	}
	c, e := w.lookUp(scope, r.Header.Get("X-Amz-Security-Token"))
	if e != nil {
		return nil, scope, e
	}
	if err := message.Verify(auth, c.SecretAccessKey); err != nil {
		return c, scope, mismatch("%s", mismatchMessage)
	}
	w.secret(auth.Signature)
	if !c.Expires.IsZero() && !w.Now().Before(c.Expires) {
		return c, scope, authError("ExpiredToken", "ExpiredTokenException", "The security token included in the request is expired")
	}
	return c, scope, nil
}

// lookUp finds the credential of a key, with the token that belongs to it, in the partition of the region.
func (w *World) lookUp(scope sigv4.Scope, token string) (*credential, *wire.Error) {
	c := w.credentials[scope.AccessKey]
	if c == nil || subtle.ConstantTimeCompare([]byte(c.SessionToken), []byte(token)) != 1 {
		return nil, errUnknownKey
	}
	if PartitionOf(scope.Region) != c.principal.Account.Partition {
		return nil, errUnknownKey
	}
	if p := c.principal; p.User != nil && p.Account.Users[p.User.Name] != p.User || p.Role != nil && p.Account.Roles[p.Role.Name] != p.Role {
		return nil, errUnknownKey // it was deleted
	}
	return c, nil
}

func (w *World) checkTime(date time.Time) *wire.Error {
	now := w.Now()
	stamp := func(t time.Time) string { return t.UTC().Format(sigv4.TimeFormat) }
	switch {
	case date.Before(now.Add(-maxSkew)):
		return mismatch("Signature expired: %s is now earlier than %s (%s - 5 min.)", stamp(date), stamp(now.Add(-maxSkew)), stamp(now))
	case date.After(now.Add(maxSkew)):
		return mismatch("Signature not yet current: %s is still later than %s (%s + 5 min.)", stamp(date), stamp(now.Add(maxSkew)), stamp(now))
	}
	return nil
}

// checkRegion compares the scope with an AWS-shaped host name. Any other name stands for all regions, as AWS_ENDPOINT_URL does.
func checkRegion(host string, s *Service, scope sigv4.Scope) *wire.Error {
	if !regionPattern.MatchString(scope.Region) {
		return mismatch("Credential should be scoped to a valid region.")
	}
	if s.Global && scope.Region != map[string]string{"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}[PartitionOf(scope.Region)] {
		return mismatch("Credential should be scoped to a valid region.")
	}
	if !strings.Contains(host, ".amazonaws.com") {
		return nil
	}
	service, region, ok := hostRegion(host)
	labels := s.Hosts
	if len(labels) == 0 {
		labels = []string{s.Scope}
	}
	if !ok || region != scope.Region {
		return mismatch("Credential should be scoped to a valid region.")
	}
	if !slices.Contains(labels, service) {
		return mismatch("Credential should be scoped to correct service: '%s'.", service)
	}
	return nil
}
