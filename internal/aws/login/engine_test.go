package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/login"
	"sallyport/internal/aws/roots"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/resource"
)

// judge logs clients in as RDS does: a token in clear under TLS, judged by the local AWS.
func judge(c *cloudtest.Cloud) func(*pgtest.Conn) bool {
	return func(conn *pgtest.Conn) bool {
		conn.Send(&pgproto3.AuthenticationCleartextPassword{})
		if conn.Flush() != nil || conn.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
			return false
		}
		message, err := conn.Receive()
		if err != nil {
			return false
		}
		password, _ := message.(*pgproto3.PasswordMessage)
		user := conn.Server.Startup()["user"]
		if password == nil || !c.Verify(fakeaws.Login{Service: fakeaws.RDSConnect, Host: instance, User: user, Token: password.Password}).Allow {
			conn.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28000", Message: fmt.Sprintf("PAM authentication failed for user %q", user)})
			_ = conn.Flush()
			return false
		}
		return conn.LogIn() == nil
	}
}

// TestThroughTheEngine has a client of PostgreSQL reach a database of RDS through the engine: TLS with the downloaded
// authorities, the token, and what the client reads when AWS does not allow it.
func TestThroughTheEngine(t *testing.T) {
	c := cloudtest.New(t, nil, cloudtest.AllowAssume)
	role := databases(t, c, cloudtest.Allow("rds-db:connect", "arn:aws:rds-db:us-west-1:222222222222:dbuser:db-ID/reader"))
	target(c, instance, "db-ID")
	server := pgtest.Start(t, pgtest.Options{Login: judge(c)})
	db := database(t, instance, func(a *resource.AWS) {
		a.AssumeRoleARN, a.ExternalID, a.RDS.InstanceID, a.RDS.ResourceID = role, "right", "orders", "db-ID"
	})
	db.Spec.TLS.ServerName = "localhost" // the name in the small server's certificate
	published := &bundles{pem: server.Authority.CertPEM()}
	source := login.New(login.Config{Credentials: c.Provider(), Now: time.Now,
		Roots: roots.New(roots.Config{Dir: t.TempDir(), Client: &http.Client{Transport: published}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})})
	var dialled []string
	agent := enginetest.Start(t, enginetest.Config{
		Engine: postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}), Database: db, Credentials: source,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
		},
	})
	connect := func(user string) error {
		conn, err := pgx.Connect(t.Context(), "postgres://"+user+"@"+agent.Addr()+"/dev?sslmode=disable")
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(t.Context(), "SELECT 1")
		return err
	}
	if err := connect("reader"); err != nil {
		t.Fatal(err)
	}
	err := connect("writer")
	refusal, _ := errors.AsType[*pgconn.PgError](err)
	if refusal == nil || refusal.Code != "28000" || refusal.Message != `PAM authentication failed for user "writer"` {
		t.Fatalf("the client got %v", err)
	}
	for _, text := range []string{"GRANT rds_iam TO \"writer\"", `{"Effect":"Allow","Action":"rds-db:connect","Resource":"arn:aws:rds-db:us-west-1:222222222222:dbuser:db-ID/writer"}`, "role " + role} {
		if !strings.Contains(refusal.Hint, text) {
			t.Errorf("the hint lacks %q: %s", text, refusal.Hint)
		}
	}
	// What the client, the events and the error of the session say holds no secret of AWS.
	for n := range 2 {
		visit := agent.Visit(t, n)
		text := fmt.Sprint(visit.Wait(t), refusal.Hint, visit.Journal.Events())
		for _, secret := range c.Secrets() {
			if strings.Contains(text, secret) {
				t.Errorf("visit %d tells a secret", n)
			}
		}
	}
	for _, address := range dialled {
		if address != instance {
			t.Errorf("dialled %s", address)
		}
	}
}
