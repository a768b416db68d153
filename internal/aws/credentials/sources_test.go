package credentials_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/fault"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// metadata is the instance metadata service, in one of its moods.
type metadata struct {
	deaf  bool // swallows requests for tokens, as a hop limit of 1 does to pods
	v1    bool // does not know tokens
	bare  bool // the instance has no role
	puts  int
	plain int // requests without a token
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const role = "/latest/meta-data/iam/security-credentials/"
	switch {
	case r.Method == http.MethodPut && m.deaf:
		m.puts++
		<-r.Context().Done()
	case r.Method == http.MethodPut && m.v1:
		m.puts++
		http.Error(w, "", http.StatusMethodNotAllowed)
	case r.Method == http.MethodPut:
		m.puts++
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
		fmt.Fprint(w, "token")
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
		m.plain++
		fmt.Fprint(w, "role")
	case m.bare:
		http.NotFound(w, r)
	case r.URL.Path == role:
		fmt.Fprint(w, "agent")
	default:
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"ASIAIMDS","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
	}
}

func (m *metadata) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheDefaultChain(t *testing.T) {
	dir := t.TempDir()
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "pod-token" {
			http.Error(w, "", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":"s","Token":"t","Expiration":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer container.Close()
	files := map[string]string{
		"AWS_SHARED_CREDENTIALS_FILE": write(t, filepath.Join(dir, "credentials"), "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s\n[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\n"),
		"AWS_CONFIG_FILE":             write(t, filepath.Join(dir, "config"), "[profile other]\nregion = eu-north-1\n"),
	}
	pod := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": write(t, filepath.Join(dir, "token"), "pod-token")}
	for _, test := range []struct {
		name        string
		environment []map[string]string
		key, region string
	}{
		{"the environment is first", []map[string]string{files, {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "other"}}, "AKIDENV", "eu-north-1"},
		{"web identity comes before files", []map[string]string{files, {"AWS_WEB_IDENTITY_TOKEN_FILE": write(t, filepath.Join(dir, "jwt"), "jwt"), "AWS_ROLE_ARN": roleOne}}, "ASIA1", "us-east-1"},
		{"shared files come before containers", []map[string]string{files, pod}, "AKIDDEFAULT", "us-east-1"},
		{"the profile that AWS_PROFILE names", []map[string]string{files, {"AWS_PROFILE": "other"}}, "AKIDOTHER", "eu-north-1"},
		{"containers come before the instance", []map[string]string{pod, {"AWS_DEFAULT_REGION": "eu-west-3"}}, "ASIACONTAINER", "eu-west-3"},
		{"the instance is last", []map[string]string{{"AWS_EC2_METADATA_SERVICE_ENDPOINT": (&metadata{}).start(t)}}, "ASIAIMDS", "us-east-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &sts{now: time.Now}
			server := httptest.NewServer(s)
			defer server.Close()
			cloudtest.Environment(t, map[string]string{"AWS_ENDPOINT_URL_STS": server.URL})
			for _, set := range test.environment {
				for name, value := range set {
					t.Setenv(name, value)
				}
			}
			cfg, err := provider(time.Now).For(t.Context(), credentials.Chain{})
			if err != nil {
				t.Fatal(err)
			}
			creds, err := cfg.Credentials.Retrieve(t.Context())
			if err != nil || creds.AccessKeyID != test.key || cfg.Region != test.region {
				t.Errorf("got %s in %s, %v", creds.AccessKeyID, cfg.Region, err)
			}
		})
	}
}

// TestReplacedFilesAreSeen changes the credentials file under a running process.
func TestReplacedFilesAreSeen(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "credentials"), "[default]\naws_access_key_id = AKID1\naws_secret_access_key = s\n")
	cloudtest.Environment(t, map[string]string{"AWS_SHARED_CREDENTIALS_FILE": path})
	now := time.Now()
	p := provider(func() time.Time { return now })
	for _, want := range []string{"AKID1", "AKID2"} {
		cfg, err := p.For(t.Context(), credentials.Chain{})
		if err != nil {
			t.Fatal(err)
		}
		if creds, _ := cfg.Credentials.Retrieve(t.Context()); creds.AccessKeyID != want {
			t.Errorf("got %s, want %s", creds.AccessKeyID, want)
		}
		write(t, path, "[default]\naws_access_key_id = AKID2\naws_secret_access_key = s\n")
		now = now.Add(16 * time.Minute)
	}
}

func TestNoCredentials(t *testing.T) {
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`)
	}))
	defer denied.Close()
	jwt := write(t, filepath.Join(t.TempDir(), "jwt"), "very-secret-jwt")
	deaf, old := &metadata{deaf: true}, &metadata{v1: true}
	both := []string{"NoCredentialProviders: no valid providers in chain", "failed to refresh cached credentials, no EC2 IMDS role found", "AWS_ACCESS_KEY_ID not set", "HttpPutResponseHopLimit 1", "IRSA"}
	for _, test := range []struct {
		name  string
		set   map[string]string
		texts []string
	}{
		{"nothing anywhere", nil, both},
		{"pods behind a hop limit", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": deaf.start(t)}, append([]string{"no answer"}, both...)},
		{"an instance without tokens", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": old.start(t)}, append([]string{"version 2"}, both...)},
		{"an instance without role", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": (&metadata{bare: true}).start(t)}, append([]string{"attach an instance profile"}, both...)},
		{"the metadata is switched off", map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, []string{"NoCredentialProviders: no valid providers in chain", "access disabled to EC2 IMDS via client option", "unset AWS_EC2_METADATA_DISABLED"}},
		{"a profile that is not there", map[string]string{"AWS_PROFILE": "other"}, []string{`profile "other"`, "AWS_PROFILE"}},
		{"a service account without trust", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": jwt, "AWS_ROLE_ARN": roleOne, "AWS_ENDPOINT_URL_STS": denied.URL}, []string{"AWS_ROLE_ARN", "trust policy", "OIDC", "Not authorized"}},
		{"a token that is not there", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": roleOne}, []string{"AWS_ROLE_ARN", "no such file"}},
		{"a container service that is not there", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"}, []string{"container credentials service", "EKS Pod Identity"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cloudtest.Environment(t, test.set)
			began := time.Now()
			_, err := provider(time.Now).For(t.Context(), credentials.Chain{AssumeRoleARN: roleOne})
			if !fault.Is(err, fault.ConnectionProblem) && !fault.Is(err, fault.BadParameter) {
				t.Fatal(err)
			}
			for _, text := range test.texts {
				if !strings.Contains(fault.Message(err), text) {
					t.Errorf("the message lacks %q: %s", text, fault.Message(err))
				}
			}
			if strings.Contains(err.Error(), "very-secret") {
				t.Errorf("a secret is in %v", err)
			}
			if d := time.Since(began); d > 20*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
	if old.plain > 0 || deaf.plain > 0 || old.puts == 0 || deaf.puts == 0 {
		t.Errorf("version 1 of the metadata was used: %+v %+v", old, deaf)
	}
}

// TestExpiredFilesAreReadAgain has temporary credentials in a file that run out and are replaced.
func TestExpiredFilesAreReadAgain(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	chain := credentials.Chain{AssumeRoleARN: c.Role(t, cloudtest.DatabaseAccount, "databases", cloudtest.Trust(c.Agent.ARN(), "")).ARN()}
	content := func(life time.Duration) string {
		keys := c.Agent.Session("i-1", life)
		return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
	}
	path := write(t, filepath.Join(t.TempDir(), "credentials"), content(-time.Minute))
	cloudtest.Environment(t, map[string]string{"AWS_SHARED_CREDENTIALS_FILE": path})
	p := c.Provider()
	if _, err := p.For(t.Context(), chain); err == nil || !strings.Contains(fault.Message(err), "have expired") {
		t.Fatal(err)
	}
	write(t, path, content(time.Hour))
	if _, err := p.For(t.Context(), chain); err != nil {
		t.Error(err)
	}
}
