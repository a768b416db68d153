package sigv4_test

import (
	"errors"
	"net/http"
	"testing"

	"sallyport/internal/aws/fakeaws/sigv4"
)

// The well-known values of AWS's signature test suite (aws-sig-v4-test-suite) and of the General Reference.
const (
	exampleKey    = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

type vector struct {
	name, method, path, query, host string
	header                          http.Header
	body                            string
	signed                          string
	scope                           string
	signature                       string
}

func vectors() []vector {
	date := func(more ...string) http.Header {
		h := http.Header{"X-Amz-Date": {"20150830T123600Z"}}
		for i := 0; i < len(more); i += 2 {
			h.Add(more[i], more[i+1])
		}
		return h
	}
	const suite = "20150830/us-east-1/service"
	const host = "example.amazonaws.com"
	const plain = "host;x-amz-date"
	const vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	return []vector{
		{"get-vanilla", "GET", "/", "", host, date(), "", plain, suite, vanilla},
		{"get-slash", "GET", "//", "", host, date(), "", plain, suite, vanilla},
		{"get-slash-dot-slash", "GET", "/./", "", host, date(), "", plain, suite, vanilla},
		{"get-relative", "GET", "/example/..", "", host, date(), "", plain, suite, vanilla},
		{"get-relative-relative", "GET", "/example1/example2/../..", "", host, date(), "", plain, suite, vanilla},
		{"get-utf8", "GET", "/ሴ", "", host, date(), "", plain, suite, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", host, date(), "", plain, suite,
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-vanilla-query-unreserved", "GET", "/", "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", host, date(), "", plain, suite,
			"9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
		{"get-header-key-duplicate", "GET", "/", "", host, date("My-Header1", "value2", "My-Header1", "value2", "My-Header1", "value1"), "", "host;my-header1;x-amz-date", suite,
			"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-trim", "GET", "/", "", host, date("My-Header1", " value1", "My-Header2", ` "a   b   c"`), "", "host;my-header1;my-header2;x-amz-date", suite,
			"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-vanilla", "POST", "/", "", host, date(), "", plain, suite, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-header-key-sort", "POST", "/", "", host, date("My-Header1", "value1"), "", "host;my-header1;x-amz-date", suite,
			"c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
		{"post-x-www-form-urlencoded", "POST", "/", "", host, date("Content-Type", "application/x-www-form-urlencoded"), "Param1=value1", "content-type;host;x-amz-date", suite,
			"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"General Reference: ListUsers", "GET", "/", "Action=ListUsers&Version=2010-05-08", "iam.amazonaws.com",
			date("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), "", "content-type;host;x-amz-date", "20150830/us-east-1/iam",
			"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	}
}

func (v vector) message() sigv4.Message {
	return sigv4.Message{Method: v.method, RawPath: v.path, RawQuery: v.query, Host: v.host, Header: v.header, Body: []byte(v.body)}
}

func (v vector) authorization() string {
	return "AWS4-HMAC-SHA256 Credential=" + exampleKey + "/" + v.scope + "/aws4_request, SignedHeaders=" + v.signed + ", Signature=" + v.signature
}

func TestPublishedVectors(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			auth, err := sigv4.ParseAuthorization(v.authorization())
			if err != nil {
				t.Fatal(err)
			}
			if err := v.message().Verify(auth, exampleSecret); err != nil {
				canonical, _ := v.message().CanonicalRequest(auth.SignedHeaders)
				t.Fatalf("%v; canonical request:\n%s", err, canonical)
			}
		})
	}
}

func TestWhateverIsChangedAfterSigningIsRefused(t *testing.T) {
	base := vectors()[12]
	for _, c := range []struct {
		name   string
		change func(*sigv4.Message, *sigv4.Authorization)
	}{
		{"method", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Method = "PUT" }},
		{"path", func(m *sigv4.Message, _ *sigv4.Authorization) { m.RawPath = "/x" }},
		{"query", func(m *sigv4.Message, _ *sigv4.Authorization) { m.RawQuery = "a=b" }},
		{"host", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Host = "other.amazonaws.com" }},
		{"body", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Body = []byte("Param1=value2") }},
		{"signed header", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Header.Set("Content-Type", "text/plain") }},
		{"signed header removed", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Header.Del("Content-Type") }},
		{"date of another day", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Header.Set("X-Amz-Date", "20150831T123600Z") }},
		{"unsigned target added", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Header.Set("X-Amz-Target", "x.y") }},
		{"unsigned security token added", func(m *sigv4.Message, _ *sigv4.Authorization) { m.Header.Set("X-Amz-Security-Token", "x") }},
		{"declared hash is another", func(m *sigv4.Message, _ *sigv4.Authorization) {
			m.Header.Set("X-Amz-Content-Sha256", sigv4.EmptyHash)
		}},
		{"region of the scope", func(_ *sigv4.Message, a *sigv4.Authorization) { a.Scope.Region = "us-east-2" }},
		{"service of the scope", func(_ *sigv4.Message, a *sigv4.Authorization) { a.Scope.Service = "iam" }},
		{"host not signed", func(_ *sigv4.Message, a *sigv4.Authorization) { a.SignedHeaders = []string{"x-amz-date"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := vectors()[12]
			message := v.message()
			auth, err := sigv4.ParseAuthorization(base.authorization())
			if err != nil {
				t.Fatal(err)
			}
			if err := message.Verify(auth, exampleSecret); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			c.change(&message, &auth)
			if err := message.Verify(auth, exampleSecret); !errors.Is(err, sigv4.ErrMismatch) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBrokenAuthorizationHeaders(t *testing.T) {
	good := vectors()[0].authorization()
	for name, header := range map[string]string{
		"another algorithm":       "AWS4-HMAC-SHA1" + good[16:],
		"no parameters":           "AWS4-HMAC-SHA256",
		"no signature":            good[:len(good)-len(", Signature=")-64],
		"short signature":         good[:len(good)-1],
		"signature of other text": good[:len(good)-1] + "g",
		"parameter twice":         good + ", Signature=" + vectors()[0].signature,
		"unknown parameter":       good + ", Extra=1",
		"unsorted headers":        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=x-amz-date;host, Signature=" + vectors()[0].signature,
		"scope without day":       "AWS4-HMAC-SHA256 Credential=A/2015/r/s/aws4_request, SignedHeaders=host, Signature=" + vectors()[0].signature,
		"scope of four parts":     "AWS4-HMAC-SHA256 Credential=A/20150830/r/aws4_request, SignedHeaders=host, Signature=" + vectors()[0].signature,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := sigv4.ParseAuthorization(header); !errors.Is(err, sigv4.ErrIncomplete) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := sigv4.ParseAuthorization(""); !errors.Is(err, sigv4.ErrMissing) {
		t.Errorf("no header: got %v", err)
	}
}
