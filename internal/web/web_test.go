package web_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/authapi"
	"sallyport/internal/fault"
	"sallyport/internal/web"
)

func TestPagesSayErrorsAsSentences(t *testing.T) {
	t.Parallel()
	nobody := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, fault.New(fault.ConnectionProblem, "the auth server sleeps; try again later")
	}}}
	pages, err := web.New(web.Config{Auth: authapi.New(nobody, "http://auth"), PublicAddr: "proxy.example.com:443", Version: "0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/web/", "/web/invite/0123456789abcdef0123456789abcdef"} {
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if want := "<p>The auth server sleeps; try again later.</p>"; !strings.Contains(answer.Body.String(), want) {
			t.Errorf("%s has no %q:\n%s", path, want, answer.Body)
		}
	}
}
