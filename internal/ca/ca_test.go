package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ca"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T, typ ca.Type) *ca.Authority {
	t.Helper()
	authority, err := ca.New(typ, "test.local", now)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ca.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign has a certificate signed and reads it.
func sign(t *testing.T, authority *ca.Authority, req ca.Request) *x509.Certificate {
	t.Helper()
	der, err := authority.Sign(req, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAuthoritiesAreAuthoritiesAndNothingElse(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range ca.Types {
		cert := newAuthority(t, typ).Cert
		if !cert.IsCA || !cert.BasicConstraintsValid || !cert.MaxPathLenZero || cert.MaxPathLen != 0 {
			t.Errorf("%s: an authority signs leaves, and no authorities: CA %v, path length %d", typ, cert.IsCA, cert.MaxPathLen)
		}
		if cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(cert.ExtKeyUsage) > 0 {
			t.Errorf("%s: usages %b, %v", typ, cert.KeyUsage, cert.ExtKeyUsage)
		}
		if !cert.NotBefore.Equal(now.Add(-time.Minute)) || !cert.NotAfter.Equal(now.Add(ca.Lifetime)) {
			t.Errorf("%s: valid from %s to %s", typ, cert.NotBefore, cert.NotAfter)
		}
		if want := "CN=test.local " + string(typ) + ",O=test.local"; cert.Subject.String() != want {
			t.Errorf("%s: subject %s, want %s", typ, cert.Subject, want)
		}
		if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() || cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
			t.Errorf("%s: %T signed with %s", typ, cert.PublicKey, cert.SignatureAlgorithm)
		}
		if pin := ca.Pin(cert); seen[pin] || !strings.HasPrefix(pin, "sha256:") || len(pin) != len("sha256:")+64 {
			t.Errorf("%s: pin %s", typ, pin)
		} else {
			seen[pin] = true
		}
	}
}

func TestLeavesSayWhatWasAskedForAndNothingElse(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t, ca.HostCA)
	extension := pkix.Extension{Id: []int{2, 25, 1}, Value: []byte("x")}
	cert := sign(t, authority, ca.Request{
		PublicKey: newKey(t).Public(), Subject: pkix.Name{CommonName: "host"}, NotAfter: now.Add(time.Hour),
		Hosts: []string{"db.example.com", "192.0.2.1", "2001:db8::1"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Extensions: []pkix.Extension{extension},
	})
	if cert.IsCA || !cert.BasicConstraintsValid {
		t.Error("it does not say that it is no authority")
	}
	if cert.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) || len(cert.UnknownExtKeyUsage) > 0 {
		t.Errorf("usages %b, %v, %v", cert.KeyUsage, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
	}
	addresses := []net.IP{net.IPv4(192, 0, 2, 1).To4(), net.ParseIP("2001:db8::1")}
	if !slices.Equal(cert.DNSNames, []string{"db.example.com"}) || !slices.EqualFunc(cert.IPAddresses, addresses, net.IP.Equal) || len(cert.URIs)+len(cert.EmailAddresses) > 0 {
		t.Errorf("names %v, %v, %v, %v", cert.DNSNames, cert.IPAddresses, cert.URIs, cert.EmailAddresses)
	}
	if !cert.NotBefore.Equal(now.Add(-time.Minute)) || !cert.NotAfter.Equal(now.Add(time.Hour)) {
		t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
	}
	if cert.Subject.String() != "CN=host" || cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Errorf("subject %s, signed with %s", cert.Subject, cert.SignatureAlgorithm)
	}
	known := []string{
		"2.5.29.15", "2.5.29.37", "2.5.29.19", "2.5.29.35", "2.5.29.17", // usages, constraints, signer, names (RFC 5280, section 4.2.1)
		extension.Id.String(),
	}
	for _, found := range cert.Extensions {
		if !slices.Contains(known, found.Id.String()) {
			t.Errorf("it has the extension %s", found.Id)
		}
	}
	if err := cert.CheckSignatureFrom(authority.Cert); err != nil {
		t.Error(err)
	}
	for _, other := range []*ca.Authority{newAuthority(t, ca.HostCA), newAuthority(t, ca.UserCA)} {
		if cert.CheckSignatureFrom(other.Cert) == nil {
			t.Errorf("it passes for one of another authority, %s", other.Cert.Subject)
		}
	}
	plain := sign(t, authority, ca.Request{PublicKey: newKey(t).Public(), NotAfter: now.Add(time.Hour)})
	if len(plain.DNSNames)+len(plain.IPAddresses)+len(plain.ExtKeyUsage) > 0 {
		t.Errorf("names %v, %v and usages %v that nobody asked for", plain.DNSNames, plain.IPAddresses, plain.ExtKeyUsage)
	}
}

func TestLeavesEndInTime(t *testing.T) {
	t.Parallel()
	authority, key := newAuthority(t, ca.UserCA), newKey(t).Public()
	for name, c := range map[string]struct{ asked, got time.Time }{
		"within the authority's life": {now.Add(time.Hour), now.Add(time.Hour)},
		"beyond it":                   {now.Add(2 * ca.Lifetime), authority.Cert.NotAfter},
	} {
		if cert := sign(t, authority, ca.Request{PublicKey: key, NotAfter: c.asked}); !cert.NotAfter.Equal(c.got) {
			t.Errorf("%s: ends at %s, want %s", name, cert.NotAfter, c.got)
		}
	}
	for name, end := range map[string]time.Time{"now": now, "in the past": now.Add(-time.Second), "never": {}} {
		if _, err := authority.Sign(ca.Request{PublicKey: key, NotAfter: end}, now); err == nil {
			t.Errorf("one that ends %s was signed", name)
		}
	}
}

// TestSerialNumbersAreRandom has numbers of more than the 64 random bits that certificates of the web need (CA/Browser
// Forum, Baseline Requirements, section 7.1), positive and of at most 20 octets (RFC 5280, section 4.1.2.2).
func TestSerialNumbersAreRandom(t *testing.T) {
	t.Parallel()
	authority, key := newAuthority(t, ca.UserCA), newKey(t).Public()
	const n = 64
	seen := map[string]bool{}
	ones, zeros := new(big.Int), new(big.Int) // bits that were set, or clear, in any of them
	for range n {
		serial := sign(t, authority, ca.Request{PublicKey: key, NotAfter: now.Add(time.Hour)}).SerialNumber
		if serial.Sign() <= 0 || serial.BitLen() > 159 || seen[serial.String()] {
			t.Fatalf("number %s", serial)
		}
		seen[serial.String()] = true
		ones.Or(ones, serial)
		zeros.Or(zeros, new(big.Int).Not(serial))
	}
	varying := 0
	for bit := range 159 {
		if ones.Bit(bit) == 1 && zeros.Bit(bit) == 1 {
			varying++
		}
	}
	if varying < 120 {
		t.Errorf("only %d bits of the numbers vary", varying)
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t, ca.UserCA)
	curve := func(c elliptic.Curve) crypto.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key.Public()
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	modulus := func(bits uint) crypto.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1) // as long as a key of that many bits; nobody signs with it
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
	}
	for name, c := range map[string]struct {
		key crypto.PublicKey
		ok  bool
	}{
		"P-224":         {curve(elliptic.P224()), false},
		"P-256":         {curve(elliptic.P256()), true},
		"P-384":         {curve(elliptic.P384()), true},
		"Ed25519":       {edwards, true},
		"RSA 1024":      {modulus(1024), false},
		"RSA 2047":      {modulus(2047), false},
		"RSA 2048":      {modulus(2048), true},
		"of no kind":    {nil, false},
		"a private key": {newKey(t), false},
	} {
		_, err := authority.Sign(ca.Request{PublicKey: c.key, NotAfter: now.Add(time.Hour)}, now)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		der, err := x509.MarshalPKIXPublicKey(c.key)
		if err != nil {
			continue
		}
		if _, err := ca.ParsePublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); (err == nil) != c.ok {
			t.Errorf("%s, read: %v", name, err)
		}
	}
}

func TestAuthoritiesAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	made := newAuthority(t, ca.ClientCA)
	key, err := made.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ca.Load(ca.ClientCA, made.CertPEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(t, read, ca.Request{PublicKey: newKey(t).Public(), NotAfter: now.Add(time.Hour)}).CheckSignatureFrom(made.Cert); err != nil {
		t.Error(err)
	}
	if strings.Contains(string(made.CertPEM()), "PRIVATE") {
		t.Error("the certificate comes with the key")
	}
	for name, c := range map[string]struct{ cert, key []byte }{
		"no certificate":     {nil, key},
		"no key":             {made.CertPEM(), nil},
		"they are exchanged": {key, made.CertPEM()},
		"a broken key":       {made.CertPEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})},
	} {
		if _, err := ca.Load(ca.ClientCA, c.cert, c.key); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}
