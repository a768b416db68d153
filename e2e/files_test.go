//go:build linux

package e2e_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/ca"
)

// setFrom sets a variable to the trimmed content of a file, or to what follows a text in it up to the end
// of the line: setfrom NAME FILE [TEXT].
func setFrom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: setfrom NAME FILE [TEXT]")
	}
	text := ts.ReadFile(args[1])
	if len(args) == 3 {
		_, after, found := strings.Cut(text, args[2])
		if !found {
			ts.Fatalf("%q is not in %s:\n%s", args[2], args[1], text)
		}
		text, _, _ = strings.Cut(after, "\n")
	}
	ts.Setenv(args[0], strings.TrimSpace(text))
}

// expand replaces $NAME by the script's variables in files.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! expand")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// webCert makes an authority of the web and a certificate: webcert HOST writes web.ca, web.crt and web.key.
func webCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: webcert HOST")
	}
	now := time.Now()
	authority, err := ca.New(ca.HostCA, "web", now)
	ts.Check(err)
	key, err := ca.GenerateKey()
	ts.Check(err)
	der, err := authority.Sign(ca.Request{
		PublicKey: key.Public(), Subject: pkix.Name{CommonName: args[0]}, Hosts: []string{args[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotAfter: now.Add(time.Hour),
	}, now)
	ts.Check(err)
	keyPEM, err := ca.EncodeKey(key)
	ts.Check(err)
	for name, content := range map[string][]byte{"web.ca": authority.CertPEM(), "web.crt": ca.EncodeCertificate(der), "web.key": keyPEM} {
		ts.Check(os.WriteFile(ts.MkAbs(name), content, 0o600))
	}
}
