package client_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
)

// login returns credentials of a user of the cluster test.local.
func login(t *testing.T, user string) *client.Credentials {
	t.Helper()
	now := time.Now()
	authority, err := ca.New(ca.UserCA, "test.local", now)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	id := &identity.Identity{Kind: identity.User, Cluster: "test.local", Name: user, Roles: []string{"access"}}
	extension, err := id.Extension()
	if err != nil {
		t.Fatal(err)
	}
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: id.Subject(), Extensions: []pkix.Extension{extension},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: now.Add(time.Hour),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	trust := &mtls.Trust{Cluster: "test.local", Authorities: map[ca.Type][]*x509.Certificate{ca.UserCA: {authority.Cert}}}
	credentials, err := client.NewCredentials(key, ca.EncodeCertificate(der), trust)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func TestLogoutLeavesNothingOfTheProxy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, err := client.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	other := &client.Profile{WebProxyAddr: "other.example.com:443", User: "carol", Cluster: "test.local"}
	if err := home.Save(other, login(t, "carol")); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	var last *client.Profile
	for _, user := range []string{"alice", "bob"} { // bob takes over the profile; alice's key is left
		last = &client.Profile{WebProxyAddr: "proxy.example.com:3080", User: user, Cluster: "test.local"}
		if err := home.Save(last, login(t, user)); err != nil {
			t.Fatal(err)
		}
	}
	if err := home.Remove(last); err != nil {
		t.Fatal(err)
	}
	before = slices.DeleteFunc(before, func(path string) bool { return path == "current-profile" })
	if after := files(t, dir); !slices.Equal(after, before) {
		t.Errorf("left behind are %q, want %q", after, before)
	}
}

func TestLogoutOfAProfileWithoutAProxyRemovesNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, err := client.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := home.Save(&client.Profile{WebProxyAddr: "proxy.example.com:3080", User: "alice", Cluster: "test.local"}, login(t, "alice")); err != nil {
		t.Fatal(err)
	}
	want := files(t, dir)
	for _, address := range []string{"", ":3080", "..:3080", "../keys:3080"} {
		if err := home.Remove(&client.Profile{WebProxyAddr: address, User: "alice", Cluster: "test.local"}); err == nil {
			t.Errorf("%q was removed", address)
		}
	}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
}

func TestProfileSaysWhereAndHowTheUserLoggedIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, err := client.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &client.Profile{WebProxyAddr: "proxy.example.com:3080", User: "alice", Cluster: "test.local", AuthConnector: "local", MFAMode: "auto"}
	if err := home.Save(p, login(t, "alice")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "proxy.example.com.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := `web_proxy_addr: proxy.example.com:3080
postgres_proxy_addr: proxy.example.com:3080
user: alice
cluster: test.local
tls_routing_enabled: true
auth_connector: local
mfa_mode: auto
`
	if string(got) != want {
		t.Errorf("profile is\n%s\nwant\n%s", got, want)
	}
}

func TestDamagedLoginsAreNamed(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"keys/proxy/alice.crt":                      "with tsh login",
		"keys/proxy/alice.key":                      "with tsh login",
		"keys/proxy/certs.pem":                      "with tsh login",
		"keys/proxy/alice-db/test.local/orders.crt": "with tsh db login orders",
		"keys/proxy/alice-db/test.local/orders.key": "with tsh db login orders",
	} {
		dir := t.TempDir()
		home, err := client.OpenHome(dir)
		if err != nil {
			t.Fatal(err)
		}
		profile := &client.Profile{WebProxyAddr: "proxy:3080", User: "alice", Cluster: "test.local"}
		if err := home.Save(profile, login(t, "alice")); err != nil {
			t.Fatal(err)
		}
		if err := profile.SaveDatabase("orders", login(t, "alice")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err = profile.Credentials(); err == nil {
			_, err = profile.DatabaseCredentials("orders")
		}
		if got := fault.Message(err); err == nil || !strings.HasPrefix(got, path+" is damaged: ") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", file, got)
		}
	}
}
