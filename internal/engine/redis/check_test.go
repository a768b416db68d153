package redis_test

import (
	"strings"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/redisserver"
)

var _ engine.Checker = (*redis.Engine)(nil)

// probe checks a server, and returns the steps as name=result, and what was told of the last one.
func probe(t *testing.T, s *redisserver.Server, uri, account, password string) (outline, last string, err error) {
	t.Helper()
	db := enginetest.NewDatabase(t, "redis", s.Addr, s.DatabaseCA.CertPEM())
	db.Spec.URI = uri
	cert := s.ClientCertificate(t, account)
	source := enginetest.Given(cred.Credential{Certificate: cert, Password: password})
	steps, err := enginetest.Probe(t, newEngine(), db, account, source, nil)
	outline, last = enginetest.Outline(steps)
	return outline, last, err
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{Users: []string{"app on >secret ~* +@all"}})
	for name, c := range map[string]struct {
		query, account, password string
		outline, last            string
		failed                   bool
	}{
		"all is well":                         {"", "default", "", "login=ok server=ok", `version "7`, false},
		"a password that is known":            {"", "app", "secret", "login=ok server=ok", `version "7`, false},
		"a password that is wrong":            {"", "app", "wrong", "login=failed", "WRONGPASS", true},
		"a password that only its user knows": {"", "app", "", "login=doubt", "clients give it with AUTH", false},
		"an account that does not exist":      {"", "alice", "", "login=doubt", "or the account does not exist, which ACL GETUSER alice shows: only then make it with ACL SETUSER alice on nopass ", false},
		"one server that is called a cluster": {"?mode=cluster", "default", "", "login=ok server=doubt", "its mode is standalone", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outline, last, err := probe(t, s, "rediss://"+s.Addr+c.query, c.account, c.password)
			// The certificate of the server ends soon.
			if want := "name=ok connection=ok credential=ok TLS=doubt " + c.outline; outline != want || !strings.Contains(last, c.last) || (err != nil) != c.failed {
				t.Errorf("%s (%s), %v; want %s", outline, last, err, want)
			}
		})
	}
	t.Run("nothing listens", func(t *testing.T) {
		t.Parallel()
		outline, _, err := probe(t, s, "rediss://127.0.0.1:1", "default", "")
		if !strings.HasPrefix(outline, "name=ok connection=failed") || err == nil {
			t.Errorf("%s, %v", outline, err)
		}
	})
}
