package mongodb_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mongodb/mongotest"
	"sallyport/internal/resource"
)

// TestTrust has agents and servers that do not trust each other, and a server that speaks no TLS: nothing is said to it.
func TestTrust(t *testing.T) {
	t.Parallel()
	other := mongotest.Start(t, mongotest.Options{})
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	heard := make(chan []byte, 1)
	go func() {
		conn, err := plain.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		said, _ := io.ReadAll(conn)
		heard <- said
	}()
	for name, c := range map[string]struct {
		change func(*enginetest.Config)
		text   string
	}{
		"the server's authority is not known": {func(c *enginetest.Config) { c.Database.Spec.TLS.CACert = string(other.Authority.CertPEM()) }, "signed by an unknown authority"},
		"the server's name is another":        {func(c *enginetest.Config) { c.Database.Spec.TLS.ServerName = "db.example.com" }, "is for another name than"},
		"the server does not know our authority": {func(c *enginetest.Config) {
			c.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
				return &cred.Credential{User: account, Certificate: other.ClientCertificate(t, account)}, nil
			})
		}, "Database cannot validate client certificate"},
		"we have no certificate": {func(c *enginetest.Config) {
			c.Credentials = enginetest.AccountsOnly
		}, "Database cannot validate client certificate"},
		"the server speaks no TLS": {func(c *enginetest.Config) { c.Database.Spec.URI = plain.Addr().String() }, "what is there does not speak TLS; check that its uri leads to a server that speaks mongodb, and to its port for TLS"},
		"a password, without verification": {func(c *enginetest.Config) {
			c.Database.Spec.TLS.Mode = resource.TLSInsecure
			c.Credentials = enginetest.Given(cred.Credential{Password: "secret"})
		}, "set tls.mode to verify-full"},
		"a password": {func(c *enginetest.Config) {
			credentials := c.Credentials.(enginetest.Certificates)
			c.Credentials = enginetest.Certificates(func(account string) (*cred.Credential, error) {
				credential, err := credentials(account)
				credential.Password = "secret"
				return credential, err
			})
		}, "with a password, which the engine for MongoDB does not do"},
	} {
		agent, server := small(t, mongotest.Options{}, c.change)
		client := connectRaw(t, agent)
		if err := client.enter(patience(t), hello()); err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		v := agent.Visit(t, 0)
		if err := v.Wait(t); err == nil {
			t.Errorf("%s: the engine returned no error", name)
		}
		if len(server.Logins()) > 0 {
			t.Errorf("%s: a login", name)
		}
	}
	if said := <-heard; len(said) > 0 && said[0] != 0x16 && said[0] != 0x15 || strings.Contains(string(said), "isMaster") {
		t.Errorf("to a server without TLS was said %q", said)
	}
}

// TestStrangeAccounts has accounts whose names servers write in another way.
func TestStrangeAccounts(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"alice@example.com", "a, b", `a"b\\c`, "#1", "a+b=c", " a ", "ünï"} {
		agent, server := small(t, mongotest.Options{})
		agent.Expect(account, "orders")
		client := connectRaw(t, agent)
		if _, err := client.run(patience(t), hello()); err != nil {
			t.Errorf("%s: %v", account, err)
		}
		if logins := server.Logins(); len(logins) != 1 || logins[0] != account {
			t.Errorf("%s: the server has logged in %q", account, logins)
		}
	}
}
