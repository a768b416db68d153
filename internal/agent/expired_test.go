package agent_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/agent"
	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/mtls"
	"sallyport/internal/route"
	"sallyport/internal/session"
	"sallyport/internal/tunnel"
)

// answering is an engine whose clients speak first.
type answering struct{}

func (answering) Serve(ctx context.Context, client net.Conn, s *session.Session) error {
	defer context.AfterFunc(ctx, func() { _ = client.SetReadDeadline(time.Unix(1, 0)) })()
	if _, err := client.Read(make([]byte, 1)); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return teller{}.Serve(ctx, client, s)
}

const oneConnection = `
kind: role
version: v7
metadata: {name: one}
spec:
  options: {max_connections: 1}
  allow: {db_labels: {'*': '*'}, db_names: ['*'], db_users: ['*']}
`

// caller is a client that has connected.
type caller struct {
	conn   *tls.Conn
	known  atomic.Bool    // the agent has called it authenticated
	served sync.WaitGroup // and what it says was said
	err    error          // of its handshake
}

func (r *running) call(t *testing.T, service string, cert *tls.Certificate) *caller {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &caller{conn: tls.Client(ours, mtls.Named(route.ServerName(service, cluster), r.auth.trust().Pool(ca.HostCA), cert))}
	c.served.Go(func() {
		r.Serve(t.Context(), theirs, tunnel.Dispatch{ClientAddress: "192.0.2.1:1234", ListenerAddress: "192.0.2.2:443"}, func() { c.known.Store(true) })
	})
	t.Cleanup(func() { _ = ours.Close() })
	c.err = c.conn.HandshakeContext(t.Context())
	return c
}

// speak says something, and returns what the agent says until it hangs up.
func (c *caller) speak() string {
	c.served.Go(func() { _, _ = c.conn.Write([]byte("x")) }) // the agent may have hung up
	return c.hear()
}

func (c *caller) hear() string {
	said, _ := io.ReadAll(c.conn)
	_ = c.conn.NetConn().Close()
	c.served.Wait()
	return string(said)
}

const toldExpired = "your certificate expired at "

// TestUsersWhoseCertificateHasExpiredAreToldThat and are given nothing else.
func TestUsersWhoseCertificateHasExpiredAreToldThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		log := a.keep()
		a.store(t, oneConnection)
		var dialled atomic.Int64
		r := a.start(t, func(c *agent.Config) {
			c.MaxSessions = 1
			c.Engines = map[string]agent.Protocol{"postgres": {Engine: answering{}}}
			c.Credentials = emptyCredentials{}
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				dialled.Add(1)
				return nil, errors.New("nobody is there")
			}
		}, database(t, "orders", nil))
		time.Sleep(time.Second)
		const served = "cannot be reached from the agent"
		old := a.certificate(t, alice("orders", "one")) // for an hour
		if c := r.call(t, "orders", old); !strings.Contains(c.speak(), served) || !c.known.Load() || dialled.Load() != 1 {
			t.Fatal("a valid certificate is not served")
		}
		time.Sleep(2 * time.Hour)

		c := r.call(t, "orders", old)
		if said := c.speak(); !strings.HasPrefix(said, toldExpired) || !strings.HasSuffix(said, "; log in again with tsh login") {
			t.Errorf("the user reads %q, %v", said, c.err)
		}
		if c.known.Load() || dialled.Load() != 1 {
			t.Errorf("known: %t, dialled %d times", c.known.Load(), dialled.Load())
		}

		// Who says nothing has ten seconds, and takes nobody's place.
		began := time.Now()
		silent := r.call(t, "orders", old)
		synctest.Wait()
		if verdict := r.Admit(); verdict != tunnel.Accepted || r.Stats().Sessions["postgres"] != 0 {
			t.Errorf("it counts as a session: %v", verdict)
		}
		valid := r.call(t, "orders", a.certificate(t, alice("orders", "one")))
		synctest.Wait()
		if verdict := r.Admit(); verdict != tunnel.Busy {
			t.Errorf("a session does not count: %v", verdict)
		}
		if said := valid.speak(); !strings.Contains(said, served) {
			t.Errorf("the one connection that the role allows: %q", said)
		}
		if said, after := silent.hear(), time.Since(began); said != "" || after != 10*time.Second {
			t.Errorf("who says nothing reads %q after %s", said, after)
		}

		// Each telling is an event, so that a flood of them is not told.
		told, refused := 0, 0
		for range 100 {
			if said := r.call(t, "orders", old).speak(); strings.HasPrefix(said, toldExpired) {
				told++
			} else if said == "" {
				refused++
			}
		}
		if told != 30 || refused != 70 {
			t.Errorf("%d of a hundred were told, %d were not", told, refused)
		}
		time.Sleep(2 * time.Minute)
		if said := r.call(t, "orders", old).speak(); !strings.HasPrefix(said, toldExpired) {
			t.Errorf("later the user reads %q", said)
		}
		time.Sleep(time.Minute)
		if starts := log.with(`"db.session.start"`, `"TDB00W"`, `"user":"alice"`, toldExpired); len(starts) != 1+30+1 {
			t.Errorf("%d refusals are recorded", len(starts))
		}
		if auths := log.with(`"event":"auth"`, `"user":"alice"`, `"addr.remote":"192.0.2.1:1234"`, toldExpired); len(auths) != 2 || !strings.Contains(auths[1], "(70 times") {
			t.Errorf("recorded of those who were not told: %q", auths)
		}
		if n := len(log.with(`"client.disconnect"`)); n != 0 || dialled.Load() != 2 {
			t.Errorf("%d are called disconnected, %d dialled", n, dialled.Load())
		}
	})
}

// TestOtherExpiredCertificatesAreRefusedInTLS as ever.
func TestOtherExpiredCertificatesAreRefusedInTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, other := newAuthority(t), newAuthority(t)
		log := a.keep()
		r := a.start(t, func(c *agent.Config) { c.Engines = map[string]agent.Protocol{"postgres": {Engine: answering{}}} }, database(t, "orders", nil))
		time.Sleep(time.Second)
		session := alice("orders")
		session.ProxySession = true
		certs := map[string]*tls.Certificate{
			"of another authority":    other.certificate(t, alice("orders")),
			"of a host":               a.certificate(t, &identity.Identity{Name: hostID, Kind: identity.Host, Cluster: cluster, SystemRoles: []string{"Db"}}),
			"that a proxy asked for":  a.certificate(t, session),
			"of another cluster name": a.certificate(t, &identity.Identity{Kind: identity.User, Cluster: "other.local", Name: "alice"}),
		}
		time.Sleep(2 * time.Hour)
		for rule, cert := range certs {
			c := r.call(t, "orders", cert)
			_, err := c.conn.Read(make([]byte, 1)) // in TLS 1.3 the refusal comes behind the handshake
			if err = errors.Join(c.err, err); err == nil || !strings.Contains(err.Error(), "tls: bad certificate") || c.known.Load() {
				t.Errorf("%s: %v", rule, err)
			}
			c.hear()
		}
		time.Sleep(time.Minute)
		if n := len(log.with(`"db.session.start"`)); n != 0 {
			t.Errorf("%d came to the engine", n)
		}
	})
}

// obstinate is an engine that goes on telling, whatever happens meanwhile.
type obstinate struct{}

func (obstinate) Serve(_ context.Context, client net.Conn, _ *session.Session) error {
	for {
		if _, err := client.Write([]byte("no")); err != nil {
			return err
		}
	}
}

// TestUsersOfExpiredCertificatesWhoReadNothingAreHungUpOn: they keep neither a goroutine nor an agent that wants to stop.
func TestUsersOfExpiredCertificatesWhoReadNothingAreHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		a.store(t, oneConnection)
		r := a.start(t, func(c *agent.Config) {
			c.Engines = map[string]agent.Protocol{"postgres": {Engine: obstinate{}}}
			c.Credentials = emptyCredentials{}
		}, database(t, "orders", nil))
		time.Sleep(time.Second)
		old := a.certificate(t, alice("orders", "one")) // for an hour
		time.Sleep(2 * time.Hour)
		began := time.Now()
		c := r.call(t, "orders", old)
		c.served.Wait()
		if after := time.Since(began); after != 12*time.Second {
			t.Errorf("they are hung up on after %s", after)
		}
	})
}
