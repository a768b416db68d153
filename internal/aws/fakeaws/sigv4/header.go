package sigv4

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Authorization is the header of that name, taken apart.
type Authorization struct {
	Scope         Scope
	SignedHeaders []string // lower case, sorted
	Signature     string
}

// The ways a request can fail before its signature is even computed.
var (
	ErrMissing    = errors.New("request is missing Authentication Token")
	ErrIncomplete = errors.New("incomplete signature")
	ErrMismatch   = errors.New("the request signature we calculated does not match the signature you provided")
)

// ParseAuthorization reads the value of an Authorization header. Errors wrap ErrMissing or ErrIncomplete.
func ParseAuthorization(value string) (Authorization, error) {
	var a Authorization
	if value == "" {
		return a, ErrMissing
	}
	algorithm, rest, found := strings.Cut(value, " ")
	if !found || algorithm != Algorithm {
		return a, fmt.Errorf("%w: unsupported algorithm", ErrIncomplete)
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found || value == "" || seen[name] {
			return a, fmt.Errorf("%w: Authorization header requires exactly one %q parameter", ErrIncomplete, name)
		}
		seen[name] = true
		switch name {
		case "Credential":
			scope, err := ParseScope(value)
			if err != nil {
				return a, fmt.Errorf("%w: %w", ErrIncomplete, err)
			}
			a.Scope = scope
		case "SignedHeaders":
			headers, err := parseSignedHeaders(value)
			if err != nil {
				return a, fmt.Errorf("%w: %w", ErrIncomplete, err)
			}
			a.SignedHeaders = headers
		case "Signature":
			a.Signature = value
		default:
			return a, fmt.Errorf("%w: unknown parameter %q", ErrIncomplete, name)
		}
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if !seen[name] {
			return a, fmt.Errorf("%w: Authorization header requires '%s' parameter", ErrIncomplete, name)
		}
	}
	if !validSignature(a.Signature) {
		return a, fmt.Errorf("%w: signature is not 64 hex digits", ErrIncomplete)
	}
	return a, nil
}

func parseSignedHeaders(value string) ([]string, error) {
	headers := strings.Split(value, ";")
	for i, h := range headers {
		if h == "" || h != strings.ToLower(h) {
			return nil, errors.New("signed headers must be lower-case names")
		}
		if i > 0 && headers[i-1] >= h {
			return nil, errors.New("signed headers must be sorted and unique")
		}
	}
	return headers, nil
}

func validSignature(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if unhex(s[i]) < 0 {
			return false
		}
	}
	return true
}

// Message is what is signed of a request: the request line as it was on the wire, and the headers.
type Message struct {
	Method, RawPath, RawQuery, Host string
	Header                          http.Header
	ContentLength                   int64
	Body                            []byte
}

// FromHTTP makes the message of a server's request whose body was read.
func FromHTTP(r *http.Request, body []byte) Message {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // absolute form, as to a proxy
		path = r.URL.EscapedPath()
	}
	return Message{Method: r.Method, RawPath: path, RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header,
		ContentLength: r.ContentLength, Body: body}
}

// mustBeSigned are the headers that change what a request means.
var mustBeSigned = []string{"X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

// CanonicalRequest is the text whose hash is signed.
func (m Message) CanonicalRequest(signedHeaders []string) (string, error) {
	pairs, err := ParseQuery(m.RawQuery)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	lines := []string{m.Method, canonicalPath(m.RawPath), canonicalQuery(pairs, "")}
	for _, name := range signedHeaders {
		values := slices.Clone(m.Header.Values(name))
		switch {
		case name == "host":
			values = []string{m.Host}
		case name == "content-length" && len(values) == 0:
			values = []string{strconv.FormatInt(m.ContentLength, 10)}
		case len(values) == 0:
			return "", fmt.Errorf("%w: signed header %q is not in the request", ErrMismatch, name)
		}
		for i := range values {
			values[i] = trimAll(values[i])
		}
		lines = append(lines, name+":"+strings.Join(values, ","))
	}
	return strings.Join(append(lines, "", strings.Join(signedHeaders, ";"), HashHex(m.Body)), "\n"), nil
}

// Date is when the request says it was signed.
func (m Message) Date() (time.Time, error) {
	t, err := time.Parse(TimeFormat, m.Header.Get("X-Amz-Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: Authorization header requires existence of an 'X-Amz-Date' header of the form YYYYMMDDTHHMMSSZ", ErrIncomplete)
	}
	return t, nil
}

// Verify recomputes the signature from the message. The caller looks up the secret and judges time and scope.
func (m Message) Verify(a Authorization, secret string) error {
	if !slices.Contains(a.SignedHeaders, "host") {
		return fmt.Errorf("%w: host must be a signed header", ErrMismatch)
	}
	for _, name := range mustBeSigned {
		if m.Header.Get(name) != "" && !slices.Contains(a.SignedHeaders, strings.ToLower(name)) {
			return fmt.Errorf("%w: header %s is present and not signed", ErrMismatch, name)
		}
	}
	if declared := m.Header.Get("X-Amz-Content-Sha256"); declared != "" && declared != HashHex(m.Body) {
		return fmt.Errorf("%w: the body is not the one of X-Amz-Content-Sha256", ErrMismatch)
	}
	date := m.Header.Get("X-Amz-Date")
	if !strings.HasPrefix(date, a.Scope.Date) {
		return fmt.Errorf("%w: date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP", ErrMismatch)
	}
	canonical, err := m.CanonicalRequest(a.SignedHeaders)
	if err != nil {
		return err
	}
	if !same(Sign(secret, a.Scope, StringToSign(date, a.Scope, canonical)), a.Signature) {
		return ErrMismatch
	}
	return nil
}
