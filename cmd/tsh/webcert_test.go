package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sallyport/internal/ca"
	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/terminal"
)

// certify returns a certificate and its key; signed by its own key, or by that of another one.
func certify(t *testing.T, template *x509.Certificate, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	cert, key, err := ca.SelfSigned(template, terminal.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	made := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	if parent == nil {
		return made
	}
	authority, err := x509.ParseCertificate(parent.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(nil, template, authority, key.Public(), parent.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	made.Certificate = [][]byte{der}
	return made
}

// atProxy returns an account that does not verify the certificate which its proxy shows.
func atProxy(t *testing.T, shown *tls.Certificate) *account {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*shown}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(context.WithoutCancel(t.Context()))
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-served
	})
	home, err := client.OpenHome(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	credentials := &client.Credentials{Identity: &identity.Identity{Name: "alice", Cluster: "demo.local"}}
	return &account{insecure: true, proxy: address, tsh: "tsh", profile: home.ForIdentity("alice.pem", address, credentials)}
}

func TestCommandsForMariaDBOfInsecureLogins(t *testing.T) {
	t.Parallel()
	names := func(host string) *x509.Certificate { return &x509.Certificate{DNSNames: []string{host}} }
	here := func() *x509.Certificate { return &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}} }
	authority := certify(t, &x509.Certificate{IsCA: true, Subject: pkix.Name{CommonName: "authority"}}, nil)
	signed := certify(t, here(), authority)
	complete := *signed
	complete.Certificate = append(complete.Certificate[:1:1], authority.Certificate...)
	for rule, test := range map[string]struct {
		shown *tls.Certificate
		told  string // in place of verifying
	}{
		"signed by itself":                  {certify(t, here(), nil), ""},
		"shown with an authority":           {&complete, ""},
		"of another host":                   {certify(t, names("elsewhere.example.com"), nil), "cannot validate certificate for 127.0.0.1"},
		"of an authority that is not shown": {signed, "the proxy does not show the authority of its certificate"},
	} {
		who := atProxy(t, test.shown)
		var told bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetErr(&told)
		cmd.SetContext(t.Context())
		line := who.mariadbCommand(cmd, endpoint{proxy: "127.0.0.1", port: "1", cert: "c", key: "k", user: "alice"})
		path := who.profile.WebCertificatePath()
		if verifies := strings.Contains(line, " --ssl-ca="+path+" --ssl-verify-server-cert "); verifies != (test.told == "") {
			t.Errorf("%s: %s", rule, line)
		}
		if test.told == "" {
			kept, err := os.ReadFile(path)
			if first, parsed := ca.ParseCertificates(kept); err != nil || parsed != nil || !bytes.Equal(first[0].Raw, test.shown.Certificate[0]) || told.Len() > 0 {
				t.Errorf("%s: kept %q, %v, told %q", rule, kept, err, told.String())
			}
		} else if !strings.Contains(told.String(), "WARNING: for tests only: this command verifies no certificate (") || !strings.Contains(told.String(), test.told) {
			t.Errorf("%s: told %q", rule, told.String())
		}
	}
}

// TestMariaDBOfInsecureLoginsSaysNothingInClear has the real client meet a server without TLS in place of the proxy.
func TestMariaDBOfInsecureLoginsSaysNothingInClear(t *testing.T) {
	t.Parallel()
	shown := certify(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, nil)
	who := atProxy(t, shown)
	files := t.TempDir() + "/login"
	key, err := x509.MarshalPKCS8PrivateKey(shown.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(ca.EncodeCertificate(shown.Certificate[0]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(files, text, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan []byte, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			heard <- []byte(err.Error())
			return
		}
		defer conn.Close()
		greeting := &mysqlwire.Greeting{Version: "10.11.6-MariaDB", Flags: mysqlwire.AssumedFlags | mysqlwire.PluginAuth, Nonce: make([]byte, mysqlwire.NonceSize), Method: "mysql_native_password"}
		_, _ = conn.Write(mysqlwire.AppendPacket(nil, 0, greeting.Append(nil)))
		first := make([]byte, 1024)
		n, _ := conn.Read(first)
		heard <- first[:n]
	}()
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	line := who.mariadbCommand(cmd, endpoint{proxy: host, port: port, cert: files, key: files, user: "alice"})
	out, err := exec.CommandContext(t.Context(), "sh", "-c", line+" -e 'select 1'").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SSL is required") {
		t.Errorf("%s: %s, %v", line, out, err)
	}
	if said := <-heard; len(said) > 0 {
		t.Errorf("it said %q", said)
	}
}
