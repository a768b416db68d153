package web_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/fault"
	"sallyport/internal/quota"
	"sallyport/internal/web"
)

// hostile is a name, or a text, that means something in HTML, in an attribute, in a script and in a style.
const hostile = `<b>"x" onload='y' & {{.}} </style><script>alert(1)</script>`

// people answers for a user whose name is hostile.
type people struct {
	sallyportv1connect.UnimplementedLoginServiceHandler
	accepted atomic.Int32
	refusal  error
}

func (p *people) GetInvite(context.Context, *sallyportv1.GetInviteRequest) (*sallyportv1.GetInviteResponse, error) {
	return &sallyportv1.GetInviteResponse{User: hostile, MinimumPasswordLength: 12, TotpSecret: "ABCDEFGH", TotpUri: "otpauth://totp/" + hostile}, nil
}

func (p *people) AcceptInvite(context.Context, *sallyportv1.AcceptInviteRequest) (*sallyportv1.AcceptInviteResponse, error) {
	p.accepted.Add(1)
	if p.refusal != nil {
		return nil, authapi.ToWire(p.refusal)
	}
	return &sallyportv1.AcceptInviteResponse{User: hostile}, nil
}

func (p *people) Login(context.Context, *sallyportv1.LoginRequest) (*sallyportv1.LoginResponse, error) {
	p.accepted.Add(1)
	return &sallyportv1.LoginResponse{}, nil
}

// peoplesPages returns pages behind which people are.
func peoplesPages(t *testing.T, p *people) *web.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(sallyportv1connect.NewLoginServiceHandler(p))
	mux.Handle(sallyportv1connect.NewClusterServiceHandler(cluster{}))
	local, auth := authapi.NewLocal(mux, nil)
	t.Cleanup(local.Close)
	return newPages(t, auth, quota.Rate{PerMinute: 1000, Burst: 1000}, time.Now)
}

// send sends a form to a page with headers.
func send(pages http.Handler, path string, headers map[string]string) *httptest.ResponseRecorder {
	form := url.Values{"password": {"correct horse battery"}, "repeated": {"correct horse battery"}, "code": {"123456"}}
	request := httptest.NewRequest(http.MethodPost, "https://proxy.example.com"+path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	pages.ServeHTTP(answer, request)
	return answer
}

func TestEveryAnswerTellsBrowsersToBeCareful(t *testing.T) {
	t.Parallel()
	pages := peoplesPages(t, &people{})
	answers := map[string]*httptest.ResponseRecorder{
		"an accepted form": send(pages, "/web/invite/t", map[string]string{"Sec-Fetch-Site": "same-origin"}),
		"a refused form":   send(pages, "/web/invite/t", nil),
		"a refused method": send(pages, "/web/", nil),
	}
	for _, path := range []string{"/", "/web/", "/web/invite/t", "/web/reset/t", "/v1/web/invite/t", "/web/static/style.css", "/web/static/none.css",
		"/web/none", "/none", "/webapi/ping", "/webapi/find", sallyportv1connect.ClusterServicePingProcedure} {
		answers[path] = ask(pages, "192.0.2.1:1", path)
	}
	for name, answer := range answers {
		for header, want := range map[string]string{
			"Strict-Transport-Security":  "max-age=31536000",
			"X-Content-Type-Options":     "nosniff",
			"X-Frame-Options":            "DENY",
			"Referrer-Policy":            "strict-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := answer.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		if got := answer.Header().Get("Cache-Control"); got != "no-store" && !(answer.Code == http.StatusNotFound && got == "") { // files that are not there have none
			t.Errorf("%s: Cache-Control is %q", name, got)
		}
		policy := directives(answer.Header().Get("Content-Security-Policy"))
		for directive, want := range map[string]string{
			"default-src": "'self'", "script-src": "'self'", "object-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'", "form-action": "'self'",
		} {
			if policy[directive] != want {
				t.Errorf("%s: the policy says %s %q, want %q", name, directive, policy[directive], want)
			}
		}
		for directive, sources := range policy {
			if strings.Contains(sources, "unsafe") || strings.Contains(sources, "*") || strings.Contains(sources, "http") {
				t.Errorf("%s: the policy says %s %s", name, directive, sources)
			}
		}
		if cookies := answer.Result().Cookies(); len(cookies) > 0 {
			t.Errorf("%s sets cookies: %v", name, cookies)
		}
	}
}

// directives splits a content security policy.
func directives(policy string) map[string]string {
	all := map[string]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
		all[name] = sources
	}
	return all
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	const site = "Sec-Fetch-Site"
	for name, c := range map[string]struct {
		headers map[string]string
		ok      bool
	}{
		"a page of ours":                          {map[string]string{site: "same-origin", "Origin": "https://proxy.example.com"}, true},
		"a page of ours in an old browser":        {map[string]string{"Origin": "https://proxy.example.com"}, true},
		"another site":                            {map[string]string{site: "cross-site", "Origin": "https://evil.example"}, false},
		"another site that lies about its name":   {map[string]string{site: "cross-site", "Origin": "https://proxy.example.com"}, false},
		"another host of our site":                {map[string]string{site: "same-site", "Origin": "https://www.example.com"}, false},
		"nobody's page":                           {map[string]string{site: "none"}, false},
		"something new":                           {map[string]string{site: "unheard-of"}, false},
		"another site in an old browser":          {map[string]string{"Origin": "https://evil.example"}, false},
		"a name that begins as ours":              {map[string]string{"Origin": "https://proxy.example.com.evil.example"}, false},
		"a name that ends as ours":                {map[string]string{"Origin": "https://evil-proxy.example.com"}, false},
		"our name without TLS":                    {map[string]string{"Origin": "http://proxy.example.com"}, false},
		"our name at another port":                {map[string]string{"Origin": "https://proxy.example.com:8443"}, false},
		"a page that must not say where it is of": {map[string]string{"Origin": "null"}, false},
		"who says nothing":                        {nil, false},
		"who says it in Referer":                  {map[string]string{"Referer": "https://proxy.example.com/web/invite/t"}, false},
	} {
		for _, path := range []string{"/web/invite/t", "/web/reset/t", "/v1/web/invite/t"} {
			p := &people{}
			answer := send(peoplesPages(t, p), path, c.headers)
			switch {
			case c.ok && (answer.Code != http.StatusOK || p.accepted.Load() != 1):
				t.Errorf("%s, %s: %d, accepted %d times", name, path, answer.Code, p.accepted.Load())
			case !c.ok && (answer.Code != http.StatusForbidden || p.accepted.Load() != 0):
				t.Errorf("%s, %s: %d, accepted %d times", name, path, answer.Code, p.accepted.Load())
			case !c.ok && strings.Contains(answer.Body.String(), "ABCD"):
				t.Errorf("%s, %s: the refusal shows the secret", name, path)
			}
		}
	}
}

// TestCallsOfOtherSitesAreRefused has what a page of another site can send without asking the browser first: forms and
// plain text (Fetch, "CORS-safelisted request-header").
func TestCallsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	p := &people{}
	pages := peoplesPages(t, p)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		request := httptest.NewRequest(http.MethodPost, "https://proxy.example.com"+sallyportv1connect.LoginServiceLoginProcedure, strings.NewReader(`{"user":"alice"}`))
		request.Header.Set("Content-Type", kind)
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, request)
		if answer.Code != http.StatusUnsupportedMediaType || p.accepted.Load() != 0 {
			t.Errorf("a call in %q: %d, %d logins", kind, answer.Code, p.accepted.Load())
		}
		if allowed := answer.Header().Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("a call in %q: allowed from %s", kind, allowed)
		}
	}
}

func TestNamesAreTextOnPages(t *testing.T) {
	t.Parallel()
	pages := peoplesPages(t, &people{})
	refusing := peoplesPages(t, &people{refusal: fault.New(fault.BadParameter, "no %s", hostile)})
	gone := peoplesPages(t, &people{refusal: fault.New(fault.NotFound, "no %s", hostile)})
	ours := map[string]string{"Sec-Fetch-Site": "same-origin"}
	for name, answer := range map[string]*httptest.ResponseRecorder{
		"the invitation":         ask(pages, "192.0.2.1:1", "/web/invite/t"),
		"the reset":              ask(pages, "192.0.2.1:1", "/web/reset/t"),
		"what follows":           send(pages, "/web/invite/t", ours),
		"a problem of the form":  send(refusing, "/web/invite/t", ours),
		"a problem that ends it": send(gone, "/web/invite/t", ours),
	} {
		body := answer.Body.String()
		if kind := answer.Header().Get("Content-Type"); kind != "text/html; charset=utf-8" {
			t.Errorf("%s is %s", name, kind)
		}
		for _, raw := range []string{"<b>", "</b>", "<script", "</style>", `"x"`, `'y'`, "& {"} {
			if strings.Contains(body, raw) {
				t.Errorf("%s has %s:\n%s", name, raw, body)
			}
		}
		if !strings.Contains(html.UnescapeString(body), hostile) {
			t.Errorf("%s does not tell the name:\n%s", name, body)
		}
	}
}
