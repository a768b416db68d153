package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/fault"
	"sallyport/internal/quota"
	"sallyport/internal/store/storetest"
	"sallyport/internal/web"
)

func newPages(t *testing.T, auth *authapi.Client, strangers quota.Rate, now func() time.Time) *web.Handler {
	t.Helper()
	pages, err := web.New(web.Config{Auth: auth, PublicAddr: "proxy.example.com:443", Version: "0", Strangers: strangers, Now: now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// cluster answers what anyone may know.
type cluster struct {
	sallyportv1connect.UnimplementedClusterServiceHandler
}

func (cluster) Ping(context.Context, *sallyportv1.PingRequest) (*sallyportv1.PingResponse, error) {
	return &sallyportv1.PingResponse{ClusterName: "test.local", ServerVersion: "1.2.3"}, nil
}

func (cluster) GetAuthorities(context.Context, *sallyportv1.GetAuthoritiesRequest) (*sallyportv1.GetAuthoritiesResponse, error) {
	return &sallyportv1.GetAuthoritiesResponse{}, nil
}

// ask sends a question from an address and returns the status.
func ask(pages http.Handler, from, question string) *httptest.ResponseRecorder {
	method, body := http.MethodGet, ""
	if strings.HasPrefix(question, "/sallyport.") {
		method, body = http.MethodPost, "{}"
	}
	request := httptest.NewRequest(method, question, strings.NewReader(body))
	request.RemoteAddr = from
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	pages.ServeHTTP(answer, request)
	return answer
}

func TestOneAddressAsksSoOften(t *testing.T) {
	t.Parallel()
	const ping, authorities = sallyportv1connect.ClusterServicePingProcedure, sallyportv1connect.ClusterServiceGetAuthoritiesProcedure
	questions := []string{"/webapi/ping", "/webapi/ping/local", "/webapi/find", "/v1/webapi/ping", "/v1/webapi/automaticupgrades/channel/default/version", "/web/", ping, authorities}
	for _, mostly := range questions {
		t.Run(mostly, func(t *testing.T) {
			t.Parallel()
			_, handler := sallyportv1connect.NewClusterServiceHandler(cluster{})
			local, auth := authapi.NewLocal(handler, nil)
			t.Cleanup(local.Close)
			clock := storetest.NewClock()
			pages := newPages(t, auth, quota.Rate{PerMinute: 20, Burst: 40}, clock.Now)
			for i := range 40 {
				from := fmt.Sprintf("[2001:db8::%x]:%d", i+1, 1000+i) // one network
				if answer := ask(pages, from, mostly); answer.Code != http.StatusOK {
					t.Fatalf("question %d: %d %s", i, answer.Code, answer.Body)
				}
			}
			for _, question := range questions {
				if answer := ask(pages, "[2001:db8::1]:1", question); answer.Code != http.StatusTooManyRequests || !strings.Contains(strings.ToLower(answer.Body.String()), "too many requests from your address") {
					t.Errorf("%s after too many: %d %s", question, answer.Code, answer.Body)
				}
			}
			if answer := ask(pages, "[2001:db8:0:1::1]:1", mostly); answer.Code != http.StatusOK {
				t.Errorf("another network: %d", answer.Code)
			}
			clock.Advance(3 * time.Second)
			if answer := ask(pages, "[2001:db8::1]:1", mostly); answer.Code != http.StatusOK {
				t.Errorf("three seconds later: %d", answer.Code)
			}
			if answer := ask(pages, "[2001:db8::1]:1", "/webapi/ping"); answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") != "4" {
				t.Errorf("right after that: %d, again after %q", answer.Code, answer.Header().Get("Retry-After"))
			}
		})
	}
}

func TestVersionsOfChannels(t *testing.T) {
	t.Parallel()
	_, handler := sallyportv1connect.NewClusterServiceHandler(cluster{})
	local, auth := authapi.NewLocal(handler, nil)
	t.Cleanup(local.Close)
	pages := newPages(t, auth, quota.ForStrangers(), time.Now)
	for path, want := range map[string]string{
		"/v1/webapi/automaticupgrades/channel/default/version":   "v1.2.3",
		"/webapi/automaticupgrades/channel/stable/cloud/version": "v1.2.3",
		"/webapi/automaticupgrades/channel/default/critical":     "no",
		"/webapi/automaticupgrades/channel/default/other":        "",
		"/webapi/automaticupgrades/channel/version":              "",
	} {
		answer := ask(pages, "192.0.2.1:1", path)
		if got := answer.Body.String(); want != "" && (answer.Code != http.StatusOK || got != want) || want == "" && answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d %q", path, answer.Code, got)
		}
	}
}

func TestPagesSayErrorsAsSentences(t *testing.T) {
	t.Parallel()
	nobody := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, fault.New(fault.ConnectionProblem, "the auth server sleeps; try again later")
	}}}
	pages := newPages(t, authapi.New(nobody, "http://auth"), quota.ForStrangers(), time.Now)
	for _, path := range []string{"/web/", "/web/invite/0123456789abcdef0123456789abcdef"} {
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if want := "<p>The auth server sleeps; try again later.</p>"; !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s has no %q:\n%s", path, want, answer.Body)
		}
	}
}

// TestStrangersSendLittleAndNothingPacked sends calls of the public API that are too large, plain and compressed.
func TestStrangersSendLittleAndNothingPacked(t *testing.T) {
	t.Parallel()
	pages := newPages(t, nil, quota.ForStrangers(), time.Now)
	large := `{"user":"` + strings.Repeat("x", 70<<10) + `"}`
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := io.WriteString(zip, large); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		encoding, body, says string
	}{
		"too large":  {"", large, "resource_exhausted"},
		"compressed": {"gzip", packed.String(), "unimplemented"},
	} {
		request := httptest.NewRequest(http.MethodPost, "/sallyport.v1.LoginService/Login", strings.NewReader(c.body))
		request.Header.Set("Content-Type", "application/json")
		if c.encoding != "" {
			request.Header.Set("Content-Encoding", c.encoding)
		}
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, request)
		if !strings.Contains(answer.Body.String(), c.says) {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}
