package login_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/aws/cloudtest"
	"sallyport/internal/aws/fakeaws"
	"sallyport/internal/aws/fakeaws/dataplane"
	"sallyport/internal/aws/fakeaws/elasticache"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis"
)

// smallServer answers +OK to whatever it is told, and AUTH as its accounts want it. It needs no socket, so that days can
// pass in a bubble of time.
type smallServer struct {
	serving sync.WaitGroup

	mu        sync.Mutex
	passwords map[string]string // guarded by mu
	logins    int               // guarded by mu
}

func (s *smallServer) SetAccount(_ context.Context, name string, rules []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[name] = strings.TrimPrefix(rules[len(rules)-1], ">")
	return nil
}

func (s *smallServer) Dial(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	s.serving.Go(func() {
		defer theirs.Close()
		in := bufio.NewReader(theirs)
		for {
			var words []string
			line, err := in.ReadString('\n')
			for n := 0; err == nil && n < int(line[1]-'0'); n++ { // commands here have fewer than ten words
				if _, err = in.ReadString('\n'); err == nil {
					var word string
					word, err = in.ReadString('\n')
					words = append(words, strings.TrimSpace(word))
				}
			}
			if err != nil {
				return
			}
			answer := "+OK\r\n"
			if words[0] == "AUTH" {
				s.mu.Lock()
				if s.logins++; s.passwords[words[1]] != words[2] {
					answer = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
				}
				s.mu.Unlock()
			}
			if _, err := io.WriteString(theirs, answer); err != nil {
				return
			}
		}
	})
	return ours, nil
}

// TestAConnectionOfDays keeps a connection of a user of IAM for two days, which AWS ends 12 hours after each login.
func TestAConnectionOfDays(t *testing.T) {
	server := &smallServer{passwords: map[string]string{}}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		c := cloudtest.New(t, nil, allowRedis...)
		caches := elasticache.New(c.World)
		c.Add(caches.Service())
		keys := c.Agent.Session("i-2", 7*24*time.Hour)
		t.Setenv("AWS_ACCESS_KEY_ID", keys.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", keys.SecretAccessKey)
		t.Setenv("AWS_SESSION_TOKEN", keys.SessionToken)
		group := &elasticache.ReplicationGroup{Place: west, ID: "cache", UserGroups: []string{"team"}}
		if err := caches.Add(group, &elasticache.User{Place: west, ID: "alice", Groups: []string{"team"}}); err != nil {
			t.Fatal(err)
		}
		certificate, err := c.Authority().Issue(fakeaws.Names{DNSNames: []string{group.PrimaryHost()}})
		if err != nil {
			t.Fatal(err)
		}
		front := &dataplane.RedisFront{Service: fakeaws.ElastiCacheConnect, Host: "cache", Judge: c.Verify, Account: c.RedisAccount, Server: server, Certificate: certificate, Now: time.Now}
		db := cache(t, group.PrimaryHost())
		db.Spec.TLS.CACert = string(c.Authority().PEM())
		s, _ := enginetest.NewSession(t, enginetest.Config{
			Database: db, Credentials: newSource(t, c), Identity: route(db, "alice"),
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				parts.Go(func() { front.Serve(ctx, theirs) })
				return ours, nil
			},
		})
		ours, theirs := net.Pipe()
		engine := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		ended := make(chan error, 1)
		parts.Go(func() { ended <- engine.Serve(ctx, theirs, s) })
		in := bufio.NewReader(ours)
		for hour := range 48 {
			if _, err := io.WriteString(ours, "PING\r\nPING\r\n"); err != nil {
				t.Fatalf("after %d hours: %v", hour, err)
			}
			for range 2 {
				if line, err := in.ReadString('\n'); err != nil || line != "+OK\r\n" {
					t.Fatalf("after %d hours: %q, %v", hour, line, err)
				}
			}
			time.Sleep(time.Hour)
		}
		if server.logins < 5 {
			t.Errorf("logged in %d times", server.logins)
		}
		_ = ours.Close()
		if err := <-ended; err != nil {
			t.Errorf("the session ended with %v", err)
		}
		_ = s.Close("ended", nil)
		stop()
		parts.Wait()
		server.serving.Wait()
	})
}

// TestACacheThatSaysNothing is one without TLS, which waits for the end of a line: the client reads what to look at first.
func TestACacheThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRedisCloud(t)
		c.users(t)
		db := cache(t, "master.cache.abcdef.usw1.cache.amazonaws.com")
		db.Spec.TLS.CACert = string(c.Authority().PEM())
		var parts sync.WaitGroup
		s, _ := enginetest.NewSession(t, enginetest.Config{
			Database: db, Credentials: newSource(t, c.Cloud), Identity: route(db, "alice"),
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				parts.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
				return ours, nil
			},
		})
		ours, theirs := net.Pipe()
		engine := redis.New(redis.Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		parts.Go(func() {
			_ = engine.Serve(t.Context(), theirs, s) // what it returns is what the client reads
			_ = theirs.Close()
		})
		if _, err := io.WriteString(ours, "PING\r\n"); err != nil {
			t.Fatal(err)
		}
		said, err := bufio.NewReader(ours).ReadString('\n')
		const want = "-ERR Connection timeout on ElastiCache database. Please verify if in-transit encryption is enabled on the server"
		if err != nil || !strings.HasPrefix(said, want) {
			t.Errorf("read %q, %v", said, err)
		}
		_ = ours.Close()
		_ = s.Close("ended", nil)
		parts.Wait()
	})
}
