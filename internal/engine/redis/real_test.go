package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/identity"
	"sallyport/internal/realserver"
	"sallyport/internal/redisserver"
)

func TestMain(m *testing.M) { realserver.Main(m) }

func newEngine() *redis.Engine {
	return redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

// real is a real server behind an agent.
type real struct {
	*redisserver.Server
	agent *enginetest.Agent
}

// behind starts an agent for a server. The certificates of its clients name the account; none if it is empty.
func behind(t testing.TB, s *redisserver.Server, account string, change ...func(*enginetest.Config)) *real {
	t.Helper()
	db := enginetest.NewDatabase(t, "redis", s.Addr, s.DatabaseCA.CertPEM())
	cert := s.ClientCertificate(t, account)
	cfg := enginetest.Config{
		Engine: newEngine(), Database: db,
		Credentials: enginetest.Given(cred.Credential{Certificate: cert}),
		Identity: &identity.Identity{
			Kind: identity.User, Cluster: "test", Name: "alice", Roles: []string{"db"},
			Route: &identity.Route{Service: db.GetName(), Protocol: "redis", User: account},
		},
	}
	for _, change := range change {
		change(&cfg)
	}
	return &real{s, enginetest.Start(t, cfg)}
}

// options are those of a client that says nothing of itself that it is not asked for.
func (r *real) options() *goredis.Options {
	return &goredis.Options{Addr: r.agent.Addr(), MaxRetries: -1, DisableIdentity: true, PoolSize: 1, ReadTimeout: enginetest.Patience}
}

func (r *real) client(t testing.TB, change ...func(*goredis.Options)) *goredis.Client {
	t.Helper()
	options := r.options()
	for _, change := range change {
		change(options)
	}
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// cli runs redis-cli with the input, and returns what it prints.
func (r *real) cli(t testing.TB, input string, args ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(r.agent.Addr(), ":")
	ctx, cancel := context.WithTimeout(context.Background(), enginetest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "redis-cli", append([]string{"-h", host, "-p", port}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	return string(out)
}

func queries(v *enginetest.Visit, types ...string) []string {
	if types == nil {
		types = []string{"db.session.query"}
	}
	var texts []string
	for _, event := range v.Journal.Statements() {
		if slices.Contains(types, event.Type) {
			texts = append(texts, event.Text("db_query"))
		}
	}
	return texts
}

func TestClientsWork(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	r := behind(t, s, "default")
	m := s.Monitor(t)
	for _, protocol := range []int{2, 3} {
		c := r.client(t, func(o *goredis.Options) { o.Protocol = protocol })
		if err := c.Set(t.Context(), "k", "some value", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Get(t.Context(), "k").Result(); err != nil || v != "some value" {
			t.Fatalf("%q, %v", v, err)
		}
		if _, err := c.Get(t.Context(), "none").Result(); !errors.Is(err, goredis.Nil) {
			t.Fatalf("a key that is not there: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		v := r.agent.Visit(t, protocol-2)
		if err := v.Wait(t); err != nil {
			t.Errorf("the engine returned %v", err)
		}
		if got := queries(v); !slices.Contains(got, `set k "some value"`) || !slices.Contains(got, "get none") {
			t.Errorf("recorded %q", got)
		}
		for _, result := range v.Journal.Results() {
			if !result.Flag("success") && !strings.Contains(result.Text("error"), "unknown") {
				t.Errorf("result: %v", result.Fields)
			}
		}
	}
	if out := r.cli(t, "", "GET", "k"); out != "some value\n" {
		t.Errorf("redis-cli printed %q", out)
	}
	m.Wait(t, `"GET" "k"`)
}

// TestConnectionNumber has the server's own number of the connection, by which its commands tell of it, in the first result and the
// end; and an account that may not ask for it is let in nevertheless.
func TestConnectionNumber(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{Users: []string{"mute on nopass ~* +@all -client"}})
	for account, told := range map[string]bool{"default": true, "mute": false} {
		r := behind(t, s, account)
		c := r.raw(t)
		c.say(t, "CLIENT ID", "PING")
		want, _ := strconv.ParseInt(strings.TrimPrefix(c.line(t), ":"), 10, 64)
		if want > 0 != told {
			t.Errorf("%s has the number %d", account, want)
		}
		c.hear(t, "+PONG\n")
		v := closed(t, r, c)
		results, end := v.Journal.Results(), v.Journal.Events("db.session.end")
		if len(results) != 2 || len(end) != 1 {
			t.Fatalf("recorded %v, %v", results, end)
		}
		if first, last := results[0].Number("db_connection_id"), end[0].Number("db_connection_id"); first != want || last != want {
			t.Errorf("%s: recorded %d and %d, want %d", account, first, last, want)
		}
	}
}

// Who refuses a password need not answer what follows it, and the client reads why.
func TestServerThatHangsUpBehindARefusal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, func(args []string) []byte {
		if args[0] == "AUTH" && args[2] != "" {
			return resp.AppendError(nil, "WRONGPASS", "once and no more")
		}
		return nil
	})
	r := &real{agent: enginetest.Start(t, enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", s.Addr, s.Authority.CertPEM()),
		Credentials: enginetest.Given(cred.Credential{Password: "secret"}),
	})}
	c := r.raw(t)
	c.say(t, "PING")
	if line := c.line(t); line != "-WRONGPASS once and no more" {
		t.Errorf("heard %s", line)
	}
}

func TestPasswordOfTheClient(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{Users: []string{"default off", "app on >secret ~* +@all", "free on nopass ~* +@all"}})
	t.Run("in HELLO", func(t *testing.T) {
		t.Parallel()
		r := behind(t, s, "app")
		c := r.client(t, func(o *goredis.Options) { o.Username, o.Password = "app", "secret" })
		if who, err := c.Do(t.Context(), "ACL", "WHOAMI").Text(); err != nil || who != "app" {
			t.Fatalf("%q, %v", who, err)
		}
		for _, line := range r.agent.Visit(t, 0).Journal.Lines() {
			if strings.Contains(string(line), "secret") {
				t.Errorf("the password is in %s", line)
			}
		}
	})
	t.Run("in AUTH", func(t *testing.T) {
		t.Parallel()
		r := behind(t, s, "app")
		if out := r.cli(t, "GET k\nAUTH app wrong\nAUTH app secret\nACL WHOAMI\n"); !strings.Contains(out, "NOAUTH") || !strings.Contains(out, "WRONGPASS") || !strings.HasSuffix(out, "OK\napp\n") {
			t.Fatalf("redis-cli printed %s", out)
		}
		if got := queries(r.agent.Visit(t, 0), "db.session.query.failed"); !slices.Equal(got, []string{"AUTH app ****"}) {
			t.Errorf("recorded %q", got)
		}
	})
	t.Run("of an account that does not exist", func(t *testing.T) {
		t.Parallel()
		r := behind(t, s, "alice")
		const want = `NOAUTH Authentication required. The database wants a password for the account "alice": give it with AUTH alice <password>; or the account does not exist, which ACL GETUSER alice shows: only then make it with ACL SETUSER alice on nopass ~* &* +@all`
		if out := r.cli(t, "", "GET", "k"); !strings.Contains(out, want) {
			t.Errorf("redis-cli printed %s", out)
		}
	})
	t.Run("none is needed", func(t *testing.T) {
		t.Parallel()
		r := behind(t, s, "free")
		if out := r.cli(t, "", "ACL", "WHOAMI"); out != "free\n" {
			t.Fatalf("redis-cli printed %s", out)
		}
	})
	t.Run("of another account", func(t *testing.T) {
		t.Parallel()
		r := behind(t, s, "free")
		if out := r.cli(t, "PING\nAUTH app secret\nAUTH secret\nHELLO 3 AUTH app secret\nACL WHOAMI\n"); strings.Count(out, "failed to authenticate as") != 3 || !strings.HasSuffix(out, "free\n") {
			t.Fatalf("redis-cli printed %s", out)
		}
		r = behind(t, s, "free")
		c := r.client(t, func(o *goredis.Options) { o.Username, o.Password = "app", "secret" })
		if err := c.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "failed to authenticate as app user") {
			t.Fatalf("the client was told %v", err)
		}
		if start := r.agent.Visit(t, 0).Journal.Events("db.session.start"); len(start) != 1 || start[0].Code != "TDB00W" || start[0].Text("db_user") != "app" {
			t.Errorf("start: %v", start)
		}
	})
}

// RESET leaves the connection to the account "default", which is open here, until it is logged in again.
func TestResetKeepsTheAccount(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{Users: []string{"app on >secret ~* +@all"}})
	r := behind(t, s, "app")
	c := r.raw(t)
	c.say(t, "AUTH app secret", "RESET", "ACL WHOAMI", "RESET", "SET reset:k v", "ACL WHOAMI")
	c.hear(t, "+OK\n+RESET\n$3\napp\n+RESET\n+OK\n$3\napp\n")
	s.Do(t, "ACL", "SETUSER", "app", "off")
	c.say(t, "RESET", "SET reset:k late")
	c.hear(t, "+RESET\n")
	if line := c.line(t); !strings.HasPrefix(line, "-ERR the database did not let the account") {
		t.Errorf("heard %s", line)
	}
	_ = closed(t, r, c)
	if got := s.Do(t, "GET", "reset:k"); got != "v" {
		t.Errorf("the key has %q", got)
	}
}

func TestServerThatDoesNotTrustUs(t *testing.T) {
	t.Parallel()
	s := redisserver.Start(t, redisserver.Options{})
	other := redisserver.Start(t, redisserver.Options{})
	for name, cert := range map[string]*tls.Certificate{
		"a certificate of another authority": other.ClientCertificate(t, "default"),
		"no certificate":                     nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := behind(t, s, "default", func(cfg *enginetest.Config) {
				cfg.Credentials = enginetest.Given(cred.Credential{Certificate: cert})
			})
			if out := r.cli(t, "PING\n"); !strings.Contains(out, "give it the authority from tctl auth sign --format=db") {
				t.Errorf("redis-cli printed %s", out)
			}
		})
	}
}
