package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/agent"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/ca"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/mtls"
	"sallyport/internal/resource"
	"sallyport/internal/route"
	"sallyport/internal/tunnel"
)

const (
	rdsInstance = "orders.abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	rdsProxy    = "pool.proxy-abcdefghijkl.us-west-1.rds.amazonaws.com:5432"
	everyone    = "kind: role\nversion: v7\nmetadata: {name: everyone}\nspec: {allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}}\n"
	agentRole   = "arn:aws:sts::111111111111:assumed-role/agent/i-1"
	dbRole      = "arn:aws:iam::222222222222:role/databases"
	connectTo   = `{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:222222222222:dbuser:db-ID/reader"}`
)

// trouble is one entry of a guide's troubleshooting: what is wrong, and what is to be read of it.
type trouble struct {
	name string
	uri  string // of the database; default: rdsInstance
	// policies of the agent's role, with a boundary unless that is empty, and the trust policy of the databases' role.
	policies        []string
	boundary, trust string
	server          pgtest.Options
	change          func(t *testing.T, db *resource.Database, cfg *agent.Config) // on top
	texts           []string                                                     // that the client and the log have
}

// refusing answers a login as a server does that reads a token and says no.
func refusing(code, message string) pgtest.Options {
	return pgtest.Options{Login: func(c *pgtest.Conn) bool {
		c.Send(&pgproto3.AuthenticationCleartextPassword{})
		if c.Flush() != nil || c.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
			return false
		}
		if _, err := c.Receive(); err != nil {
			return false
		}
		c.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
		_ = c.Flush()
		return false
	}}
}

func environment(set map[string]string) func(*testing.T, *resource.Database, *agent.Config) {
	return func(t *testing.T, _ *resource.Database, _ *agent.Config) { cloudtest.Environment(t, set) }
}

func troubles() []trouble {
	allowed := []string{cloudtest.AllowAssume}
	trusted := cloudtest.Trust("arn:aws:iam::111111111111:role/agent", "right")
	return []trouble{
		{name: "a certificate with a common name only", policies: allowed, trust: trusted, server: pgtest.Options{NoNames: true},
			texts: []string{"x509: certificate relies on legacy Common Name field, use SANs instead", "before July 2020", "rotate it"}},
		{name: "a certificate of an unknown authority", policies: allowed, trust: trusted,
			change: func(t *testing.T, db *resource.Database, _ *agent.Config) {
				other, err := ca.New(ca.DatabaseCA, "other", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				db.Spec.TLS.CACert = string(other.CertPEM())
			},
			texts: []string{"x509: certificate signed by unknown authority", "the authorities in tls.ca_cert", "tls.ca_cert_file"}},
		{name: "no credentials", policies: allowed, trust: trusted, change: environment(nil),
			texts: []string{"NoCredentialProviders: no valid providers in chain", "no EC2 IMDS role found", "AWS_ACCESS_KEY_ID not set", "shared files (profile default)"}},
		{name: "a hop limit before the instance metadata", policies: allowed, trust: trusted,
			change: func(t *testing.T, _ *resource.Database, _ *agent.Config) {
				world, err := fakeaws.New(fakeaws.Config{})
				if err != nil {
					t.Fatal(err)
				}
				instance := world.AddInstance(&fakeaws.Instance{Account: world.Account("aws", cloudtest.AgentAccount), Mode: fakeaws.MetadataHopLimit})
				server := httptest.NewServer(instance)
				t.Cleanup(server.Close)
				cloudtest.Environment(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.URL})
			},
			texts: []string{"NoCredentialProviders: no valid providers in chain", "no answer", "HttpPutResponseHopLimit 1", "--http-put-response-hop-limit 2"}},
		{name: "the instance metadata is switched off", policies: allowed, trust: trusted, change: environment(map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}),
			texts: []string{"NoCredentialProviders: no valid providers in chain", "access disabled to EC2 IMDS via client option", "unset AWS_EC2_METADATA_DISABLED"}},
		{name: "no answer of the database", policies: allowed, trust: trusted,
			change: func(_ *testing.T, _ *resource.Database, cfg *agent.Config) {
				cfg.DialAWS = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{Deadline: time.Unix(1, 0)}).DialContext(ctx, network, "10.1.2.3:5432") // given up before anything is sent
				}
			},
			texts: []string{"i/o timeout", rdsInstance + " (10.1.2.3:5432)", "security group", "nc -zv orders.abcdefghijkl.us-west-1.rds.amazonaws.com 5432"}},
		{name: "a name without an address", policies: allowed, trust: trusted,
			change: func(_ *testing.T, _ *resource.Database, cfg *agent.Config) {
				cfg.DialAWS = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "orders.abcdefghijkl.us-west-1.rds.amazonaws.com", IsNotFound: true}}
				}
			},
			texts: []string{"cannot be resolved", "the database still exists", "DNS of a VPC"}},
		{name: "a trust policy that lets another in", policies: allowed, trust: cloudtest.Trust("arn:aws:iam::111111111111:role/other", "right"),
			texts: []string{"AccessDenied: User: " + agentRole + " is not authorized to perform: sts:AssumeRole on resource: " + dbRole, "AWS does not say which policy is missing", "(1) the trust policy of " + dbRole + ": its Principal must be the role of " + agentRole, "(2) the permissions policy", "hop 1", "aws sts assume-role --role-arn " + dbRole}},
		{name: "a trust policy that wants another external id", policies: allowed, trust: cloudtest.Trust("arn:aws:iam::111111111111:role/agent", "other"),
			texts: []string{"AccessDenied: ", "an external id was sent", "sts:ExternalId", "aws.external_id of the database"}},
		{name: "no permission to assume the role", policies: nil, trust: trusted,
			texts: []string{"AccessDenied: ", "the permissions policy of " + agentRole + " does not allow it", `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + dbRole + `"}`}},
		{name: "a boundary that does not allow it", policies: allowed, boundary: cloudtest.Allow("s3:*", "*"), trust: trusted,
			texts: []string{"AccessDenied: ", "the permissions boundary of " + agentRole + " does not allow it", "the boundary needs"}},
		{name: "a role as database user that does not trust the first", uri: "etl.222222222222.us-west-1.redshift-serverless.amazonaws.com:5439", policies: allowed, trust: trusted,
			texts: []string{"AccessDenied: User: arn:aws:sts::222222222222:assumed-role/databases/", "on resource: arn:aws:iam::222222222222:role/reader", "hop 2, no external id was sent", "the trust policy of arn:aws:iam::222222222222:role/reader does not allow it"}},
		{name: "an account that RDS does not believe", policies: allowed, trust: trusted, server: refusing("28000", `PAM authentication failed for user "reader"`),
			texts: []string{`PAM authentication failed for user "reader"`, "(1) IAM authentication is off", `(2) the account lacks the role of IAM users: GRANT rds_iam TO "reader"`, "(3) role " + dbRole + " lacks the permission: " + connectTo, "(4) the clock"}},
		{name: "an account without a secret at the proxy", uri: rdsProxy, policies: allowed, trust: trusted,
			server: refusing("28000", "This RDS proxy has no credentials for the role reader. Check the credentials for this role and try again."),
			texts:  []string{"This RDS proxy has no credentials for the role reader", "Secrets Manager", `username "reader"`, "REQUIRED"}},
		{name: "an account that the proxy does not believe", uri: rdsProxy, policies: allowed, trust: trusted,
			server: refusing("28000", "The IAM authentication failed for the role reader. Check the IAM token for this role and try again."),
			texts:  []string{"The IAM authentication failed for the role reader", "(1) the proxy has no Secrets Manager secret", "rds-db:connect", "(3) the clock"}},
		{name: "a proxy that cannot read its secret", uri: rdsProxy, policies: allowed, trust: trusted, server: refusing("XX000", "Credentials couldn't be retrieved"),
			texts: []string{"Credentials couldn't be retrieved", "role of the proxy", "KMS key"}},
	}
}

// TestTroublesOfTheGuides has each entry of the guides' troubleshooting happen to a session, and reads what the client and
// the agent's log have of it: both the cause and what to do, the log in one line.
func TestTroublesOfTheGuides(t *testing.T) {
	for _, one := range troubles() {
		t.Run(one.name, func(t *testing.T) { one.happen(t) })
	}
}

func (one *trouble) happen(t *testing.T) {
	cloud := one.cloud(t)
	server := pgtest.Start(t, one.server)
	db := one.database(t)
	if one.uri == rdsProxy {
		db.Spec.TLS.CACert = string(server.Authority.CertPEM()) // proxies have certificates of the system's authorities
	}
	var cfg agent.Config
	cfg.DialAWS = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
	}
	if one.change != nil {
		one.change(t, db, &cfg)
	}
	log := &logBuffer{}
	a := newAuthority(t)
	a.store(t, everyone)
	running := a.start(t, func(c *agent.Config) {
		c.DialAWS, c.Logger = cfg.DialAWS, slog.New(slog.NewJSONHandler(log, nil))
		c.Engines = map[string]agent.Protocol{"postgres": {Engine: postgres.New(postgres.Config{Now: time.Now, Logger: c.Logger})}}
		c.Credentials = login.New(login.Config{Credentials: cloud.Provider(), Now: time.Now, Roots: roots.New(roots.Config{
			Dir: t.TempDir(), Client: &http.Client{Transport: published(server.Authority.CertPEM())}, Logger: c.Logger, Now: time.Now,
		})})
	}, db)
	eventually(t, "the database is served", func() bool { return a.server("orders") != nil })
	var refusal *pgproto3.ErrorResponse
	eventually(t, "the client is answered", func() bool {
		refusal = running.postgres(t, "orders")
		return refusal != nil
	})
	running.stop()
	lines := sessionEnds(t, log.String())
	if len(lines) != 1 {
		t.Fatalf("%d lines of the log tell of the session:\n%s", len(lines), log)
	}
	said := refusal.Message + "\n" + refusal.Hint
	for _, text := range one.texts {
		if !strings.Contains(said, text) {
			t.Errorf("the client does not read %q: %s", text, said)
		}
		if !strings.Contains(lines[0], text) {
			t.Errorf("the log does not tell %q: %s", text, lines[0])
		}
	}
	for _, part := range strings.Split(strings.TrimSpace(said), "\n") {
		if n := strings.Count(lines[0], part); n != 1 {
			t.Errorf("the log tells %d times what the client reads: %s", n, lines[0])
		}
	}
	for _, secret := range cloud.Secrets() {
		if strings.Contains(said+log.String(), secret) {
			t.Error("a secret is told")
		}
	}
}

func (one *trouble) cloud(t *testing.T) *cloudtest.Cloud {
	t.Helper()
	cloud := cloudtest.New(t, nil, one.policies...)
	if one.boundary != "" {
		arn, err := cloud.Account("aws", cloudtest.AgentAccount).AddPolicy("Boundary", one.boundary)
		if err != nil {
			t.Fatal(err)
		}
		cloud.Agent.Boundary = arn
	}
	cloud.Role(t, cloudtest.DatabaseAccount, "databases", one.trust, cloudtest.AllowAssume)
	cloud.Role(t, cloudtest.DatabaseAccount, "reader", cloudtest.Trust("arn:aws:iam::222222222222:role/other", ""))
	return cloud
}

func (one *trouble) database(t *testing.T) *resource.Database {
	t.Helper()
	db := database(t, "orders", nil)
	db.Spec.URI = one.uri
	if one.uri == "" {
		db.Spec.URI, db.Spec.AWS.RDS.InstanceID, db.Spec.AWS.RDS.ResourceID = rdsInstance, "orders", "db-ID"
	}
	db.Spec.AWS.AssumeRoleARN, db.Spec.AWS.ExternalID = dbRole, "right"
	db.Spec.TLS.ServerName = "localhost" // the name in the small server's certificate
	if err := db.Validate(); err != nil {
		t.Fatal(err)
	}
	return db
}

// published has bundles of authorities under every address.
type published []byte

func (p published) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(p)), Request: r}, nil
}

// postgres connects as a client of PostgreSQL and returns the error that it is told, or nil if it is told none.
func (r *running) postgres(t *testing.T, service string) *pgproto3.ErrorResponse {
	t.Helper()
	ours, theirs := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() {
		r.Serve(t.Context(), theirs, tunnel.Dispatch{ClientAddress: "192.0.2.1:1234", ListenerAddress: "192.0.2.2:443"}, func() {})
	})
	defer served.Wait()
	defer ours.Close()
	client := tls.Client(ours, mtls.Named(route.ServerName(service, cluster), r.auth.trust().Pool(ca.HostCA), r.auth.certificate(t, alice(service, "everyone"))))
	if err := client.HandshakeContext(t.Context()); err != nil {
		return nil
	}
	frontend := pgproto3.NewFrontend(client, client)
	frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "reader", "database": "dev"}})
	if err := frontend.Flush(); err != nil {
		return nil
	}
	message, err := frontend.Receive()
	if err != nil {
		return nil
	}
	refusal, _ := message.(*pgproto3.ErrorResponse)
	return refusal
}

// sessionEnds returns what the lines of a log say of sessions that ended in an error.
func sessionEnds(t *testing.T, log string) (texts []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var entry struct{ Msg, Error string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Msg == "session ended" {
			texts = append(texts, entry.Error)
		}
	}
	return texts
}
