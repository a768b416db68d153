package introduction_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
	"sallyport/internal/identity"
	"sallyport/internal/introduction"
	"sallyport/internal/mtls"
)

const (
	cluster = "test.local"
	client  = "192.0.2.1:1000"
)

var hello = []byte("what the client sends first")

// world is a cluster's authorities.
type world struct {
	host, user, db *ca.Authority
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{}
	for typ, to := range map[ca.Type]**ca.Authority{ca.HostCA: &w.host, ca.UserCA: &w.user, ca.DatabaseCA: &w.db} {
		made, err := ca.New(typ, cluster, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		*to = made
	}
	return w
}

func (w *world) trust() *mtls.Trust {
	return &mtls.Trust{Cluster: cluster, Authorities: map[ca.Type][]*x509.Certificate{ca.HostCA: {w.host.Cert}, ca.UserCA: {w.user.Cert}, ca.DatabaseCA: {w.db.Cert}}}
}

// certificate signs one by an authority, for one more hour than it has been valid.
func certificate(t testing.TB, by *ca.Authority, id identity.Identity, age time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	id.Cluster = cluster
	extension, err := id.Extension()
	if err != nil {
		t.Fatal(err)
	}
	request := ca.Request{PublicKey: key.Public(), Subject: id.Subject(), NotAfter: time.Now().Add(time.Hour - age),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	request.Extensions = append(request.Extensions, extension)
	der, err := by.Sign(request, time.Now().Add(-age))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func host(role string) identity.Identity {
	return identity.Identity{Kind: identity.Host, Name: "22222222-2222-4222-8222-222222222222", SystemRoles: []string{role}}
}

func send(t testing.TB, as *tls.Certificate, client string, hello []byte) []byte {
	t.Helper()
	return sendAt(t, as, client, hello, time.Now())
}

func sendAt(t testing.TB, as *tls.Certificate, client string, hello []byte, at time.Time) []byte {
	t.Helper()
	var message bytes.Buffer
	if err := introduction.Send(&message, as, client, hello, at); err != nil {
		t.Fatal(err)
	}
	return message.Bytes()
}

func TestAProxyIsBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	message := append(send(t, certificate(t, w.host, host("Proxy"), 0), client, hello), "and more"...)
	for _, read := range []int{0, 1, 5, 100} { // by whoever looked at the first bytes
		rest := bytes.NewReader(message[read:])
		in, err := introduction.Receive(rest, message[:read], w.trust(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if in.Client.String() != client || in.Proxy.Name != host("").Name || !bytes.Equal(in.Hello, hello) {
			t.Errorf("got %+v", in)
		}
		if more, _ := io.ReadAll(rest); string(more) != "and more" {
			t.Errorf("what follows is %q", more)
		}
	}
}

func TestWhoIsNotBelieved(t *testing.T) {
	t.Parallel()
	w, foreign := newWorld(t), newWorld(t)
	proxy := certificate(t, w.host, host("Proxy"), 0)
	stolen := &tls.Certificate{Certificate: proxy.Certificate, PrivateKey: certificate(t, w.host, host("Proxy"), 0).PrivateKey}
	user := certificate(t, w.user, identity.Identity{Kind: identity.User, Name: "alice"}, 0)
	truth := send(t, proxy, client, hello)
	for name, s := range map[string]struct {
		message []byte
		says    string
	}{
		"an agent":                       {send(t, certificate(t, w.host, host("Db"), 0), client, hello), "is no proxy"},
		"a user":                         {send(t, user, client, hello), "is no proxy"},
		"a proxy of another cluster":     {send(t, certificate(t, foreign.host, host("Proxy"), 0), client, hello), "verifying certificate"},
		"a proxy by the users' CA":       {send(t, certificate(t, w.user, host("Proxy"), 0), client, hello), "verifying certificate"},
		"a proxy by the databases' CA":   {send(t, certificate(t, w.db, host("Proxy"), 0), client, hello), "verifying certificate"},
		"a proxy whose time is over":     {send(t, certificate(t, w.host, host("Proxy"), 2*time.Hour), client, hello), "it ended at"},
		"who has a proxy's certificate":  {send(t, stolen, client, hello), "not from"},
		"another client's first message": {append(bytes.Clone(truth[:len(truth)-len(hello)]), bytes.Repeat([]byte("x"), len(hello))...), "another connection"},
		"an introduction cut short":      {truth[:len(truth)-1], "unexpected EOF"},
		"an introduction used again":     {sendAt(t, proxy, client, hello, time.Now().Add(-6*time.Minute)), "off the time here"},
		"an introduction of tomorrow":    {sendAt(t, proxy, client, hello, time.Now().Add(24*time.Hour)), "off the time here"},
		"a tunnel preface":               {[]byte("\xf5SPT\x01" + strings.Repeat("x", 100)), "not an introduction"},
		"absurd lengths":                 {[]byte(introduction.Magic + "\xff\xff"), "a part of 65535 bytes"},
	} {
		in, err := introduction.Receive(bytes.NewReader(s.message), nil, w.trust(), time.Now())
		if err == nil || !strings.Contains(err.Error(), s.says) {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
	for name, message := range map[string][]byte{
		"the truth":                      truth,
		"a proxy whose clock is behind":  sendAt(t, proxy, client, hello, time.Now().Add(-4*time.Minute)),
		"a proxy whose clock runs ahead": sendAt(t, proxy, client, hello, time.Now().Add(4*time.Minute)),
	} {
		if in, err := introduction.Receive(bytes.NewReader(message), nil, w.trust(), time.Now()); err != nil || in == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingInItCanBeChanged changes every byte.
func TestNothingInItCanBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	message := send(t, certificate(t, w.host, host("Proxy"), 0), client, hello)
	for i := range message {
		changed := bytes.Clone(message)
		changed[i] ^= 0x04
		if in, err := introduction.Receive(bytes.NewReader(changed), nil, w.trust(), time.Now()); err == nil {
			t.Fatalf("byte %d changed: %+v", i, in)
		}
	}
}

func TestWhatCannotBeIntroduced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := certificate(t, w.host, host("Proxy"), 0)
	for name, c := range map[string]struct {
		client string
		size   int
		key    any
	}{
		"a client without an address": {"pipe", 10, proxy.PrivateKey},
		"an overlong ClientHello":     {client, 64<<10 + 1, proxy.PrivateKey},
		"with no key":                 {client, 10, nil},
	} {
		var sent bytes.Buffer
		as := &tls.Certificate{Certificate: proxy.Certificate, PrivateKey: c.key}
		if err := introduction.Send(&sent, as, c.client, make([]byte, c.size), time.Now()); err == nil || sent.Len() > 0 {
			t.Errorf("%s: %v, %d bytes sent", name, err, sent.Len())
		}
	}
	if err := introduction.Send(broken{}, proxy, client, hello, time.Now()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("on a broken connection: %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzReceive(f *testing.F) {
	w := newWorld(f)
	f.Add(send(f, certificate(f, w.host, host("Proxy"), 0), client, hello))
	f.Add(send(f, certificate(f, w.host, host("Db"), 0), "[2001:db8::1]:5", nil))
	f.Add([]byte(introduction.Magic + "\x00\x00\x00\x00"))
	trust := w.trust()
	now := time.Now()
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := introduction.Receive(bytes.NewReader(data), nil, trust, now)
		if err == nil && (!in.Client.IsValid() || !in.Proxy.HasSystemRole("Proxy") || !bytes.Contains(data, in.Hello)) {
			t.Fatalf("accepted as %+v", in)
		}
	})
}
