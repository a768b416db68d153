package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/redis/redistest"
	"sallyport/internal/engine/redis/resp"
	"sallyport/internal/fault"
)

// each command that concerns the server is refused in every syntax, and the server gets none.
func TestRefusedUnlessAllowed(t *testing.T) {
	t.Parallel()
	r, c := ready(t, func(args []string) []byte {
		t.Errorf("the server got %q", args)
		return one(args)
	})
	var refused []string
	for _, file := range []string{"commands.txt", "newer.txt"} {
		table, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			if len(fields) > 1 && strings.Contains(","+fields[1]+",", ",admin,") {
				refused = append(refused, strings.ReplaceAll(fields[0], "|", " "))
			}
		}
	}
	refused = append(refused, "migrate", "restore-asking", "client reply off", "nosuch", "config nosuch", "json.get x")
	if len(refused) < 60 {
		t.Fatalf("%d commands", len(refused))
	}
	for _, command := range refused {
		c.say(t, command, strings.ToUpper(command))
		fmt.Fprintf(c, "%s\r\n", strings.ToUpper(command[:1])+command[1:])
		for range 3 {
			if line := c.line(t); !strings.HasPrefix(line, "-NOPERM ") {
				t.Errorf("%s: %s", command, line)
			}
		}
	}
	v := closed(t, r, c)
	if got := queries(v, "db.session.query.failed"); len(got) != 3*len(refused) {
		t.Errorf("%d of %d refusals are recorded", len(got), 3*len(refused))
	}
}

// passwords cannot be tried out without end.
func TestAttemptsToLogIn(t *testing.T) {
	t.Parallel()
	var tried atomic.Int32
	s := redistest.Start(t, func(args []string) []byte {
		if args[0] == "AUTH" {
			tried.Add(1)
		}
		return resp.AppendError(nil, "WRONGPASS", "no")
	})
	r := &real{agent: enginetest.Start(t, enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", s.Addr, s.Authority.CertPEM()),
		Credentials: enginetest.AccountsOnly,
	})}
	c := r.raw(t)
	for range 10 {
		c.say(t, "AUTH app guess")
		if line := c.line(t); !strings.HasPrefix(line, "-WRONGPASS") {
			t.Fatal(line)
		}
	}
	c.say(t, "AUTH app guess")
	v := closed(t, r, c)
	if err := v.Wait(t); err == nil {
		t.Error("the engine returned no error")
	}
	if tried.Load() != 10 {
		t.Errorf("the server was asked %d times", tried.Load())
	}
}

// commands are sent ahead of their replies up to a limit.
func TestCommandsAheadHaveALimit(t *testing.T) {
	const many = 30_000
	waits := make(chan struct{})
	var wait sync.Once
	r, c := ready(t, func(args []string) []byte {
		wait.Do(func() { <-waits })
		return one(args)
	})
	go func() { _, _ = io.WriteString(c, strings.Repeat("*1\r\n$4\r\nPING\r\n", many)) }()
	awaitStack(t, "(*relay).awaitRoom", "sync.(*Cond).Wait")
	if n := len(r.agent.Visit(t, 0).Journal.Statements()); n < 9_000 || n > 10_300 {
		t.Errorf("%d commands are under way", n)
	}
	close(waits)
	if _, err := io.CopyN(io.Discard, c.r, int64(len(":1\r\n"))*many); err != nil {
		t.Error(err)
	}
}

// awaitStack waits until one goroutine is in all of these functions. Tests that call it are not parallel, so that it is theirs.
func awaitStack(t *testing.T, frames ...string) {
	t.Helper()
	for deadline := time.Now().Add(enginetest.Patience); time.Now().Before(deadline); {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		for stack := range strings.SplitSeq(stacks.String(), "\n\n") {
			if !slices.ContainsFunc(frames, func(frame string) bool { return !strings.Contains(stack, frame) }) {
				return
			}
		}
	}
	t.Errorf("no goroutine is in %q", frames)
}

// what waits for EXEC has a limit.
func TestHugeTransaction(t *testing.T) {
	t.Parallel()
	const many = 100_001
	r, c := ready(t, func(args []string) []byte {
		if args[0] == "MULTI" {
			return []byte("+OK\r\n")
		}
		return []byte("+QUEUED\r\n")
	})
	c.say(t, "MULTI")
	c.hear(t, "+OK\n")
	go func() { _, _ = io.WriteString(c, strings.Repeat("*1\r\n$4\r\nPING\r\n", many)) }()
	var last string
	for line, err := c.r.ReadString('\n'); err == nil; line, err = c.r.ReadString('\n') {
		last = line
	}
	if !strings.Contains(last, "a transaction has more than 100000 commands") {
		t.Errorf("heard last %q", last)
	}
	if err := r.agent.Visit(t, 0).Wait(t); !fault.Is(err, fault.LimitExceeded) {
		t.Errorf("the engine returned %v", err)
	}
}

// texts of scripts are kept up to a limit. One that is forgotten is asked for again.
func TestScriptsHaveALimit(t *testing.T) {
	t.Parallel()
	_, c := ready(t, one)
	first := "return 1"
	const sum = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
	c.Write(resp.AppendCommand(nil, "EVAL", first, "0"))
	c.hear(t, ":1\n")
	c.say(t, "EVALSHA "+sum+" 0")
	c.hear(t, ":1\n")
	for i := range 9 {
		c.Write(resp.AppendCommand(nil, "EVAL", fmt.Sprint("return ", i, strings.Repeat(" ", 1<<20)), "0"))
		c.hear(t, ":1\n")
	}
	c.say(t, "EVALSHA "+sum+" 0")
	if line := c.line(t); !strings.HasPrefix(line, "-NOSCRIPT") {
		t.Errorf("heard %s", line)
	}
}

// a server that does not speak TLS gets nothing but the beginning of a handshake, and what it says is not passed on.
func TestServersWithoutTLS(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan byte, 1)
	go func() {
		defer close(got)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "-DENIED come to another server\r\n+OK\r\n$7\r\ndefault\r\n")
		all, _ := io.ReadAll(conn)
		if len(all) > 0 {
			got <- all[0]
		}
		if bytes.Contains(all, []byte("secret")) || bytes.Contains(all, []byte("AUTH")) {
			t.Errorf("the server got %q", all)
		}
	}()
	trusted := redistest.Start(t, one)
	r := &real{agent: enginetest.Start(t, enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", listener.Addr().String(), trusted.Authority.CertPEM()),
		Credentials: enginetest.Given(cred.Credential{Password: "secret"}),
	})}
	c := r.raw(t)
	c.say(t, "GET k")
	if line := c.line(t); !strings.HasPrefix(line, "-ERR the TLS handshake") || !strings.Contains(line, "what is there does not speak TLS; check that its uri leads to a server that speaks redis") ||
		strings.Contains(line, "come to another") {
		t.Errorf("heard %s", line)
	}
	_ = closed(t, r, c)
	_ = listener.Close()
	if first, ok := <-got; ok && first != 0x16 {
		t.Errorf("the server got %#x first", first)
	}
	<-got
}

// A server that waits for its clients to speak, as one of PostgreSQL does, takes a ClientHello for nonsense and hangs up.
func TestServersThatHangUpOnTLS(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 64<<10))
		_ = conn.Close()
	})
	r := &real{agent: enginetest.Start(t, enginetest.Config{
		Engine: newEngine(), Database: enginetest.NewDatabase(t, "redis", listener.Addr().String(), redistest.Start(t, one).Authority.CertPEM()),
		Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) {
			return &cred.Credential{User: account, Password: "secret"}, nil
		}),
	})}
	c := r.raw(t)
	c.say(t, "GET k")
	if line := c.line(t); !strings.Contains(line, "what is there hung up; check that its uri leads to a server that speaks redis, and to its port for TLS, and look into its log") {
		t.Errorf("heard %s", line)
	}
	_ = closed(t, r, c)
	_ = listener.Close()
	served.Wait()
}

// lingering notes what is asked of a connection.
type lingering struct {
	net.Conn
	broken atomic.Bool
}

func (l *lingering) SetLinger(seconds int) error {
	l.broken.Store(seconds == 0)
	return l.Conn.(*net.TCPConn).SetLinger(seconds)
}

// What the client leaves behind has an outcome, and the database is not to begin what waits.
func TestUnansweredCommands(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	var upstream *lingering
	r, c := ready(t, func(args []string) []byte {
		switch args[0] {
		case "MULTI":
			return []byte("+OK\r\n")
		case "SET":
			return []byte("+QUEUED\r\n")
		}
		close(arrived)
		<-release
		return nil
	}, func(cfg *enginetest.Config) {
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			upstream = &lingering{Conn: conn}
			return upstream, err
		}
	})
	defer close(release)
	c.say(t, "MULTI", "SET k v")
	c.hear(t, "+OK\n+QUEUED\n")
	c.say(t, "BLPOP k 0", "GET k")
	<-arrived
	const unknown = " → the session ended before the database answered"
	wantOutcomes(t, r, c, "MULTI → ok", "SET k v"+unknown, "BLPOP k 0"+unknown, "GET k"+unknown)
	if !upstream.broken.Load() {
		t.Error("the connection to the database is not broken off")
	}
}

// The cause of the end is not written into the middle of a reply.
func TestEndWithinAReply(t *testing.T) {
	t.Parallel()
	r, c := ready(t, func([]string) []byte { return []byte("$100\r\nabc") })
	c.say(t, "GET k")
	c.hear(t, "$100\nabc")
	r.agent.Visit(t, 0).End(fault.New(fault.AccessDenied, "locked"))
	if rest, _ := io.ReadAll(c.r); len(rest) != 0 {
		t.Errorf("heard %q", rest)
	}
}

// A client that waits for the database is not idle; one that has its answer is.
func TestBlockingIsNoIdleness(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	arrived, release := make(chan struct{}), make(chan struct{})
	r, c := ready(t, func(args []string) []byte {
		close(arrived)
		<-release
		return one(args)
	}, func(cfg *enginetest.Config) { cfg.Now = func() time.Time { return time.Unix(clock.Load(), 0) } })
	v := r.agent.Visit(t, 0)
	c.say(t, "BLPOP k 0")
	<-arrived
	clock.Store(1000)
	if got := v.Session.LastActivity(); got.Unix() != 1000 {
		t.Errorf("while the database works, the last activity is at %d", got.Unix())
	}
	close(release)
	c.hear(t, ":1\n")
	clock.Store(5000)
	if got := v.Session.LastActivity(); got.Unix() != 1000 {
		t.Errorf("after the answer, the last activity is at %d", got.Unix())
	}
}
