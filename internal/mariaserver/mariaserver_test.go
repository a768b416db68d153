//go:build unix

package mariaserver_test

import (
	"crypto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/ca"
	"sallyport/internal/mariaserver"
	"sallyport/internal/realserver"
)

func TestMain(m *testing.M) { realserver.Main(m) }

// TestOnlyTheRightCertificateOpensAnAccount checks what tests of the engine rely on.
func TestOnlyTheRightCertificateOpensAnAccount(t *testing.T) {
	t.Parallel()
	s := mariaserver.Start(t, mariaserver.Options{})
	s.Exec(t, "create user app require subject '/CN=app'")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), s.DatabaseCA.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.Addr, ":")
	logIn := func(args ...string) (string, error) {
		cmd := exec.Command("mariadb", append([]string{"--no-defaults", "--host=127.0.0.1", "--port=" + port, "--user=app",
			"--ssl-ca=" + filepath.Join(dir, "ca.pem"), "--ssl-verify-server-cert", "-Ne", "select current_user()"}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for account, lets := range map[string]bool{"app": true, "other": false} {
		cert := s.ClientCertificate(t, account)
		key, err := ca.EncodeKey(cert.PrivateKey.(crypto.Signer))
		if err != nil {
			t.Fatal(err)
		}
		certFile, keyFile := filepath.Join(dir, account+".crt"), filepath.Join(dir, account+".key")
		if err := os.WriteFile(certFile, ca.EncodeCertificate(cert.Certificate[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := logIn("--ssl-cert="+certFile, "--ssl-key="+keyFile)
		if (err == nil) != lets || lets && strings.TrimSpace(out) != "app@%" {
			t.Errorf("with the certificate of %s: %v, %s", account, err, out)
		}
	}
	if out, err := logIn(); err == nil {
		t.Errorf("without a certificate: %s", out)
	}
	s.Stop(t)
	s.Start(t)
	if got := s.Exec(t, "select 1+1"); got != "2" {
		t.Errorf("after a restart: %q", got)
	}
}

// TestTemporaryTablesAreEachServersOwn: one that starts deletes those that it finds.
func TestTemporaryTablesAreEachServersOwn(t *testing.T) {
	t.Parallel()
	one, other := mariaserver.Start(t, mariaserver.Options{}), mariaserver.Start(t, mariaserver.Options{})
	const where = "select @@tmpdir"
	if at := one.Exec(t, where); at == os.TempDir() || at == other.Exec(t, where) {
		t.Errorf("they are all in %s", at)
	}
}
