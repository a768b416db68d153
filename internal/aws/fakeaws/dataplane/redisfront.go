package dataplane

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/aws/fakeaws"
)

// RedisLife is how long ElastiCache and MemoryDB keep a connection after a login with a token ("Authenticating with IAM" in
// their guides).
const RedisLife = 12 * time.Hour

// RedisFront stands before a server of Redis and decides who is let in: whoever shows a token that the verifier lets in, or
// a password that the local AWS has for the account. All fields but Certificate must be set.
//
// Commands pass through. AUTH and HELLO are given another password, the front's own or a wrong one, so that it is the
// server that answers, in its turn.
type RedisFront struct {
	Service, Host string // as in fakeaws.Target
	Judge         func(fakeaws.Login) fakeaws.Verdict
	Account       func(service, host, name string) (fakeaws.RedisAccount, bool)
	Server        RedisServer
	Certificate   *tls.Certificate // nil: no TLS
	Now           func() time.Time

	mu     sync.Mutex
	secret string            // guarded by mu
	known  map[string]string // rules of the server's accounts by their names; guarded by mu
}

// RedisServer is what stands behind a front.
type RedisServer interface {
	Dial(ctx context.Context) (net.Conn, error)
	// SetAccount sets the rules of an account, as ACL SETUSER takes them.
	SetAccount(ctx context.Context, name string, rules []string) error
}

// redisVisit is one client of a front.
type redisVisit struct {
	*RedisFront
	ctx     context.Context
	client  net.Conn
	server  net.Conn
	inMulti bool
	end     *time.Timer // closes the connections; nil before a login with a token
	until   time.Time   // when that is due; zero: never
}

// Serve serves a client until either side ends.
func (f *RedisFront) Serve(ctx context.Context, client net.Conn) {
	if f.Certificate != nil {
		over := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{*f.Certificate}})
		if over.HandshakeContext(ctx) != nil {
			return
		}
		client = over
	}
	if _, err := f.prepare(ctx, "default", ""); err != nil {
		return
	}
	server, err := f.Server.Dial(ctx)
	if err != nil {
		return
	}
	v := &redisVisit{RedisFront: f, ctx: ctx, client: client, server: server}
	stop := context.AfterFunc(ctx, v.close)
	defer stop()
	var answering sync.WaitGroup
	answering.Go(func() {
		defer v.close()
		_, _ = io.Copy(client, server) // an error is an end like any other
	})
	_ = v.pass() // likewise
	v.close()
	if v.end != nil {
		v.end.Stop()
	}
	answering.Wait()
}

func (v *redisVisit) close() {
	_ = v.client.Close() // both ends of a connection that is over
	_ = v.server.Close()
}

// pass passes commands on until the client ends, or its time does.
func (v *redisVisit) pass() error {
	in, out := bufio.NewReaderSize(v.client, 64<<10), bufio.NewWriter(v.server)
	for {
		c, err := readRedisCommand(in)
		if err != nil {
			return err
		}
		if !v.until.IsZero() && !v.Now().Before(v.until) {
			return errors.New("the login is over")
		}
		message, err := v.translate(c)
		if err != nil {
			return err
		}
		if _, err := out.Write(message); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// translate gives what is passed on in the place of a command.
func (v *redisVisit) translate(c redisCommand) ([]byte, error) {
	if len(c.words) == 0 {
		return c.raw, nil
	}
	switch name := strings.ToUpper(c.words[0]); name {
	case "MULTI":
		v.inMulti = true
	case "EXEC", "DISCARD", "RESET":
		v.inMulti = false
	case "AUTH":
		user, at := "default", 1
		if len(c.words) == 3 {
			user, at = c.words[1], 2
		}
		if len(c.words) == 2 || len(c.words) == 3 {
			return v.login(c, user, at)
		}
	case "HELLO":
		if i := slices.IndexFunc(c.words, func(w string) bool { return strings.EqualFold(w, "AUTH") }); i > 0 && i+2 < len(c.words) {
			return v.login(c, c.words[i+1], i+2)
		}
	}
	return c.raw, nil
}

// login puts the password into a command by which the account is opened, or a wrong one.
func (v *redisVisit) login(c redisCommand, user string, at int) ([]byte, error) {
	password, err := v.prepare(v.ctx, user, c.words[at])
	if err != nil || password == c.words[at] {
		return c.raw, err
	}
	if v.inMulti { // "You can't use IAM authentication in MULTI EXEC"
		return encodeRedisCommand(c.words[:1]), nil
	}
	if password == v.own() {
		v.until = v.Now().Add(RedisLife)
		if v.end == nil {
			v.end = time.AfterFunc(RedisLife, v.close)
		}
		v.end.Reset(RedisLife)
	}
	words := slices.Clone(c.words)
	words[at] = password
	return encodeRedisCommand(words), nil
}

// prepare has the server know the account as the local AWS does now, and gives the password to log in with there.
func (f *RedisFront) prepare(ctx context.Context, name, given string) (password string, err error) {
	account, ok := f.Account(f.Service, f.Host, name)
	rules := []string{"reset"} // which leaves it off
	password = given
	if ok {
		rules = append(rules, "allchannels")
		rules = append(rules, strings.Fields(account.Rules)...)
	}
	switch {
	case !ok:
	case account.IAM:
		rules = append(rules, ">"+f.own())
		password = "wrong"
		if given != "" && f.Judge(fakeaws.Login{Service: f.Service, Host: f.Host, User: name, Token: given}).Allow {
			password = f.own()
		}
	case account.NoPassword:
		rules = append(rules, "nopass")
	default:
		for _, one := range account.Passwords {
			rules = append(rules, ">"+one)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]string{}
	}
	if text := strings.Join(rules, " "); f.known[name] != text {
		if err := f.Server.SetAccount(ctx, name, rules); err != nil {
			return "", err
		}
		f.known[name] = text
	}
	return password, nil
}

// own is the password that the front logs accounts in with that tokens open.
func (f *RedisFront) own() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.secret == "" {
		b := make([]byte, 24)
		_, _ = rand.Read(b) // never fails
		f.secret = hex.EncodeToString(b)
	}
	return f.secret
}
