package awsjoin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"time"

	"sallyport/internal/aws/endpoint"
)

const (
	askTimeout = 15 * time.Second
	maxAnswer  = 16 << 10
)

// Caller is who signed a request, as STS says.
type Caller struct {
	Account string // 12 digits
	ARN     string // of a user, or of a role's session: arn:aws:sts::123456789012:assumed-role/name/session
}

// STS asks AWS who signed requests. Safe for concurrent use.
type STS struct {
	client    *http.Client
	validated bool // only hosts that are validated by FIPS 140
}

// NewSTS returns an STS whose calls go through the transport. Nil means one that connects to AWS itself, without the proxy
// of the environment, and trusts the certificate authorities of the system.
func NewSTS(transport http.RoundTripper) *STS {
	if transport == nil {
		transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: maxAnswer, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			DisableCompression: true,
		}
	}
	return &STS{client: &http.Client{
		Transport: transport, Timeout: askTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Validated returns an STS that asks hosts only that are validated by FIPS 140, and refuses what was signed for others.
func (s *STS) Validated() *STS { return &STS{client: s.client, validated: true} }

// Caller returns who signed the request with the binding in it. A *Refusal says that nobody known to AWS did, or that it is
// not the request that must be signed; any other error that AWS could not be asked.
func (s *STS) Caller(ctx context.Context, signed SignedRequest, binding string) (Caller, error) {
	req, at, err := signed.request(binding)
	if err == nil && s.validated && !at.fips {
		err = refuse("%s is not validated by FIPS 140; start the host with --fips, as this auth server is", signed.Host)
	}
	if err != nil {
		return Caller{}, err
	}
	res, err := s.client.Do(req.WithContext(ctx))
	if err != nil {
		return Caller{}, fmt.Errorf("asking %s: %w", signed.Host, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Caller{}, fmt.Errorf("reading the answer of %s: %w", signed.Host, err)
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests:
		return Caller{}, fmt.Errorf("%s answered with status %d", signed.Host, res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return Caller{}, refuse("STS did not accept the signature: status %d%s", res.StatusCode, errorCode(text))
	case len(text) > maxAnswer:
		return Caller{}, refuse("the answer of STS is longer than %d bytes", maxAnswer)
	}
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || media != accept {
		return Caller{}, refuse("the answer of STS is of type %.80q, not JSON", res.Header.Get("Content-Type"))
	}
	return parseCaller(text, at.partition)
}

// parseCaller reads an answer in JSON: {"GetCallerIdentityResponse": {"GetCallerIdentityResult": {"Account": …, "Arn": …}}}.
func parseCaller(text []byte, partition string) (Caller, error) {
	result, err := parseObject(text)
	for _, name := range []string{"GetCallerIdentityResponse", "GetCallerIdentityResult"} {
		if err == nil {
			result, err = result.object(name)
		}
	}
	if err != nil {
		return Caller{}, refuse("the answer of STS cannot be read: %v", err)
	}
	c := Caller{Account: result.text("Account"), ARN: result.text("Arn")}
	arn, err := endpoint.ParseARN(c.ARN)
	switch {
	case err != nil || !plainARN.MatchString(c.ARN):
		return Caller{}, refuse("the answer of STS names no identity")
	case !endpoint.IsAccount(c.Account) || arn.Account != c.Account:
		return Caller{}, refuse("the answer of STS names an account and an identity that do not belong together")
	case arn.Partition != partition || arn.Service != "sts" && arn.Service != "iam" || arn.Region != "":
		return Caller{}, refuse("the answer of STS names an identity that its host does not know")
	}
	return c, nil
}

// plainARN keeps what could not be shown or compared out of ARNs.
var plainARN = regexp.MustCompile(`^[!-~]+$`)

var plainCode = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// errorCode returns the code of an error for the log, or nothing.
func errorCode(text []byte) string {
	if len(text) > maxAnswer {
		return ""
	}
	answer, err := parseObject(text)
	if err != nil {
		return ""
	}
	detail, err := answer.object("Error")
	if err != nil || !plainCode.MatchString(detail.text("Code")) {
		return ""
	}
	return ", " + detail.text("Code")
}

// object is a JSON object whose keys are unique and mean what they say, letter for letter. encoding/json takes keys in any
// case, and of two the last, so that two readers could read two things.
type object map[string]json.RawMessage

func parseObject(text []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	parsed := object{}
	for decoder.More() {
		key, err := decoder.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errors.New("it is not JSON")
		}
		if _, twice := parsed[name]; twice {
			return nil, fmt.Errorf("%.40q stands in it twice", name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("it is not JSON")
		}
		parsed[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return parsed, nil
}

// object returns the object under a key.
func (o object) object(name string) (object, error) {
	value, ok := o[name]
	if !ok {
		return nil, fmt.Errorf("it has no %s", name)
	}
	return parseObject(value)
}

// text returns the text under a key, or "".
func (o object) text(name string) string {
	var text *string
	if json.Unmarshal(o[name], &text) != nil || text == nil {
		return ""
	}
	return *text
}
