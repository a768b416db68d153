package credentials_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
)

// sts is a small STS: it notes what it is asked, and answers with new credentials unless told otherwise.
type sts struct {
	mu     sync.Mutex
	calls  []url.Values // guarded by mu
	keys   []string     // access key of each call; guarded by mu
	answer func(call url.Values) (status int, code, message string)
	now    func() time.Time
	lives  time.Duration // that it says; an hour by default
}

func startSTS(t *testing.T) *sts {
	t.Helper()
	s := &sts{now: time.Now}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cloudtest.Environment(t, map[string]string{
		"AWS_ENDPOINT_URL_STS": server.URL, "AWS_ACCESS_KEY_ID": "AKIDBASE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1",
	})
	return s
}

func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	s.mu.Lock()
	s.calls = append(s.calls, r.Form)
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	s.keys = append(s.keys, key)
	n := len(s.calls)
	s.mu.Unlock()
	if s.answer != nil {
		if status, code, message := s.answer(r.Form); status != 0 {
			w.WriteHeader(status)
			fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
			return
		}
	}
	issued := fmt.Sprintf(`<Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>s%d</SecretAccessKey><SessionToken>t%d</SessionToken><Expiration>%s</Expiration></Credentials>`,
		n, n, n, s.now().Add(cmp.Or(s.lives, time.Hour)).UTC().Format(time.RFC3339))
	switch action := r.Form.Get("Action"); action {
	case "GetCallerIdentity":
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::111111111111:assumed-role/agent/i-1</Arn><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	default:
		fmt.Fprintf(w, `<%sResponse><%sResult>%s</%sResult></%sResponse>`, action, action, issued, action, action)
	}
}

// said returns the calls so far.
func (s *sts) said() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[:len(s.calls):len(s.calls)]
}

func (s *sts) signers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[:len(s.keys):len(s.keys)]
}

func provider(now func() time.Time) *credentials.Provider {
	return credentials.New(credentials.Config{SessionName: "sallyport-host", Logger: slog.New(slog.DiscardHandler), Now: now})
}
