package mysql_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"sallyport/internal/ca"
	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/realserver"
)

// sha2Server is a server of others, which knows caching_sha2_password as MySQL 8 does: it asks for the password itself once,
// and then knows a proof of it.
type sha2Server struct {
	mu    sync.Mutex
	known map[string]bool // accounts whose password has been seen; guarded by mu
	ways  []string        // in which accounts were let in; guarded by mu
}

const sha2Password = "caching-secret"

var errSHA2 = vitess.NewSQLError(vitess.ERAccessDeniedError, vitess.SSAccessDeniedError, "Access denied")

type sha2User string

// Get implements vitess.Getter.
func (u sha2User) Get() *querypb.VTGateCallerID { return &querypb.VTGateCallerID{Username: string(u)} }

// AuthMethods implements vitess.AuthServer.
func (s *sha2Server) AuthMethods() []vitess.AuthMethod {
	return []vitess.AuthMethod{vitess.NewSha2CachingAuthMethod(s, s, s)}
}

// DefaultAuthMethodDescription implements vitess.AuthServer.
func (*sha2Server) DefaultAuthMethodDescription() vitess.AuthMethodDescription {
	return vitess.CachingSha2Password
}

// HandleUser implements vitess.UserValidator.
func (*sha2Server) HandleUser(string, net.Addr) bool { return true }

func (s *sha2Server) note(way string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ways = append(s.ways, way)
}

// UserEntryWithCacheHash implements vitess.CachingStorage.
func (s *sha2Server) UserEntryWithCacheHash(_ []*x509.Certificate, salt []byte, user string, proof []byte, _ net.Addr) (vitess.Getter, vitess.CacheState, error) {
	s.mu.Lock()
	known := s.known[user]
	s.mu.Unlock()
	first := sha256.Sum256([]byte(sha2Password))
	second := sha256.Sum256(first[:])
	switch {
	case !known:
		return nil, vitess.AuthNeedMoreData, nil
	case !vitess.VerifyHashedCachingSha2Password(proof, salt, second[:]):
		s.note("refused")
		return nil, vitess.AuthRejected, errSHA2
	}
	s.note("proof")
	return sha2User(user), vitess.AuthAccepted, nil
}

// UserEntryWithPassword implements vitess.PlainTextStorage.
func (s *sha2Server) UserEntryWithPassword(_ []*x509.Certificate, user, password string, _ net.Addr) (vitess.Getter, error) {
	if password != sha2Password {
		s.note("refused")
		return nil, errSHA2
	}
	s.note("password")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[user] = true
	return sha2User(user), nil
}

// sha2Handler answers statements with the account.
type sha2Handler struct{ vitess.Handler }

func (sha2Handler) NewConnection(*vitess.Conn)                   {}
func (sha2Handler) ConnectionClosed(*vitess.Conn)                {}
func (sha2Handler) ConnectionAborted(*vitess.Conn, string) error { return nil }
func (sha2Handler) ComInitDB(*vitess.Conn, string) error         { return nil }
func (sha2Handler) WarningCount(*vitess.Conn) uint16             { return 0 }
func (sha2Handler) ParserOptionsForConnection(*vitess.Conn) (sqlparser.ParserOptions, error) {
	return sqlparser.ParserOptions{}, nil
}

func (sha2Handler) ComQuery(_ context.Context, c *vitess.Conn, query string, callback vitess.ResultSpoolFn) error {
	return callback(&sqltypes.Result{
		Fields: []*querypb.Field{{Name: "user", Type: querypb.Type_VARCHAR}},
		Rows:   [][]sqltypes.Value{{sqltypes.NewVarChar(c.User)}},
	}, false)
}

func (h sha2Handler) ComMultiQuery(ctx context.Context, c *vitess.Conn, query string, callback vitess.ResultSpoolFn) (string, error) {
	return "", h.ComQuery(ctx, c, query, callback)
}

// startSHA2 starts such a server and returns it with its address and the authority of its certificate.
func startSHA2(t *testing.T) (s *sha2Server, address string, authority []byte) {
	t.Helper()
	signer, err := ca.New(ca.DatabaseCA, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := realserver.Issue(signer, "server", []string{"127.0.0.1"}, x509.ExtKeyUsageServerAuth)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &sha2Server{known: make(map[string]bool)}
	server, err := vitess.NewFromListener(listener, s, sha2Handler{}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	server.ServerVersion = "8.0.31-other"
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	accepting := make(chan struct{})
	go func() { server.Accept(); close(accepting) }()
	t.Cleanup(func() { server.Close(); <-accepting })
	return s, listener.Addr().String(), signer.CertPEM()
}

// TestCachingSHA2OfOthers logs in to a server that is not of ours, by the password and by the proof, and not with a wrong one
// or a token.
func TestCachingSHA2OfOthers(t *testing.T) {
	t.Parallel()
	server, address, authority := startSHA2(t)
	for _, c := range []struct {
		name, account, password string
		token                   bool
		way, want               string // in the error; empty for success
	}{
		{"a wrong password, unknown", "app", "wrong", false, "refused", "Access denied"},
		{"a password that is not known", "app", sha2Password, false, "password", ""},
		{"a password that is known", "app", sha2Password, false, "proof", ""},
		{"a wrong password, known", "app", "wrong", false, "refused", "Access denied"},
		{"a token", "other", sha2Password, true, "", "instead of a token"},
		{"a token, known", "app", sha2Password, true, "refused", "Access denied"},
		{"no password", "app", "", false, "refused", "Access denied"},
	} {
		agent := enginetest.Start(t, enginetest.Config{
			Engine:      newEngine(),
			Database:    enginetest.NewDatabase(t, "mysql", address, authority),
			Credentials: enginetest.Given(cred.Credential{Password: c.password, Token: c.token}),
		})
		session, err := dial(t, agent.Addr(), c.account, "")
		if c.want == "" && err == nil {
			if got := session.rows(t, "select current_user()"); got[0] != c.account {
				t.Errorf("%s: the server knows %q", c.name, got)
			}
			depart(t, agent, session)
		} else if c.want == "" || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		server.mu.Lock()
		ways := strings.Join(server.ways, " ")
		server.ways = nil
		server.mu.Unlock()
		if ways != c.way {
			t.Errorf("%s: by %q, want %q", c.name, ways, c.way)
		}
	}
}
