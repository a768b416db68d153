// Package config reads teleport.yaml: strictly, with every problem told at once, each with its line and
// the path of its key; and writes the files that `teleport configure` and its relatives hand out.
//
// The structs that mirror the file (fileConfig and what it holds) are the reference of its keys.
package config

import (
	"log/slog"
	"net/netip"
	"time"

	"sallyport/internal/detour"
	"sallyport/internal/quota"
	"sallyport/internal/resource"
)

// Config is what a daemon runs with: the file, over which flags were laid, with defaults filled in.
type Config struct {
	Nodename    string
	DataDir     string
	PIDFile     string
	DiagAddr    string // host:port of /healthz, /readyz and /metrics; empty for none
	Debug       bool   // given on the command line: profiles are served at DiagAddr too
	AdvertiseIP string // host under which others reach the proxy when it has no public address; empty means Nodename

	// Joining, for a process without its own auth service.
	Token      string   // value, or absolute path of a file that holds it (see ReadSecret); a name with other methods
	JoinMethod string   // "token", "iam" or "ec2"
	CAPins     []string // "sha256:<hex>", or absolute paths of files that hold some; see ReadPins
	ProxyAddr  string   // proxy_server, host:port
	AuthAddr   string   // auth_server, host:port; at most one of the two is set
	OtherAddrs []string // further addresses of proxies or auth services, tried when the first does not answer
	// AuthAddrMayBeProxy says that AuthAddr comes from a place where both kinds of address are usual:
	// auth_servers of older files and --auth-server.
	AuthAddrMayBeProxy bool
	Insecure           bool // the proxy's web certificate is not verified
	// Detours says when this process reaches proxies inside a WebSocket. It comes from the environment only.
	Detours detour.Mode
	FIPS    bool // AWS is called at endpoints that are validated by FIPS 140

	ShutdownDelay  time.Duration
	Log            Log
	MaxConnections int        // of one client address, for each service
	StrangerCalls  quota.Rate // of one client address without a certificate, of each kind
	Storage        Storage

	Auth      Auth
	Proxy     Proxy
	Databases Databases
	Discovery Discovery

	// Warnings are one line each: keys of the file that have no effect, with their lines.
	Warnings []string
}

// Log says what is logged and where.
type Log struct {
	Output   string // "stderr", "stdout" or an absolute path
	Severity string // "DEBUG", "INFO", "WARN" or "ERROR"
	Format   string // "text" or "json"
}

// Level returns the severity as the standard library knows it.
func (l Log) Level() slog.Level {
	switch l.Severity {
	case "DEBUG":
		return slog.LevelDebug
	case "WARN":
		return slog.LevelWarn
	case "ERROR":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// Storage says where the auth service keeps its state.
type Storage struct {
	Type string // "sqlite"
	Path string // directory; default <data_dir>/backend
	Sync string // "FULL", "NORMAL" or "OFF"
}

// Auth is the authority's part.
type Auth struct {
	Enabled      bool
	ClusterName  string // as configured; see NewClusterName
	ListenAddr   string // host:port
	StaticTokens []*resource.Token
	// EC2IdentityCertificates is a directory; empty for none.
	EC2IdentityCertificates string
	// Settings are the singleton resources that the file sets; empty when it sets none.
	Settings []resource.Resource
	// Bootstrap resources are created in a new cluster; Startup resources are written at every start.
	Bootstrap, Startup []resource.Resource
}

// Proxy is the proxy's part.
type Proxy struct {
	Enabled     bool
	ListenAddr  string   // web_listen_addr, host:port
	PublicAddrs []string // host:port; empty means nodename and the listener's port
	KeyPairs    []KeyPair
	// KeyPairsReload is how often the files of the certificates are looked at for changes; 0 is never.
	KeyPairsReload time.Duration
	// EndToEndOnly turns away clients for whom the proxy would have to end TLS.
	EndToEndOnly bool
	// Balancers are believed when they say whom a request is from.
	Balancers []netip.Prefix
	// HeadersFrom are the peers whose connections begin with a PROXY header; nobody else may send one.
	HeadersFrom []netip.Prefix
	MySQL       ProxyMySQL
}

// ProxyMySQL is the proxy's port for clients of MySQL that do TLS themselves.
type ProxyMySQL struct {
	ListenAddr string // host:port; empty for none
	PublicAddr string // host:port under which clients know it; empty means the proxy's public host and the listener's port
	Version    string // that clients are greeted with; empty means that of an unknown database
}

// KeyPair is a certificate for the web address: two files in PEM.
type KeyPair struct{ KeyFile, CertFile string }

// Databases is the Database Service's part.
type Databases struct {
	Enabled   bool
	Static    []*resource.Database
	Selectors []resource.ResourceSelector
	// RunDynamicCommands runs commands of dynamic databases' labels too.
	RunDynamicCommands bool
	// ManageIAMPolicy keeps an inline policy of the identity by which databases in AWS are reached.
	ManageIAMPolicy bool
	AWS             []AWSMatcher
	Azure           []AzureMatcher
}

// Discovery is the part that looks for databases in clouds.
type Discovery struct {
	Enabled      bool
	Group        string
	PollInterval time.Duration
	AWS          []AWSMatcher
	Azure        []AzureMatcher
}

// AWSMatcher says which databases in AWS belong to the cluster.
type AWSMatcher struct {
	Types         []string
	Regions       []string
	Tags          resource.Labels
	AssumeRoleARN string
	ExternalID    string
	Integration   string
}

// AzureMatcher says which databases in Azure belong to the cluster.
type AzureMatcher struct {
	Types          []string
	Subscriptions  []string
	ResourceGroups []string
	Regions        []string
	Tags           resource.Labels
}

// Files that the auth service leaves in its data directory for tctl on its host.
const (
	AdminFile   = "admin.pem"    // the administrator's identity
	AddressFile = "auth_address" // where it listens
)

// Places and numbers that hold when neither file nor flag says otherwise.
const (
	DefaultPath    = "/etc/teleport.yaml"
	DefaultDataDir = "/var/lib/teleport"

	defaultAuthPort       = "3025"
	defaultProxyPort      = "3080"
	defaultMySQLPort      = "3036"
	defaultMaxConnections = 15000
	defaultPollInterval   = 5 * time.Minute
	defaultReload         = time.Minute
)

// Default returns what a daemon without a file runs with: a cluster on one host.
func Default() *Config {
	c := defaults()
	c.fillHost(SystemEnv())
	return c
}

func defaults() *Config {
	return &Config{
		DataDir:        DefaultDataDir,
		JoinMethod:     resource.JoinToken,
		Log:            Log{Output: "stderr", Severity: "INFO", Format: "text"},
		MaxConnections: defaultMaxConnections,
		StrangerCalls:  quota.ForStrangers(),
		Storage:        Storage{Type: "sqlite", Sync: "FULL"},
		Auth:           Auth{Enabled: true, ListenAddr: "0.0.0.0:" + defaultAuthPort},
		Proxy:          Proxy{Enabled: true, ListenAddr: "0.0.0.0:" + defaultProxyPort, KeyPairsReload: defaultReload},
		Discovery:      Discovery{PollInterval: defaultPollInterval},
	}
}

// NewClusterName returns the name that a new cluster gets: the configured one, or one made from the host's.
func (c *Config) NewClusterName() string {
	if c.Auth.ClusterName != "" {
		return c.Auth.ClusterName
	}
	return hostLabels(c.Nodename)
}

// fillHost fills in what depends on the host and on other settings.
func (c *Config) fillHost(env Env) {
	if c.Nodename == "" {
		c.Nodename = env.Hostname
	}
	if c.Storage.Path == "" {
		c.Storage.Path = c.DataDir + "/backend"
	}
}
