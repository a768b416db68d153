package agent_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/agent"
	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/credentials"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/inventory"
	"sallyport/internal/aws/fakeaws/redshift"
	"sallyport/internal/aws/fakeaws/redshiftserverless"
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

const everyone = "kind: role\nversion: v7\nmetadata: {name: everyone}\nspec: {allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}}\n"

// trouble is one entry of a guide's troubleshooting: what is wrong, and what is to be read of it.
type trouble struct {
	name string
	uri  string // of the database; default: rdsInstance
	user string // of the database; default: reader
	// policies of the agent's role; by default it may assume roles. boundary may be empty. trust is the trust policy of the
	// databases' role; by default it lets the agent in.
	policies        []string
	boundary, trust string
	server          pgtest.Options
	change          func(*testing.T, *setting) // on top
	texts           []string                   // that the client and the log have
	not             string                     // that neither has; "" for nothing
}

// setting is what a trouble may change before anything starts.
type setting struct {
	db        *resource.Database
	cfg       agent.Config // DialAWS only
	databases *fakeaws.Role
	aws       aws.HTTPClient    // carries calls of AWS
	published http.RoundTripper // carries downloads of authorities
}

// TestTroublesOfTheGuides has each entry of the guides' troubleshooting happen to a session, and reads what the client and
// the agent's log have of it: both the cause and what to do, the log in one line.
func TestTroublesOfTheGuides(t *testing.T) {
	for _, one := range slices.Concat(certificates(), withoutCredentials(), noWay(), roles(), logins(), passwords()) {
		t.Run(one.name, func(t *testing.T) { one.happen(t) })
	}
}

func (one *trouble) happen(t *testing.T) {
	cloud := one.cloud(t)
	server := pgtest.Start(t, one.server)
	s := &setting{
		db: one.database(t), databases: cloud.Account("aws", cloudtest.DatabaseAccount).Roles["databases"], aws: cloud, published: published(server.Authority.CertPEM()),
		cfg: agent.Config{DialAWS: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Addr)
		}},
	}
	if one.uri == rdsProxy {
		s.db.Spec.TLS.CACert = string(server.Authority.CertPEM()) // proxies have certificates of the system's authorities
	}
	if one.change != nil {
		one.change(t, s)
	}
	log := &logBuffer{}
	a := newAuthority(t)
	a.store(t, everyone)
	running := a.start(t, func(c *agent.Config) {
		c.DialAWS, c.Logger = s.cfg.DialAWS, slog.New(slog.NewJSONHandler(log, nil))
		c.Engines = map[string]agent.Protocol{"postgres": {Engine: postgres.New(postgres.Config{Now: time.Now, Logger: c.Logger})}}
		provider := credentials.New(credentials.Config{SessionName: "sallyport-host", HTTPClient: s.aws, Logger: c.Logger, Now: time.Now})
		c.Credentials = login.New(login.Config{Credentials: provider, Now: time.Now, Roots: roots.New(roots.Config{
			Dir: t.TempDir(), Client: &http.Client{Transport: s.published}, Logger: c.Logger, Now: time.Now,
		})})
	}, s.db)
	eventually(t, "the database is served", func() bool { return a.server("orders") != nil })
	var refusal *pgproto3.ErrorResponse
	eventually(t, "the client is answered", func() bool {
		refusal = running.postgres(t, "orders", cmp.Or(one.user, "reader"))
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
	if one.not != "" && strings.Contains(said+lines[0], one.not) {
		t.Errorf("%q is told: %s", one.not, said)
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
	if one.policies == nil {
		one.policies = []string{cloudtest.AllowAssume}
	}
	cloud := cloudtest.New(t, nil, one.policies...)
	if one.boundary != "" {
		arn, err := cloud.Account("aws", cloudtest.AgentAccount).AddPolicy("Boundary", one.boundary)
		if err != nil {
			t.Fatal(err)
		}
		cloud.Agent.Boundary = arn
	}
	cloud.Role(t, cloudtest.DatabaseAccount, "databases", cmp.Or(one.trust, cloudtest.Trust("arn:aws:iam::111111111111:role/agent", "right")), cloudtest.AllowAssume)
	cloud.Role(t, cloudtest.DatabaseAccount, "reader", cloudtest.Trust(dbRole, ""))
	cloud.Role(t, cloudtest.DatabaseAccount, "closed", cloudtest.Trust("arn:aws:iam::222222222222:role/other", ""))
	place := inventory.Place{Account: cloudtest.DatabaseAccount, Region: "us-west-1"}
	clusters, workgroups := redshift.New(cloud.World), redshiftserverless.New(cloud.World)
	cloud.Add(clusters.Service(), workgroups.Service())
	err := errors.Join(clusters.Add(&redshift.Cluster{Place: place, ID: "dwh"}), workgroups.Add(&redshiftserverless.Workgroup{Place: place, Name: "etl"}))
	if err != nil {
		t.Fatal(err)
	}
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
func (r *running) postgres(t *testing.T, service, user string) *pgproto3.ErrorResponse {
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
	frontend.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": user, "database": "dev"}})
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
