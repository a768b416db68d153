package auth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"sallyport/internal/auth"
	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/introduction"
	"sallyport/internal/resource"
)

// from returns a client whose calls are made as the identity and come from an address.
func (w *world) from(address string, id *identity.Identity) *authapi.Client {
	w.t.Helper()
	api := w.auth.Handler()
	local, client := authapi.NewLocal(http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		api.ServeHTTP(res, req.WithContext(auth.WithPeer(req.Context(), address)))
	}), id)
	w.t.Cleanup(local.Close)
	return client
}

const pinningRole = "kind: role\nversion: v7\nmetadata: {name: pinned}\nspec: {options: {pin_source_ip: true}, allow: {rules: [{resources: [role], verbs: [list, read, create, update]}]}}\n"

func TestABoundCertificateCallsFromItsAddressOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply(pinningRole)
	w.mustApply("kind: role\nversion: v7\nmetadata: {name: free}\nspec: {}\n")
	w.invite("alice", "pinned")
	w.invite("bob", "free")
	for name, c := range map[string]struct{ user, pinned, from, says string }{
		"from its address":                        {"alice", "192.0.2.1", "192.0.2.1:1000", ""},
		"stolen":                                  {"alice", "192.0.2.1", "192.0.2.2:1000", "bound to another address"},
		"from where nobody knows":                 {"alice", "192.0.2.1", "", "bound to another address"},
		"bound to none, where the roles ask":      {"alice", "", "192.0.2.1:1000", "bound to none"},
		"bound, where no role asks any more":      {"bob", "192.0.2.1", "192.0.2.2:1000", "bound to another address"},
		"bound to none, where no role asks":       {"bob", "", "192.0.2.2:1000", ""},
		"from its address, in its IPv6 spelling":  {"alice", "192.0.2.1", "[::ffff:192.0.2.1]:1000", ""},
		"a neighbour in the network of IPv6":      {"alice", "2001:db8::1", "[2001:db8::2]:1000", "bound to another address"},
		"from its address of IPv6, in long words": {"alice", "2001:db8::1", "[2001:db8:0:0::1]:1000", ""},
	} {
		id := w.user(c.user)
		id.PinnedIP = c.pinned
		api := w.from(c.from, id)
		_, public, err := ca.GenerateKeyPair()
		if err != nil {
			t.Fatal(err)
		}
		_, whoErr := api.Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
		_, issueErr := api.Certificates.IssueUserCertificate(t.Context(), &sallyportv1.IssueUserCertificateRequest{PublicKey: public, Ttl: durationpb.New(time.Minute)})
		_, listErr := api.Databases.ListDatabases(t.Context(), &sallyportv1.ListDatabasesRequest{})
		for call, err := range map[string]error{"WhoAmI": whoErr, "IssueUserCertificate": issueErr, "ListDatabases": listErr} {
			refused := fault.Is(err, fault.AccessDenied) && strings.Contains(fault.Message(err), c.says)
			if c.says == "" && err != nil || c.says != "" && !refused {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
}

// TestAStatedAddressDoesNotReplaceTheCalls has a thief state the address that a certificate is bound to.
func TestAStatedAddressDoesNotReplaceTheCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply(pinningRole)
	w.invite("alice", "pinned")
	id := w.user("alice")
	id.PinnedIP = "192.0.2.1"
	_, err := w.from("192.0.2.2:1000", id).Join.GetJoinChallenge(t.Context(), &sallyportv1.GetJoinChallengeRequest{ClientAddress: "192.0.2.1:1000"})
	wantKind(t, err, fault.AccessDenied, "bound to another address")
}

func TestALoginBindsToTheAddressThatTheProxyStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustApply(pinningRole)
	alice := w.person("alice", "pinned")
	res, err := alice.login("alice", password, alice.code())
	if err != nil {
		t.Fatal(err)
	}
	id := certificate(t, res.GetCertificate())
	host, _, _ := net.SplitHostPort(source("alice"))
	if id.PinnedIP != host || id.LoginIP != host {
		t.Fatalf("bound to %q, logged in from %q, want %q", id.PinnedIP, id.LoginIP, host)
	}
	if _, err := w.from(source("alice"), id).Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{}); err != nil {
		t.Error(err)
	}
}

// arrive sends bytes on a connection to the API and returns what the authority makes of it.
func (w *world) arrive(sent []byte) (remote string, read []byte, err error) {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	defer server.Close()
	if _, err := client.Write(sent); err != nil {
		w.t.Fatal(err)
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		w.t.Fatal(err)
	}
	conn, err := w.auth.Introduced(w.t.Context(), server)
	if err != nil {
		return "", nil, err
	}
	read, err = io.ReadAll(conn)
	remote, _, _ = net.SplitHostPort(conn.RemoteAddr().String())
	return remote, read, err
}

func TestOnlyProxiesIntroduceClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hello := []byte{0x16, 3, 1, 0, 5, 'h', 'e', 'l', 'l', 'o'}
	introduce := func(hostID string, role resource.SystemRole) []byte {
		t.Helper()
		_, cert, err := w.auth.LocalIdentity(hostID, time.Hour, role)
		if err != nil {
			t.Fatal(err)
		}
		var message bytes.Buffer
		if err := introduction.Send(&message, cert, "192.0.2.1:1000", hello, w.auth.Now()); err != nil {
			t.Fatal(err)
		}
		return message.Bytes()
	}
	proxy, locked := uuid.NewString(), uuid.NewString()
	w.mustApply("kind: lock\nversion: v2\nmetadata: {name: 55555555-5555-4555-8555-555555555555}\nspec: {target: {server_id: " + locked + "}}\n")
	forged := introduce(proxy, resource.RoleProxy)
	forged[len(forged)-len(hello)-1] ^= 1 // in the signature
	for name, c := range map[string]struct {
		sent   []byte
		remote string
		says   string
	}{
		"a client itself":     {hello, "127.0.0.1", ""},
		"a proxy":             {introduce(proxy, resource.RoleProxy), "192.0.2.1", ""},
		"an agent":            {introduce(proxy, resource.RoleDb), "", "is no proxy"},
		"an administrator":    {introduce(proxy, resource.RoleAdmin), "", "is no proxy"},
		"a locked proxy":      {introduce(locked, resource.RoleProxy), "", "lock targeting"},
		"a forged word":       {forged, "", "not from"},
		"nothing but a magic": {[]byte(introduction.Magic), "", "EOF"},
		"nothing at all":      {nil, "", "EOF"},
	} {
		remote, read, err := w.arrive(c.sent)
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: from %q, %v", name, remote, err)
		case c.says == "" && (err != nil || remote != c.remote || !bytes.Equal(read, hello)):
			t.Errorf("%s: from %q with %q, %v", name, remote, read, err)
		}
	}
}

func TestWaitingForAStrangersFirstByteEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		_, err := w.auth.Introduced(ctx, far)
		done <- err
	}()
	stop()
	if err := <-done; err == nil {
		t.Error("a silent connection was taken")
	}
}

// TestABoundCertificateComesFromNowhereAfterASecondHello has a connection whose client was asked for another ClientHello:
// what is known of its address is about the first.
func TestABoundCertificateComesFromNowhereAfterASecondHello(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("alice")
	handler := auth.TLSHandler(w.auth.Handler())
	who := func(pinned string, again bool) int {
		t.Helper()
		id := w.user("alice")
		id.PinnedIP = pinned
		extension, err := id.Extension()
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodPost, "/sallyport.v1.ClusterService/WhoAmI", strings.NewReader("{}"))
		request.RemoteAddr = "192.0.2.1:1000"
		request.Header.Set("Content-Type", "application/json")
		leaf := &x509.Certificate{Subject: id.Subject(), Extensions: []pkix.Extension{extension}, NotAfter: id.Expires}
		request.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}, HelloRetryRequest: again}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Code
	}
	for name, c := range map[string]struct {
		pinned  string
		again   bool
		allowed bool
	}{
		"bound to its address":           {"192.0.2.1", false, true},
		"bound, and asked again":         {"192.0.2.1", true, false},
		"bound to another":               {"192.0.2.2", false, false},
		"bound to none, and asked again": {"", true, true},
	} {
		if code := who(c.pinned, c.again); (code == http.StatusOK) != c.allowed {
			t.Errorf("%s: %d", name, code)
		}
	}
}
