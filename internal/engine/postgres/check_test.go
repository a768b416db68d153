package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport/internal/ca"
	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/postgres"
	"sallyport/internal/engine/postgres/pgtest"
	"sallyport/internal/fault"
	"sallyport/internal/resource"
	"sallyport/internal/session"
)

var _ engine.Checker = (*postgres.Engine)(nil)

// probe checks a database at an address, whose certificates the authority signs, with what the source gives.
func probe(t *testing.T, address string, authority []byte, source cred.Source, change func(*session.ProbeConfig)) ([]cred.Step, error) {
	t.Helper()
	db := enginetest.NewDatabase(t, "postgres", address, authority)
	engine := postgres.New(postgres.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	return enginetest.Probe(t, engine, db, "app", source, change)
}

// account is a source that gives an account without a certificate.
func account(change func(*cred.Credential)) cred.Source {
	return enginetest.Certificates(func(user string) (*cred.Credential, error) {
		c := &cred.Credential{User: user}
		if change != nil {
			change(c)
		}
		return c, nil
	})
}

func TestCheckLogsInAndSaysNoMore(t *testing.T) {
	t.Parallel()
	told := make(chan pgproto3.FrontendMessage, 10)
	server := pgtest.Start(t, pgtest.Options{Command: func(_ *pgtest.Conn, message pgproto3.FrontendMessage) bool {
		told <- message
		return false
	}})
	steps, err := probe(t, server.Addr, server.Authority.CertPEM(), account(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The certificate of the small server ends soon.
	if got, _ := enginetest.Outline(steps); got != "name=ok connection=ok credential=ok TLS=doubt login=ok server=ok" {
		t.Fatalf("got %s", got)
	}
	for i, text := range map[int]string{0: "resolves to 127.0.0.1", 1: server.Addr, 2: `"app"`, 3: "localhost", 4: `as "app" to database "postgres"`, 5: `"15.0"`} {
		if !strings.Contains(steps[i].Detail, text) {
			t.Errorf("step %s lacks %q: %s", steps[i].Name, text, steps[i].Detail)
		}
	}
	select {
	case message := <-told:
		if _, ok := message.(*pgproto3.Terminate); !ok {
			t.Errorf("the database was told %T", message)
		}
	case <-time.After(enginetest.Patience):
		t.Error("no goodbye")
	}
	if got := server.Startup(); got["user"] != "app" || got["database"] != "postgres" {
		t.Errorf("logged in with %v", got)
	}
}

func TestCheckTellsWhereItEnds(t *testing.T) {
	t.Parallel()
	refusing := func(c *pgtest.Conn) bool {
		c.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28000", Message: "no pg_hba.conf entry"})
		_ = c.Flush()
		return false
	}
	advised := account(func(c *cred.Credential) { c.Advice = func(r cred.Refusal) string { return "next step for " + r.Code } })
	other, err := ca.New(ca.DatabaseCA, "other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nothing := enginetest.Certificates(func(string) (*cred.Credential, error) {
		return nil, fault.New(fault.AccessDenied, "no credential today")
	})
	for _, test := range []struct {
		name      string
		server    pgtest.Options
		source    cred.Source
		authority []byte // nil for the server's
		change    func(*session.ProbeConfig)
		want      string
		texts     []string // in the failed steps
	}{
		{"the login", pgtest.Options{Login: refusing}, advised, nil, nil, "name=ok connection=ok credential=ok TLS=doubt login=failed", []string{"no pg_hba.conf entry", "next step for 28000"}},
		{"an unknown authority", pgtest.Options{}, account(nil), other.CertPEM(), nil, "name=ok connection=ok credential=ok TLS=failed", []string{"unknown authority", "the database showed certificate of"}},
		{"no TLS", pgtest.Options{BeforeTLS: func(c net.Conn) bool { _, _ = c.Write([]byte{'N'}); return false }}, account(nil), nil, nil, "name=ok connection=ok credential=ok TLS=failed", []string{"does not offer TLS"}},
		{"no credential", pgtest.Options{}, nothing, nil, nil, "name=ok connection=ok credential=failed", []string{"no credential today"}},
		{"no credential, and whose certificate it is known", pgtest.Options{}, trusting{}, nil, nil, "name=ok connection=ok credential=failed TLS=doubt", []string{"no credential today"}},
		{"the name", pgtest.Options{}, account(nil), nil, func(c *session.ProbeConfig) {
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "db.example.com", IsNotFound: true}
			}
		}, "name=failed credential=ok", []string{"db.example.com", "cannot be resolved"}},
		{"an address that is not dialled", pgtest.Options{}, account(nil), nil, func(c *session.ProbeConfig) {
			c.Allow = func(netip.Addr) error { return errors.New("it is this host") }
		}, "name=failed credential=ok", []string{"127.0.0.1", "it is this host"}},
		{"the connection", pgtest.Options{}, account(nil), nil, func(c *session.ProbeConfig) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
		}, "name=ok connection=failed credential=ok", []string{"connection refused", "firewall"}},
		{"a password where nothing is verified", pgtest.Options{}, account(func(c *cred.Credential) { c.Password = "hunter2" }), nil, func(c *session.ProbeConfig) {
			c.Request.Database.Spec.TLS.Mode = resource.TLSInsecure
		}, "name=ok connection=ok credential=ok credential=failed", []string{"tls.mode insecure"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, test.server)
			authority := test.authority
			if authority == nil {
				authority = server.Authority.CertPEM()
			}
			steps, err := probe(t, server.Addr, authority, test.source, test.change)
			if err == nil {
				t.Error("no error")
			}
			if got, _ := enginetest.Outline(steps); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			var failed string
			for _, step := range steps {
				if step.Result == cred.Failed {
					failed += step.Detail + " " + step.Advice + "\n"
				}
			}
			for _, text := range test.texts {
				if !strings.Contains(failed, text) {
					t.Errorf("the failed steps lack %q: %s", text, failed)
				}
			}
			if strings.Contains(failed, "hunter2") {
				t.Error("the password is told")
			}
		})
	}
}

// trusting knows whose certificates a database shows, and has no credential.
type trusting struct{}

func (trusting) Credential(context.Context, cred.Request) (*cred.Credential, error) {
	return nil, errors.New("not asked for")
}

func (trusting) Walk(_ context.Context, _ cred.Request, tell func(cred.Step)) (*cred.Credential, error) {
	err := fault.New(fault.AccessDenied, "no credential today")
	tell(cred.Failure("credential", err))
	return &cred.Credential{}, err
}

func TestAProbeNeedsARecord(t *testing.T) {
	t.Parallel()
	if _, err := session.NewProbe(session.ProbeConfig{Request: cred.Request{DatabaseUser: "app"}}); !fault.Is(err, fault.BadParameter) {
		t.Errorf("a check that is not recorded: %v", err)
	}
}
