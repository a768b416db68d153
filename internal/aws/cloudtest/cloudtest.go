// Package cloudtest puts the local AWS behind the parts of the product that call AWS, inside a test and without a
// network, so that tests in a bubble of time can let days pass.
package cloudtest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/fakeaws"
)

// The accounts of tests.
const (
	AgentAccount    = "111111111111"
	DatabaseAccount = "222222222222"
)

// AllowAssume is a policy that allows to assume roles, with tags.
const AllowAssume = `{"Version":"2012-10-17","Statement":[{"Sid":"Assume","Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"*"}]}`

// Cloud is a local AWS in which the test's process holds a session of a role.
type Cloud struct {
	*fakeaws.World
	Agent *fakeaws.Role
	now   func() time.Time
}

// New makes a cloud with services besides STS and IAM. Credentials of the agent's role, which has the policies, are put
// into the environment.
func New(t *testing.T, services []*fakeaws.Service, policies ...string) *Cloud {
	t.Helper()
	return NewAt(t, time.Now, services, policies...)
}

// NewAt is New with a clock of the test's own.
func NewAt(t *testing.T, now func() time.Time, services []*fakeaws.Service, policies ...string) *Cloud {
	t.Helper()
	world, err := fakeaws.New(fakeaws.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	world.Add(services...)
	c := &Cloud{World: world, now: now}
	c.Agent = c.Role(t, AgentAccount, "agent", Trust("arn:aws:iam::"+AgentAccount+":root", ""), policies...)
	keys := c.Agent.Session("i-1", 12*time.Hour)
	Environment(t, map[string]string{"AWS_REGION": "us-west-1",
		"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken})
	return c
}

// Environment leaves nothing of AWS in the environment but what is given, for the length of the test.
func Environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restored at the end
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	for name, value := range set {
		t.Setenv(name, value)
	}
}

// Do implements the HTTP client of the SDK. It takes no time but what the local AWS says.
func (c *Cloud) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.Host = r.URL.Host
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// RoundTrip implements http.RoundTripper.
func (c *Cloud) RoundTrip(r *http.Request) (*http.Response, error) { return c.Do(r) }

// Provider returns a provider of credentials that calls this cloud.
func (c *Cloud) Provider() *credentials.Provider {
	return credentials.New(credentials.Config{SessionName: "sallyport-host", HTTPClient: c, Logger: slog.New(slog.DiscardHandler), Now: c.now})
}

// Role adds a role to an account.
func (c *Cloud) Role(t *testing.T, account, name, trust string, policies ...string) *fakeaws.Role {
	t.Helper()
	role, err := c.Account("aws", account).AddRole(fakeaws.Role{Name: name, Trust: trust, Permissions: Inline(policies...)})
	if err != nil {
		t.Fatal(err)
	}
	return role
}

// Trust is a trust policy that lets a principal in, with an external id unless that is empty.
func Trust(principal, externalID string) string {
	condition := ""
	if externalID != "" {
		condition = `,"Condition":{"StringEquals":{"sts:ExternalId":"` + externalID + `"}}`
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":["sts:AssumeRole","sts:TagSession"]` + condition + `}]}`
}

// Allow is a policy with one statement.
func Allow(action string, resources ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":["` + strings.Join(resources, `","`) + `"]}]}`
}

// Inline are permissions of inline policies only.
func Inline(policies ...string) fakeaws.Permissions {
	p := fakeaws.Permissions{Inline: map[string]string{}}
	for i, document := range policies {
		p.Inline[string(rune('a'+i))] = document
	}
	return p
}
