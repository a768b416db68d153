package sigv4

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Presigned is a URL signed in its query, as RDS, ElastiCache and MemoryDB take it for a password: without a scheme.
type Presigned struct {
	Host          string // as signed, with its port if it has one
	Query         []Pair // everything, as it came
	Scope         Scope
	Date          time.Time
	Expires       time.Duration
	SignedHeaders []string
	SecurityToken string
	signature     string
	amzDate       string
}

// signing are the parameters of the signature itself; all others belong to the service.
var signing = map[string]bool{"X-Amz-Algorithm": true, "X-Amz-Credential": true, "X-Amz-Date": true, "X-Amz-Expires": true,
	"X-Amz-SignedHeaders": true, "X-Amz-Security-Token": true, "X-Amz-Signature": true}

// ParsePresigned takes HOST[:PORT][/]?QUERY apart. Each parameter of the signature must stand in it exactly once, the
// security token at most once.
func ParsePresigned(token string) (Presigned, error) {
	var p Presigned
	left, query, found := strings.Cut(token, "?")
	if !found {
		return p, errors.New("token has no query")
	}
	p.Host = strings.TrimSuffix(left, "/")
	if p.Host == "" || strings.ContainsAny(p.Host, "/@ \t\r\n#%") {
		return p, errors.New("token does not begin with a host")
	}
	var err error
	if p.Query, err = ParseQuery(query); err != nil {
		return p, err
	}
	values := map[string]string{}
	for _, pair := range p.Query {
		if _, twice := values[pair.Name]; twice {
			return p, fmt.Errorf("parameter %q stands twice in the token", pair.Name)
		}
		values[pair.Name] = pair.Value
	}
	for name := range signing {
		if values[name] == "" && name != "X-Amz-Security-Token" {
			return p, fmt.Errorf("token has no %s", name)
		}
	}
	if values["X-Amz-Algorithm"] != Algorithm {
		return p, errors.New("token is not signed with " + Algorithm)
	}
	if p.Scope, err = ParseScope(values["X-Amz-Credential"]); err != nil {
		return p, err
	}
	p.amzDate = values["X-Amz-Date"]
	if p.Date, err = time.Parse(TimeFormat, p.amzDate); err != nil {
		return p, errors.New("X-Amz-Date of the token is not of the form YYYYMMDDTHHMMSSZ")
	}
	seconds, err := strconv.ParseUint(values["X-Amz-Expires"], 10, 32)
	if err != nil || seconds == 0 {
		return p, errors.New("X-Amz-Expires of the token is not a number of seconds")
	}
	p.Expires = time.Duration(seconds) * time.Second
	if p.SignedHeaders, err = parseSignedHeaders(values["X-Amz-SignedHeaders"]); err != nil {
		return p, err
	}
	p.SecurityToken, p.signature = values["X-Amz-Security-Token"], values["X-Amz-Signature"]
	if !validSignature(p.signature) {
		return p, errors.New("signature of the token is not 64 hex digits")
	}
	return p, nil
}

// Signature is the token's, in hexadecimal.
func (p Presigned) Signature() string { return p.signature }

// Parameters are those of the service: everything but the signature's own.
func (p Presigned) Parameters() map[string]string {
	own := map[string]string{}
	for _, pair := range p.Query {
		if !signing[pair.Name] {
			own[pair.Name] = pair.Value
		}
	}
	return own
}

// Verify recomputes the signature of a GET of / on the token's host. Time, host and parameters are the caller's to judge.
func (p Presigned) Verify(secret string) error {
	if len(p.SignedHeaders) != 1 || p.SignedHeaders[0] != "host" {
		return errors.New("the token must sign the host header and no other")
	}
	if !strings.HasPrefix(p.amzDate, p.Scope.Date) {
		return fmt.Errorf("%w: the day of the credential is not the day of X-Amz-Date", ErrMismatch)
	}
	canonical := strings.Join([]string{"GET", "/", canonicalQuery(p.Query, "X-Amz-Signature"), "host:" + p.Host, "", "host", EmptyHash}, "\n")
	if !same(Sign(secret, p.Scope, StringToSign(p.amzDate, p.Scope, canonical)), p.signature) {
		return ErrMismatch
	}
	return nil
}
