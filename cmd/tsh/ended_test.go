package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/detour"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
)

// loginUntil returns credentials of alice, for a database of PostgreSQL if one is named, that were made an hour before they end.
func loginUntil(t *testing.T, end time.Time, database string) *client.Credentials {
	t.Helper()
	return loginTo(t, end, database, resource.ProtocolPostgres)
}

// loginTo is loginUntil for databases of any protocol.
func loginTo(t *testing.T, end time.Time, database, protocol string) *client.Credentials {
	t.Helper()
	made := end.Add(-time.Hour)
	authority, err := ca.New(ca.UserCA, "test.local", made)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	id := &identity.Identity{Kind: identity.User, Cluster: "test.local", Name: "alice", Roles: []string{"access"}}
	if database != "" {
		id.Route = &identity.Route{Service: database, Protocol: protocol, User: "alice"}
	}
	extension, err := id.Extension()
	if err != nil {
		t.Fatal(err)
	}
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: id.Subject(), Extensions: []pkix.Extension{extension},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: end,
	}, made)
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

// keepLogins stores a login, and logins to databases of it, at a proxy that does not exist. Clients have a section for each.
func keepLogins(t *testing.T, loginEnds, databasesEnd time.Time, databases ...string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("TELEPORT_HOME", dir)
	t.Setenv("PGSERVICEFILE", filepath.Join(dir, "services"))
	home, err := client.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	profile := &client.Profile{WebProxyAddr: "127.0.0.1:1", User: "alice", Cluster: "test.local"}
	if err := home.Save(profile, loginUntil(t, loginEnds, "")); err != nil {
		t.Fatal(err)
	}
	for _, name := range databases {
		if err := profile.SaveDatabase(name, loginUntil(t, databasesEnd, name)); err != nil {
			t.Fatal(err)
		}
		if err := changeSection(filepath.Join(dir, "services"), sectionName(profile, name), []string{"host=x"}); err != nil {
			t.Fatal(err)
		}
	}
}

// step is a call of tsh, with its exit code and parts of what it prints.
type step struct {
	line      string
	code      int
	out, told string
}

func (s step) take(t *testing.T) {
	t.Helper()
	code, out, told := call(strings.Fields(s.line)...)
	if code != s.code || !strings.Contains(out, s.out) || !strings.Contains(told, s.told) || s.told == "" && told != "" {
		t.Errorf("tsh %s: exit code %d, %q and %q; want %d, %q and %q", s.line, code, out, told, s.code, s.out, s.told)
	}
}

// TestWhatIsStoredCanBeShownAndRemovedWhenTheLoginHasEnded asks nobody: there is no proxy.
func TestWhatIsStoredCanBeShownAndRemovedWhenTheLoginHasEnded(t *testing.T) {
	end := time.Now().Add(-time.Minute)
	keepLogins(t, end, end, "cache", "shop", "stock")
	at := end.UTC().Format(time.RFC3339)
	over := "your certificate expired at " + at + "; log in again with tsh login"
	renew := `the certificate for database "shop" expired at ` + at + "; for a new one run tsh login, and then tsh db login shop\n"
	for _, step := range []step{
		{"db config shop", 0, "/shop.crt", "WARNING: " + renew},
		{"db config --format=cmd shop", 0, "psql ", "WARNING: " + renew},
		{"db env shop", 1, "", "ERROR: " + renew},
		{"db config none", 1, "", `you are not logged in to database "none"; run tsh db login none`},
		{"db connect shop", 1, "", over},
		{"db logout none", 1, "", `you are not logged in to database "none"; databases that you are logged in to: cache, shop, stock`},
		{"db logout --labels=env=dev", 1, "", over},
		{"db logout shop", 0, `Logged out of database "shop"`, ""},
		{"db logout shop", 1, "", `you are not logged in to database "shop"; databases that you are logged in to: cache, stock`},
		{"db logout", 0, "Logged out of all databases", ""},
		{"db logout shop", 1, "", `databases that you are logged in to: none`},
		{"logout", 0, "Logged out alice from 127.0.0.1:1.", ""},
		{"db logout shop", 1, "", "ERROR: Not logged in. Run tsh login --proxy=HOST:PORT first.\n"},
		{"status", 1, "", "ERROR: Not logged in. Run tsh login --proxy=HOST:PORT first.\n"},
	} {
		step.take(t)
	}
	if _, err := os.Stat(os.Getenv("PGSERVICEFILE")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("clients still have a file: %v", err)
	}
}

func TestALogoutNeedsNoHomeDirectory(t *testing.T) {
	end := time.Now().Add(time.Hour)
	keepLogins(t, end, end, "shop", "stock")
	t.Setenv("HOME", "")
	step{"db logout shop", 0, `Logged out of database "shop"`, ""}.take(t)
	step{"logout", 0, "Logged out alice from 127.0.0.1:1.", ""}.take(t)
	if _, err := os.Stat(os.Getenv("PGSERVICEFILE")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("clients still have a file: %v", err)
	}
}

func TestWithoutHOMETheSystemKnowsTheHomeDirectory(t *testing.T) {
	known := func() (*user.User, error) { return &user.User{HomeDir: "/of/the/system"}, nil }
	unknown := func() (*user.User, error) { return nil, errors.New("no such user") }
	t.Setenv("HOME", "/of/the/environment")
	if home := homeFolder(known); home != "/of/the/environment" {
		t.Errorf("HOME is passed over for %q", home)
	}
	t.Setenv("HOME", "")
	if home := homeFolder(known); home != "/of/the/system" {
		t.Errorf("the user's home is %q", home)
	}
	if home := homeFolder(unknown); home != "" {
		t.Errorf("nobody's home is %q", home)
	}
}

// TestALoginIsForWhomItWasMade names another user or port than those of the login, as scripts and the environment may.
func TestALoginIsForWhomItWasMade(t *testing.T) {
	end := time.Now().Add(time.Hour)
	keepLogins(t, end, end, "shop")
	for _, line := range []string{"status", "db config shop", "db ls", "db connect shop", "db logout shop"} {
		step{"--user=carl " + line, 1, "", "ERROR: you are logged in at 127.0.0.1:1 as alice; for another login run tsh login --proxy=127.0.0.1:1 --user=carl, or"}.take(t)
		step{"--proxy=127.0.0.1:2 " + line, 1, "", "ERROR: you are logged in at 127.0.0.1:1 as alice; for another login run tsh login --proxy=127.0.0.1:2 --user=alice, or"}.take(t)
	}
	step{"--proxy=127.0.0.1:2 logout", 1, "", "you are logged in at 127.0.0.1:1 as alice"}.take(t)
	step{"--proxy=127.0.0.1:2 login --user=alice", 1, "", "no proxy answers at 127.0.0.1:2"}.take(t)
	step{"--proxy=https://127.0.0.1:1 login --user=alice", 1, "", `ERROR: --proxy: "https://127.0.0.1:1" is not an address; give host[:port] without https://`}.take(t)
	for _, same := range []string{"", "--user=alice ", "--proxy=127.0.0.1 ", "--proxy=127.0.0.1:1 --user=alice "} {
		step{same + "status", 0, "Logged in as:       alice", ""}.take(t)
		step{same + "login", 0, "Logged in as:       alice", ""}.take(t)
	}
	t.Setenv("TELEPORT_USER", "carl")
	step{"db config shop", 1, "", "you are logged in at 127.0.0.1:1 as alice"}.take(t)
	step{"--user=alice db config shop", 0, "/shop.crt", ""}.take(t)
}

func TestALoginToADatabaseCanEndBeforeTheLoginItself(t *testing.T) {
	end := time.Now().Add(-time.Minute)
	keepLogins(t, time.Now().Add(time.Hour), end, "shop")
	renew := `the certificate for database "shop" expired at ` + end.UTC().Format(time.RFC3339) + "; for a new one run tsh db login shop\n"
	step{"db config shop", 0, "/shop.crt", "WARNING: " + renew}.take(t)
	step{"db env shop", 1, "", "ERROR: " + renew}.take(t)
	step{"db env --ttl=-1 shop", 1, "", "--ttl must be positive, in minutes"}.take(t)
}

// TestAnIdentityFileThatHasEndedCanBeLoggedOutOfDatabases has no proxy either, and no port of it.
func TestAnIdentityFileThatHasEndedCanBeLoggedOutOfDatabases(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("TELEPORT_HOME", dir)
	file := filepath.Join(dir, "alice.pem")
	credentials := loginUntil(t, time.Now().Add(-time.Minute), "")
	data, err := credentials.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	home, err := client.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	profile := home.ForIdentity(file, "127.0.0.1:3080", credentials)
	if err := profile.SaveAuthorities(credentials); err != nil {
		t.Fatal(err)
	}
	if err := profile.SaveDatabase("shop", loginUntil(t, time.Now().Add(-time.Minute), "shop")); err != nil {
		t.Fatal(err)
	}
	as := "-i " + file + " --proxy=127.0.0.1 "
	step{as + "db config shop", 1, "", "your certificate expired at "}.take(t)
	step{as + "db logout shop", 0, `Logged out of database "shop"`, ""}.take(t)
	step{as + "db logout shop", 1, "", "databases that you are logged in to: none"}.take(t)
}

// TestLoggingOutLeavesNoKeys has logins to databases that were made with identity files, which are gone.
func TestLoggingOutLeavesNoKeys(t *testing.T) {
	end := time.Now().Add(time.Hour)
	keepLogins(t, end, end, "shop")
	dir := os.Getenv("TELEPORT_HOME")
	home, err := client.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	for file, database := range map[string]string{"/alice.pem": "stock", "/bob.pem": "cache"} {
		login := loginUntil(t, end, database)
		profile := home.ForIdentity(dir+file, "127.0.0.1:3080", login)
		err := errors.Join(profile.SaveAuthorities(login), profile.SaveDatabase(database, login),
			changeSection(os.Getenv("PGSERVICEFILE"), sectionName(profile, database), []string{"host=x"}),
			os.WriteFile(profile.WebCertificatePath(), nil, 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	step{"--proxy=127.0.0.1 logout", 0, "Logged out alice from 127.0.0.1:1.\n", ""}.take(t)
	if left, err := os.ReadFile(os.Getenv("PGSERVICEFILE")); err != nil || !strings.Contains(string(left), "stock") || strings.Contains(string(left), "shop") {
		t.Errorf("after a login at one proxy there is %q, %v", left, err)
	}
	step{"logout", 0, "Logged out of all databases that identity files were used for.\n", ""}.take(t)
	step{"logout", 0, "Nobody was logged in.\n", ""}.take(t)
	if _, err := os.Stat(os.Getenv("PGSERVICEFILE")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("clients still have a file: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestALoginWithATimeIsNotRenewed has a tunnel whose time is over.
func TestALoginWithATimeIsNotRenewed(t *testing.T) {
	t.Parallel()
	over := loginUntil(t, time.Now().Add(-time.Minute), "shop")
	who := &account{credentials: loginUntil(t, time.Now().Add(time.Hour), ""), proxy: "127.0.0.1:1", dialer: client.NewDialer(detour.Never, false), ttl: time.Minute}
	n := &renewer{who: who, login: over}
	if _, err := n.tls(t.Context()); err == nil || !strings.Contains(err.Error(), "the time of --ttl is over") {
		t.Errorf("a tunnel whose time is over: %v", err)
	}
	n.login = loginUntil(t, time.Now().Add(30*time.Second), "shop")
	if _, err := n.tls(t.Context()); err != nil {
		t.Errorf("a tunnel with half a minute left: %v", err)
	}
}
