package clustertest_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/authapi"
	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/clustertest"
	"sallyport/internal/detour"
	"sallyport/internal/fault"
	"sallyport/internal/mtls"
)

const pinningRole = `
kind: role
version: v7
metadata: {name: pinned}
spec: {options: {pin_source_ip: true}}
---
kind: cluster_auth_preference
version: v2
spec: {second_factor: "off"}
`

// dialerFrom opens connections from an address of this host.
func dialerFrom(from string, mode detour.Mode) *detour.Dialer {
	return detour.New(detour.Config{Mode: mode, Now: time.Now,
		TCP: func(ctx context.Context, to string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(ctx, "tcp", to)
		},
		Web: func(host string) *tls.Config { return mtls.ToWeb(host, true, mtls.ProtocolHTTP) },
	})
}

// loginFrom makes a user and logs it in at a proxy, from an address of this host.
func loginFrom(t *testing.T, c *clustertest.Cluster, proxy, name, from string, roles ...string) *client.Credentials {
	t.Helper()
	const password = "correct horse battery staple"
	made, err := c.Admin.Users.CreateUser(t.Context(), &sallyportv1.CreateUserRequest{Name: name, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Admin.Login.AcceptInvite(t.Context(), &sallyportv1.AcceptInviteRequest{Token: made.GetLink().GetToken(), Password: password}); err != nil {
		t.Fatal(err)
	}
	transport := authapi.NewTransport(dialerFrom(from, detour.Never).To(proxy), mtls.ToWeb("x", true, mtls.ProtocolHTTP2))
	defer transport.CloseIdleConnections()
	key, public, err := ca.GenerateKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	res, err := authapi.New(&http.Client{Transport: transport}, "https://"+proxy).Login.Login(t.Context(), &sallyportv1.LoginRequest{User: name, Password: password, PublicKey: public})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := authapi.TrustOf(res.GetClusterName(), res.GetAuthorities())
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := client.NewCredentials(key, res.GetCertificate(), trust)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// TestABoundCertificateCallsFromItsAddressOnly uses a certificate that is bound to an address from there and from
// elsewhere, by every way to the auth server: the server knows the client's address behind proxies too.
func TestABoundCertificateCallsFromItsAddressOnly(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	c.Apply(t, pinningRole)
	apart := c.StartProxy(t)
	behind := (&clustertest.Cluster{Auth: apart, Admin: c.Admin}).StartProxy(t)
	const here, elsewhere = "127.0.0.5", "127.0.0.6"
	var alice *client.Credentials
	clustertest.Eventually(t, "the proxies are up", func() error {
		for _, address := range []string{apart, behind} {
			conn, err := dialerFrom(here, detour.Never).Dial(t.Context(), address)
			if err != nil {
				return err
			}
			_ = conn.Close()
		}
		return nil
	})
	alice = loginFrom(t, c, apart, "alice", here, "pinned")
	if alice.Identity.PinnedIP != here {
		t.Fatalf("the certificate is bound to %q", alice.Identity.PinnedIP)
	}
	for name, address := range map[string]string{
		"at the auth server itself":         c.Auth,
		"through the proxy in its process":  c.Proxy,
		"through a proxy of its own":        apart,
		"through a proxy behind that proxy": behind,
	} {
		call := func(from string, newest uint16) error {
			cfg := mtls.Client(func(string) (*tls.Certificate, error) { return alice.Certificate(), nil }, func() *mtls.Trust { return alice.Trust },
				"Auth", "auth."+clustertest.ClusterName, mtls.ProtocolAuth, mtls.ProtocolHTTP2)
			cfg.MaxVersion = newest
			api := authapi.NewTLS(dialerFrom(from, detour.Never).To(address), cfg)
			defer api.Close()
			_, err := api.Cluster.WhoAmI(t.Context(), &sallyportv1.WhoAmIRequest{})
			return err
		}
		if err := call(here, tls.VersionTLS13); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := call(elsewhere, tls.VersionTLS13); !fault.Is(err, fault.AccessDenied) || !strings.Contains(err.Error(), "bound to another address") {
			t.Errorf("%s, stolen: %v", name, err)
		}
		// With TLS 1.2 the first message of a client says nothing about who can go on with it.
		if err := call(here, tls.VersionTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s, by TLS 1.2: %v", name, err)
		}
	}
}
