package awsjoin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
)

// transport is a network in which everything goes to one function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const challenge = "0123456789abcdef0123456789abcdef"

var application = awsjoin.Application{Token: "aws", HostID: "h", NodeName: "n", Roles: []string{"Db"}, PublicKey: []byte("key")}

func binding() string { return awsjoin.Binding([]byte(challenge), application) }

// signer signs requests as the session of a role.
type signer struct {
	*cloudtest.Cloud
	keys fakeaws.Keys
}

func newSigner(t *testing.T) signer {
	cloud := cloudtest.New(t, nil)
	return signer{cloud, cloud.Agent.Session("i-1", time.Hour)}
}

// sign signs the request that is due, changed as the case wants.
func (s signer) sign(t *testing.T, host, region, service, hash string, at time.Time, change func(*http.Request)) awsjoin.SignedRequest {
	t.Helper()
	req := awsjoin.NewRequest(host, binding())
	if change != nil {
		change(req)
	}
	keys := aws.Credentials{AccessKeyID: s.keys.AccessKeyID, SecretAccessKey: s.keys.SecretAccessKey, SessionToken: s.keys.SessionToken}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hash, service, region, at); err != nil {
		t.Fatal(err)
	}
	return awsjoin.SignedRequest{Host: host, Authorization: req.Header.Get("Authorization"), Date: req.Header.Get("X-Amz-Date"), SecurityToken: req.Header.Get("X-Amz-Security-Token")}
}

const (
	stsHost = "sts.us-west-1.amazonaws.com"
	region  = "us-west-1"
)

func (s signer) good(t *testing.T) awsjoin.SignedRequest {
	return s.sign(t, stsHost, region, "sts", awsjoin.BodyHash(), time.Now(), nil)
}

func (s signer) sts() *awsjoin.STS { return awsjoin.NewSTS(s) }

func TestSTSTellsWhoSigned(t *testing.T) {
	s := newSigner(t)
	for _, at := range []struct{ region, host string }{
		{"us-west-1", "sts.us-west-1.amazonaws.com"}, {"us-east-1", "sts.us-east-1.amazonaws.com"},
		{"us-east-1", "sts.amazonaws.com"}, {"us-west-2", "sts-fips.us-west-2.amazonaws.com"},
	} {
		caller, err := s.sts().Caller(t.Context(), s.sign(t, at.host, at.region, "sts", awsjoin.BodyHash(), time.Now(), nil), binding())
		if err != nil || caller.Account != cloudtest.AgentAccount || caller.ARN != "arn:aws:sts::111111111111:assumed-role/agent/i-1" {
			t.Errorf("%s: %+v, %v", at.host, caller, err)
		}
	}
	user, err := s.Account("aws", cloudtest.AgentAccount).AddUser(fakeaws.User{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	s.keys = user.CreateKeys()
	if caller, err := s.sts().Caller(t.Context(), s.good(t), binding()); err != nil || caller.ARN != "arn:aws:iam::111111111111:user/bob" {
		t.Errorf("a user: %+v, %v", caller, err)
	}
}

func TestOnlyValidatedHostsAreAsked(t *testing.T) {
	s := newSigner(t)
	for host, asked := range map[string]bool{"sts.us-west-1.amazonaws.com": false, "sts.amazonaws.com": false, "sts-fips.us-west-1.amazonaws.com": true} {
		region := map[bool]string{true: "us-east-1", false: region}[host == "sts.amazonaws.com"]
		_, err := s.sts().Validated().Caller(t.Context(), s.sign(t, host, region, "sts", awsjoin.BodyHash(), time.Now(), nil), binding())
		if _, refused := errors.AsType[*awsjoin.Refusal](err); refused == asked || asked && err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if calls := len(s.Calls("sts", "")); calls != 1 {
		t.Errorf("STS was called %d times", calls)
	}
	signed := s.sign(t, "sts.us-gov-west-1.amazonaws.com", "us-gov-west-1", "sts", awsjoin.BodyHash(), time.Now(), nil)
	_, err := s.sts().Validated().Caller(t.Context(), signed, binding()) // keys of another partition: STS refuses them, and is asked
	if err == nil || strings.Contains(err.Error(), "FIPS") {
		t.Errorf("GovCloud, where all hosts are validated: %v", err)
	}
}

// TestOtherRequestsAreRefused shows what was signed for another purpose, or put together to have auth ask something else.
func TestOtherRequestsAreRefused(t *testing.T) {
	s := newSigner(t)
	otherBody := func(r *http.Request) {
		text := "Action=GetSessionToken&Version=2011-06-15"
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
	good := s.good(t)
	with := func(change func(*awsjoin.SignedRequest)) awsjoin.SignedRequest {
		signed := good
		change(&signed)
		return signed
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	without := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	signed := func(change func(*http.Request)) awsjoin.SignedRequest {
		return s.sign(t, stsHost, region, "sts", awsjoin.BodyHash(), time.Now(), change)
	}
	host := func(name string) awsjoin.SignedRequest {
		return with(func(r *awsjoin.SignedRequest) { r.Host = name })
	}
	auth := func(old, new string) awsjoin.SignedRequest {
		return with(func(r *awsjoin.SignedRequest) { r.Authorization = strings.Replace(r.Authorization, old, new, 1) })
	}
	const notAHost, notSigned, mismatch, headers = "is not a host of STS", "is not one of a signed call", "SignatureDoesNotMatch", "must cover"
	for name, one := range map[string]struct {
		signed awsjoin.SignedRequest
		want   string
	}{
		"another host":                      {host("sts.example.com"), notAHost},
		"a host below another domain":       {host("sts.amazonaws.com.example.com"), notAHost},
		"a host with a port":                {host("sts.amazonaws.com:8443"), notAHost},
		"a host behind a user":              {host("sts.amazonaws.com@example.com"), notAHost},
		"a host with a path":                {host("sts.amazonaws.com/?Action=GetSessionToken&x="), notAHost},
		"a host in capitals":                {host("STS.AMAZONAWS.COM"), notAHost},
		"a host of another service":         {host("iam.amazonaws.com"), notAHost},
		"no host":                           {host(""), notAHost},
		"a host of another region":          {host("sts.us-west-2.amazonaws.com"), "is for region us-west-1"},
		"a host of another partition":       {host("sts.cn-north-1.amazonaws.com.cn"), "is for region us-west-1"},
		"another service":                   {s.sign(t, stsHost, region, "iam", awsjoin.BodyHash(), time.Now(), nil), notSigned},
		"another action":                    {s.sign(t, stsHost, region, "sts", "af6a9acbe9e0e6f9d1e0d5c5e2f9a6d3a1b9c2c5d5c3c4a0e6e0b1a5c6d7e8f9", time.Now(), nil), mismatch},
		"another action of the same length": {signed(otherBody), mismatch},
		"one more header signed":            {signed(header("X-Amz-Target", "x")), headers},
		"an unsigned challenge":             {signed(without(awsjoin.BindingHeader)), headers},
		"an unsigned Accept":                {signed(without("Accept")), headers},
		"Accept of XML signed":              {signed(header("Accept", "text/xml")), mismatch},
		"another challenge":                 {signed(header(awsjoin.BindingHeader, awsjoin.Binding([]byte("another"), application))), mismatch},
		"another path":                      {signed(func(r *http.Request) { r.URL.Path = "/x" }), mismatch},
		"a query":                           {signed(func(r *http.Request) { r.URL.RawQuery = "Action=GetSessionToken" }), mismatch},
		"another method":                    {signed(func(r *http.Request) { r.Method = http.MethodGet }), mismatch},
		"an old signature":                  {s.sign(t, stsHost, region, "sts", awsjoin.BodyHash(), time.Now().Add(-20*time.Minute), nil), mismatch},
		"the date of another day":           {with(func(r *awsjoin.SignedRequest) { r.Date = "20200101T000000Z" }), "is not that of the signature"},
		"a date with a header behind it":    {with(func(r *awsjoin.SignedRequest) { r.Date += "\r\nX: y" }), "is not that of the signature"},
		"a token with a header behind it":   {with(func(r *awsjoin.SignedRequest) { r.SecurityToken += "\r\nX: y" }), "security token is not one"},
		"a signature with a header behind":  {with(func(r *awsjoin.SignedRequest) { r.Authorization += "\r\nX: y" }), notSigned},
		"a signature and another":           {with(func(r *awsjoin.SignedRequest) { r.Authorization += ", Signature=" + strings.Repeat("0", 64) }), notSigned},
		"a bearer token":                    {with(func(r *awsjoin.SignedRequest) { r.Authorization = "Bearer x" }), notSigned},
		"a header twice":                    {auth("accept;", "accept;accept;"), headers},
		"no token of the session":           {with(func(r *awsjoin.SignedRequest) { r.SecurityToken = "" }), headers},
		"the token of another session":      {with(func(r *awsjoin.SignedRequest) { r.SecurityToken = "other" }), "InvalidClientTokenId"},
		"a key that AWS does not know":      {auth(s.keys.AccessKeyID, "ASIAAAAAAAAAAAAAAAAA"), "InvalidClientTokenId"},
	} {
		caller, err := s.sts().Caller(t.Context(), one.signed, binding())
		if _, ok := errors.AsType[*awsjoin.Refusal](err); !ok || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	if _, err := s.sts().Caller(t.Context(), good, binding()); err != nil {
		t.Errorf("the one that all of these were made from: %v", err)
	}
}

// TestProofsAreBoundToTheApplication takes a proof that was made for one host and shows it for another.
func TestProofsAreBoundToTheApplication(t *testing.T) {
	s := newSigner(t)
	good := s.good(t)
	for name, change := range map[string]func(*awsjoin.Application){
		"another token":   func(a *awsjoin.Application) { a.Token = "other" },
		"another host id": func(a *awsjoin.Application) { a.HostID = "other" },
		"another name":    func(a *awsjoin.Application) { a.NodeName = "other" },
		"another service": func(a *awsjoin.Application) { a.Roles = []string{"Proxy"} },
		"one more":        func(a *awsjoin.Application) { a.Roles = []string{"Db", "Proxy"} },
		"another key":     func(a *awsjoin.Application) { a.PublicKey = []byte("other") },
		"parts that move": func(a *awsjoin.Application) { a.HostID, a.NodeName = "hn", "" },
	} {
		app := application
		change(&app)
		_, err := s.sts().Caller(t.Context(), good, awsjoin.Binding([]byte(challenge), app))
		if _, ok := errors.AsType[*awsjoin.Refusal](err); !ok || !strings.Contains(err.Error(), "SignatureDoesNotMatch") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cut is read by those who read too far.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, errors.New("read too far") }

func answer(status int, contentType, text string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(text))}
}

const (
	identityJSON = `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{%s},"ResponseMetadata":{"RequestId":"r"}}}`
	agentJSON    = `"Account":"111111111111","Arn":"arn:aws:sts::111111111111:assumed-role/agent/i-1","UserId":"AROA:i-1"`
	agentXML     = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:sts::111111111111:assumed-role/agent/i-1</Arn><UserId>AROA:i-1</UserId><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
)

// TestAnswersOfSTSAreReadStrictly lets STS answer what it does not, so that nothing that a caller can have it repeat is
// taken for its word.
func TestAnswersOfSTSAreReadStrictly(t *testing.T) {
	s := newSigner(t)
	good := s.good(t)
	wrap := func(fields string) string { return fmt.Sprintf(identityJSON, fields) }
	ok := func(text string) *http.Response { return answer(http.StatusOK, "application/json", text) }
	redirect := func(status int) *http.Response {
		res := answer(status, "application/json", wrap(agentJSON))
		res.Header.Set("Location", "https://sts.us-west-2.amazonaws.com/")
		return res
	}
	for name, one := range map[string]struct {
		res  *http.Response
		want string // of the refusal; "": a failure that may pass
	}{
		"XML":                             {answer(http.StatusOK, "text/xml", agentXML), "not JSON"},
		"XML that is said to be JSON":     {ok(agentXML), "cannot be read"},
		"JSON that is said to be XML":     {answer(http.StatusOK, "text/xml", wrap(agentJSON)), "not JSON"},
		"of no type":                      {answer(http.StatusOK, "", wrap(agentJSON)), "not JSON"},
		"a redirect":                      {redirect(http.StatusTemporaryRedirect), "status 307"},
		"a redirect to GET":               {redirect(http.StatusFound), "status 302"},
		"created":                         {answer(http.StatusCreated, "application/json", wrap(agentJSON)), "status 201"},
		"denied":                          {answer(http.StatusForbidden, "application/json", `{"Error":{"Code":"InvalidClientTokenId"}}`), "status 403, InvalidClientTokenId"},
		"denied with a false code":        {answer(http.StatusForbidden, "application/json", `{"Error":{"Code":"a\nb"}}`), "status 403"},
		"a failure":                       {answer(http.StatusInternalServerError, "text/html", "<html>"), ""},
		"too many calls":                  {answer(http.StatusTooManyRequests, "application/json", "{}"), ""},
		"huge":                            {ok(wrap(agentJSON + `,"x":"` + strings.Repeat("x", 20<<10) + `"`)), "longer than"},
		"huge with space behind":          {ok(wrap(agentJSON) + strings.Repeat(" ", 20<<10)), "longer than"},
		"empty":                           {ok(""), "cannot be read"},
		"cut off":                         {ok(wrap(agentJSON)[:100]), "cannot be read"},
		"a list":                          {ok("[" + wrap(agentJSON) + "]"), "cannot be read"},
		"followed by another":             {ok(wrap(agentJSON) + wrap(agentJSON)), "something follows"},
		"the result outside":              {ok(`{"GetCallerIdentityResult":{` + agentJSON + `}}`), "has no GetCallerIdentityResponse"},
		"the result of another operation": {ok(`{"GetSessionTokenResponse":{"GetCallerIdentityResult":{` + agentJSON + `}}}`), "has no GetCallerIdentityResponse"},
		"the result in small letters":     {ok(strings.ToLower(wrap(agentJSON))), "has no GetCallerIdentityResponse"},
		"an account twice":                {ok(wrap(agentJSON + `,"Account":"222222222222"`)), "twice"},
		"an ARN twice, once escaped":      {ok(wrap(agentJSON + `,"\u0041rn":"arn:aws:iam::111111111111:root"`)), "twice"},
		"a result twice":                  {ok(`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{` + agentJSON + `},"GetCallerIdentityResult":{` + agentJSON + `}}}`), "twice"},
		"an account in small letters":     {ok(wrap(strings.Replace(agentJSON, `"Account"`, `"account"`, 1))), "do not belong together"},
		"no account":                      {ok(wrap(`"Arn":"arn:aws:sts::111111111111:assumed-role/agent/i-1"`)), "do not belong together"},
		"an account that is a number":     {ok(wrap(strings.Replace(agentJSON, `"111111111111"`, `111111111111`, 1))), "do not belong together"},
		"another account":                 {ok(wrap(strings.Replace(agentJSON, `"111111111111"`, `"222222222222"`, 1))), "do not belong together"},
		"an account with 13 digits":       {ok(wrap(strings.ReplaceAll(agentJSON, "111111111111", "1111111111112"))), "do not belong together"},
		"no ARN":                          {ok(wrap(`"Account":"111111111111"`)), "names no identity"},
		"an ARN that is null":             {ok(wrap(`"Account":"111111111111","Arn":null`)), "names no identity"},
		"an ARN of two lines":             {ok(wrap(strings.Replace(agentJSON, "agent/", `a\n/`, 1))), "names no identity"},
		"an ARN of another partition":     {ok(wrap(strings.Replace(agentJSON, "arn:aws:", "arn:aws-cn:", 1))), "its host does not know"},
		"an ARN of another service":       {ok(wrap(strings.Replace(agentJSON, ":sts:", ":s3:", 1))), "its host does not know"},
		"an error with an identity":       {answer(http.StatusBadRequest, "application/json", wrap(agentJSON)), "status 400"},
	} {
		calls := 0
		sts := awsjoin.NewSTS(transport(func(*http.Request) (*http.Response, error) { calls++; return one.res, nil }))
		caller, err := sts.Caller(t.Context(), good, binding())
		_, refused := errors.AsType[*awsjoin.Refusal](err)
		if err == nil || refused != (one.want != "") || !strings.Contains(err.Error(), one.want) || calls != 1 {
			t.Errorf("%s: %+v, %v after %d calls", name, caller, err, calls)
		}
	}
	endless := awsjoin.NewSTS(transport(func(*http.Request) (*http.Response, error) {
		res := ok("")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat(" ", 1<<20)), cut{}))
		return res, nil
	}))
	_, err := endless.Caller(t.Context(), good, binding())
	if _, refused := errors.AsType[*awsjoin.Refusal](err); !refused || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("one that does not end: %v", err)
	}
	for name, text := range map[string]string{"as AWS writes it": wrap(agentJSON), "with keys that are new": wrap(agentJSON + `,"New":{"Arn":1}`)} {
		sts := awsjoin.NewSTS(transport(func(*http.Request) (*http.Response, error) { return ok(text), nil }))
		if caller, err := sts.Caller(t.Context(), good, binding()); err != nil || caller.Account != "111111111111" {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
}

func TestWhatSTSIsAskedIsTheSameForAll(t *testing.T) {
	s := newSigner(t)
	var asked *http.Request
	var body []byte
	sts := awsjoin.NewSTS(transport(func(r *http.Request) (*http.Response, error) {
		asked = r
		body, _ = io.ReadAll(r.Body)
		return nil, errors.New("cut")
	}))
	_, err := sts.Caller(t.Context(), s.good(t), binding())
	if _, refused := errors.AsType[*awsjoin.Refusal](err); err == nil || refused {
		t.Errorf("a call that failed: %v", err)
	}
	if asked.Method != http.MethodPost || asked.URL.String() != "https://"+stsHost+"/" || asked.Host != stsHost || string(body) != "Action=GetCallerIdentity&Version=2011-06-15" {
		t.Errorf("asked %s %s with %q", asked.Method, asked.URL, body)
	}
	want := map[string]bool{"Accept": true, "Authorization": true, "Content-Type": true, "User-Agent": true, "X-Amz-Date": true, "X-Amz-Security-Token": true, awsjoin.BindingHeader: true}
	for name := range asked.Header {
		if !want[name] {
			t.Errorf("header %s was sent", name)
		}
	}
	if len(asked.Header) != len(want) || asked.Header.Get("Accept") != "application/json" || asked.Header.Get(awsjoin.BindingHeader) != binding() {
		t.Errorf("headers %v", asked.Header)
	}
	if _, ok := asked.Context().Deadline(); !ok {
		t.Error("STS may take as long as it likes")
	}
}

func TestHostsSignForAnSTSThatIsKnown(t *testing.T) {
	known := map[string]bool{}
	for _, host := range awsjoin.Hosts() {
		known[host] = true
	}
	for _, one := range []struct {
		region       string
		fips         bool
		host, signed string
	}{
		{"eu-west-1", false, "sts.eu-west-1.amazonaws.com", "eu-west-1"},
		{"us-west-2", true, "sts-fips.us-west-2.amazonaws.com", "us-west-2"},
		{"eu-west-1", true, "sts-fips.us-east-1.amazonaws.com", "us-east-1"},
		{"us-gov-east-1", true, "sts.us-gov-east-1.amazonaws.com", "us-gov-east-1"},
		{"cn-northwest-1", false, "sts.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"},
		{"xx-new-1", false, "sts.us-east-1.amazonaws.com", "us-east-1"},
		{"cn-new-1", false, "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"},
	} {
		host, signed := awsjoin.HostFor(one.region, one.fips)
		if host != one.host || signed != one.signed || !known[host] {
			t.Errorf("%s (FIPS %t): %s, %s", one.region, one.fips, host, signed)
		}
	}
}

// FuzzSignedRequest gives auth anything as the parts of a signed request.
func FuzzSignedRequest(f *testing.F) {
	const auth = "AWS4-HMAC-SHA256 Credential=ASIAAAAAAAAAAAAAAAAA/20260101/us-west-1/sts/aws4_request, SignedHeaders=accept;content-length;content-type;host;x-amz-date;x-sallyport-challenge, Signature=0000000000000000000000000000000000000000000000000000000000000000"
	f.Add(stsHost, auth, "20260101T000000Z", "")
	f.Add("sts.amazonaws.com.example.com", auth, "20260101T000000Z\r\nx: y", "a b")
	f.Fuzz(func(t *testing.T, host, authorization, date, token string) {
		sts := awsjoin.NewSTS(transport(func(r *http.Request) (*http.Response, error) {
			// Written and read again, the request must still be one request to that host, with these headers.
			var text strings.Builder
			if err := r.Write(&text); err != nil {
				t.Fatalf("%v", err)
			}
			if strings.Count(text.String(), "\r\n\r\n") != 1 || strings.Count(text.String(), "\r\n") > 12 || !strings.HasPrefix(text.String(), "POST / HTTP/1.1\r\nHost: "+host+"\r\n") {
				t.Fatalf("sent %q", text.String())
			}
			return answer(http.StatusForbidden, "", ""), nil
		}))
		signed := awsjoin.SignedRequest{Host: host, Authorization: authorization, Date: date, SecurityToken: token}
		if _, err := sts.Caller(context.Background(), signed, binding()); err == nil {
			t.Fatal("let in")
		}
	})
}

// FuzzSTSAnswer lets STS answer anything.
func FuzzSTSAnswer(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(identityJSON, agentJSON)))
	f.Add([]byte(fmt.Sprintf(identityJSON, agentJSON+`,"Arn":"x"`)))
	f.Add([]byte(agentXML))
	const auth = "AWS4-HMAC-SHA256 Credential=ASIAAAAAAAAAAAAAAAAA/20260101/us-west-1/sts/aws4_request, SignedHeaders=accept;content-length;content-type;host;x-amz-date;x-sallyport-challenge, Signature=0000000000000000000000000000000000000000000000000000000000000000"
	signed := awsjoin.SignedRequest{Host: stsHost, Authorization: auth, Date: "20260101T000000Z"}
	f.Fuzz(func(t *testing.T, text []byte) {
		sts := awsjoin.NewSTS(transport(func(*http.Request) (*http.Response, error) {
			return answer(http.StatusOK, "application/json", string(text)), nil
		}))
		caller, err := sts.Caller(context.Background(), signed, binding())
		if err == nil && (len(caller.Account) != 12 || !strings.HasPrefix(caller.ARN, "arn:aws:") || strings.Split(caller.ARN, ":")[4] != caller.Account) {
			t.Fatalf("%+v", caller)
		}
		if _, refused := errors.AsType[*awsjoin.Refusal](err); err != nil && !refused {
			t.Fatalf("%v", err)
		}
	})
}
