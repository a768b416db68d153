// Package clustertest starts whole clusters inside a test, in one call: the daemons that users run, with
// real sockets and files, and clients that act as administrators and users.
package clustertest

import (
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/config"
	"sallyport/internal/detour"
	"sallyport/internal/realserver"
	"sallyport/internal/resource"
	"sallyport/internal/service"
)

// ClusterName is the name of every cluster that this package starts.
const ClusterName = "test.local"

// StaticToken lets agents into every cluster of this package.
const StaticToken = "0123456789abcdef0123456789abcdef"

const patience = 30 * time.Second

// NewDialer returns what opens connections to the clusters of this package, whose web certificates nobody trusts.
func NewDialer() *detour.Dialer { return client.NewDialer(detour.WhenNeeded, true) }

// Cluster is an auth server and a proxy in one daemon.
type Cluster struct {
	*Daemon
	Proxy string // host:port
	Auth  string // host:port
	Admin *authapi.Client
}

// Options say what is special about a cluster. The zero value is a good one.
type Options struct {
	Databases []*resource.Database // served by the cluster's own daemon, when there are any
	Change    func(cfg *config.Config)
	DataDir   string            // default: a new one
	STS       http.RoundTripper // carries what auth asks STS; default: to AWS itself
	Now       func() time.Time  // the clock of the daemon's host; default: the right one
}

// Start starts a cluster.
func Start(t testing.TB, options Options) *Cluster {
	t.Helper()
	cfg := config.Default()
	cfg.Nodename = "localhost"
	cfg.DataDir = options.DataDir
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	c := &Cluster{Proxy: FreeAddr(t), Auth: FreeAddr(t)}
	cfg.Storage.Path = filepath.Join(cfg.DataDir, "backend")
	cfg.Storage.Sync = "OFF" // no test here cuts the power
	cfg.Auth.Enabled, cfg.Auth.ClusterName, cfg.Auth.ListenAddr = true, ClusterName, c.Auth
	cfg.Auth.StaticTokens = []*resource.Token{staticToken(t)}
	cfg.Proxy.Enabled, cfg.Proxy.ListenAddr, cfg.Proxy.PublicAddrs = true, c.Proxy, []string{c.Proxy}
	if len(options.Databases) > 0 {
		cfg.Databases.Enabled, cfg.Databases.Static = true, options.Databases
	}
	if options.Change != nil {
		options.Change(cfg)
	}
	c.Auth, c.Proxy = cfg.Auth.ListenAddr, cfg.Proxy.ListenAddr
	c.Daemon = start(t, cfg, service.Process{STS: options.STS, Now: options.Now})
	var credentials *client.Credentials
	Eventually(t, "the cluster is up", func() error {
		var err error
		if credentials, err = client.ReadIdentityFile(filepath.Join(cfg.DataDir, config.AdminFile)); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", c.Proxy)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	c.Admin = credentials.API(NewDialer(), c.Auth)
	t.Cleanup(c.Admin.Close)
	return c
}

func staticToken(t testing.TB) *resource.Token {
	t.Helper()
	r, err := resource.New(resource.KindToken)
	if err != nil {
		t.Fatal(err)
	}
	token := r.(*resource.Token)
	token.Metadata.Name = StaticToken
	token.Spec.Roles = []resource.SystemRole{resource.RoleDb, resource.RoleProxy}
	if err := token.Validate(); err != nil {
		t.Fatal(err)
	}
	return token
}

// StartAgent starts a daemon that serves databases through the cluster's proxy.
func (c *Cluster) StartAgent(t testing.TB, change func(cfg *config.Config), databases ...*resource.Database) *Daemon {
	t.Helper()
	return StartDaemon(t, c.AgentConfig(t, change, databases...))
}

// AgentConfig returns the configuration of such a daemon.
func (c *Cluster) AgentConfig(t testing.TB, change func(cfg *config.Config), databases ...*resource.Database) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Auth.Enabled, cfg.Proxy.Enabled = false, false
	cfg.Nodename, cfg.DataDir = "agent", t.TempDir()
	cfg.ProxyAddr, cfg.Token, cfg.CAPins = c.Proxy, StaticToken, c.Pins(t)
	cfg.Databases.Enabled, cfg.Databases.Static = true, databases
	if change != nil {
		change(cfg)
	}
	return cfg
}

// StartProxy starts a daemon that is only a proxy of the cluster and returns its address.
func (c *Cluster) StartProxy(t testing.TB, changes ...func(cfg *config.Config)) string {
	t.Helper()
	cfg := config.Default()
	cfg.Auth.Enabled, cfg.Databases.Enabled = false, false
	cfg.Nodename, cfg.DataDir = "proxy", t.TempDir()
	cfg.AuthAddr, cfg.Token, cfg.CAPins = c.Auth, StaticToken, c.Pins(t)
	addr := FreeAddr(t)
	cfg.Proxy.Enabled, cfg.Proxy.ListenAddr, cfg.Proxy.PublicAddrs = true, addr, []string{addr}
	for _, change := range changes {
		change(cfg)
	}
	StartDaemon(t, cfg)
	return addr
}

// Pins returns the cluster's CA pins.
func (c *Cluster) Pins(t testing.TB) []string {
	t.Helper()
	res, err := c.Admin.Cluster.GetAuthorities(t.Context(), &sallyportv1.GetAuthoritiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetPins()
}

// Database returns a PostgreSQL database resource as the configuration file makes it.
func Database(t testing.TB, name, uri string, labels map[string]string) *resource.Database {
	t.Helper()
	r, err := resource.New(resource.KindDatabase)
	if err != nil {
		t.Fatal(err)
	}
	db := r.(*resource.Database)
	db.Metadata.Name, db.Metadata.Labels = name, map[string]string{resource.LabelOrigin: resource.OriginConfigFile}
	for key, value := range labels {
		db.Metadata.Labels[key] = value
	}
	db.Spec.Protocol, db.Spec.URI = "postgres", uri
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

// Apply writes the resources of a YAML text.
func (c *Cluster) Apply(t testing.TB, text string) {
	t.Helper()
	all, err := resource.ParseYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		json, err := resource.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Admin.Resources.PutResource(t.Context(), &sallyportv1.PutResourceRequest{
			Resource: &sallyportv1.Resource{Kind: r.GetKind(), Name: r.GetName(), Json: json},
		})
		if err != nil {
			t.Fatalf("writing %s %s: %v", r.GetKind(), r.GetName(), err)
		}
	}
}

// Delete removes a resource.
func (c *Cluster) Delete(t testing.TB, kind, name string) {
	t.Helper()
	if _, err := c.Admin.Resources.DeleteResource(t.Context(), &sallyportv1.DeleteResourceRequest{Kind: kind, Name: name}); err != nil {
		t.Fatal(err)
	}
}

// User makes a user with roles and returns credentials for it, as tctl auth sign does.
func (c *Cluster) User(t testing.TB, name string, roles ...string) *client.Credentials {
	t.Helper()
	if _, err := c.Admin.Users.CreateUser(t.Context(), &sallyportv1.CreateUserRequest{Name: name, Roles: roles}); err != nil {
		t.Fatal(err)
	}
	return c.Sign(t, name, time.Hour)
}

// Sign returns credentials for a user.
func (c *Cluster) Sign(t testing.TB, name string, ttl time.Duration) *client.Credentials {
	t.Helper()
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Admin.Certificates.SignUserCertificate(t.Context(), &sallyportv1.SignUserCertificateRequest{
		User: name, PublicKey: public, Ttl: durationpb.New(ttl),
	})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := authapi.TrustOf(res.GetClusterName(), res.GetAuthorities())
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := client.NewCredentials(key, res.GetCertificate(), trust)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// Events returns the events of the log, oldest first, that hold all of the texts.
func (c *Cluster) Events(t testing.TB, types []string, texts ...string) []string {
	t.Helper()
	var found []string
	token := ""
	for {
		res, err := c.Admin.Audit.SearchEvents(t.Context(), &sallyportv1.SearchEventsRequest{Types: types, Ascending: true, Limit: 1000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range res.GetEvents() {
			matches := true
			for _, text := range texts {
				matches = matches && strings.Contains(string(event), text)
			}
			if matches {
				found = append(found, string(event))
			}
		}
		if token = res.GetNextPageToken(); token == "" {
			return found
		}
	}
}

// Eventually waits until the check succeeds, and fails the test when it does not in time.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, patience, err)
}

// FreeAddr returns a loopback address on which nobody but who is told of it can listen.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, err := realserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// Authorities returns the active certificates of the cluster's authorities by type, PEM.
func (c *Cluster) Authorities(t testing.TB) map[string][]byte {
	t.Helper()
	res, err := c.Admin.Cluster.GetAuthorities(t.Context(), &sallyportv1.GetAuthoritiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, authority := range res.GetAuthorities() {
		all[authority.GetType()] = authority.GetCertificates()[0]
	}
	return all
}
