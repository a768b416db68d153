package awsjoin_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"sallyport/internal/aws/awsjoin"
	"sallyport/internal/aws/fakeaws"
)

// authority is a key with a self-signed certificate. All of them have the same name and serial number, so that only keys
// tell them apart.
type authority struct {
	key  any
	cert *x509.Certificate
}

func newAuthority(t testing.TB, key any, public any) authority {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{Organization: []string{"Amazon Web Services LLC"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, cert}
}

func newRSA(t testing.TB, bits int) authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return newAuthority(t, key, key.Public())
}

// twoRegions are the authorities of us-west-1 and us-west-2.
var twoRegions = sync.OnceValue(func() map[string]authority {
	t := &testing.T{}
	return map[string]authority{"us-west-1": newRSA(t, 2048), "us-west-2": newRSA(t, 2048)}
})

func trusted(region string) ([]*x509.Certificate, error) {
	if one, ok := twoRegions()[region]; ok {
		return []*x509.Certificate{one.cert}, nil
	}
	return awsjoin.Certificates("").For(region)
}

const document = `{"accountId":"111111111111","billingProducts":null,"instanceId":"i-0123456789abcdef0","pendingTime":"2026-01-02T03:04:05Z","region":"us-west-1","version":"2017-09-30"}`

// signed is a document as the instance metadata serve it.
func signed(t testing.TB, text string, digest asn1.ObjectIdentifier, by ...authority) []byte {
	t.Helper()
	data, err := pkcs7.NewSignedData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	data.SetDigestAlgorithm(digest)
	for _, one := range by {
		if err := data.AddSigner(one.cert, one.key.(crypto.PrivateKey), pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	der, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return encode(der)
}

func encode(der []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(der)) }

func decode(t testing.TB, identity []byte) []byte {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(identity)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// indefinite writes the outer levels of DER in BER's form without lengths and cuts the document in two, as AWS does.
func indefinite(t testing.TB, der []byte, depth int) []byte {
	t.Helper()
	var out []byte
	for len(der) > 0 {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(der, &value)
		if err != nil {
			t.Fatal(err)
		}
		der = rest
		switch {
		case value.Class == asn1.ClassUniversal && value.Tag == asn1.TagOctetString && bytes.HasPrefix(value.Bytes, []byte(`{"accountId"`)):
			out = append(out, 0x24, 0x80)
			for _, part := range [][]byte{value.Bytes[:40], value.Bytes[40:]} {
				text, err := asn1.Marshal(part)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, text...)
			}
			out = append(out, 0, 0)
		case value.IsCompound && depth < 5 && (value.Class == asn1.ClassUniversal || depth != 3): // there the certificates are
			out = append(append(append(out, value.FullBytes[0], 0x80), indefinite(t, value.Bytes, depth+1)...), 0, 0)
		default:
			out = append(out, value.FullBytes...)
		}
	}
	return out
}

func TestIdentityDocumentsOfTheirRegionAreGenuine(t *testing.T) {
	want := awsjoin.Instance{Account: "111111111111", Region: "us-west-1", ID: "i-0123456789abcdef0", Pending: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	good := signed(t, document, pkcs7.OIDDigestAlgorithmSHA256, twoRegions()["us-west-1"])
	streamed := indefinite(t, decode(t, good), 0)
	if !bytes.HasPrefix(streamed, []byte{0x30, 0x80}) || bytes.Contains(streamed, []byte(document)) {
		t.Fatalf("not as AWS encodes it: %x", streamed)
	}
	for name, identity := range map[string][]byte{
		"with lengths":    good,
		"without lengths": encode(streamed),
		"in lines":        append(append(bytes.Clone(good[:64]), '\n'), good[64:]...),
		"another region":  signed(t, strings.Replace(document, "us-west-1", "us-west-2", 1), pkcs7.OIDDigestAlgorithmSHA256, twoRegions()["us-west-2"]),
	} {
		got, err := awsjoin.VerifyIdentity(identity, trusted)
		want := want
		if name == "another region" {
			want.Region = "us-west-2"
		}
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTheLocalAWSSignsAsAWSDoes(t *testing.T) {
	world, err := fakeaws.New(fakeaws.Config{})
	if err != nil {
		t.Fatal(err)
	}
	instance := world.AddInstance(&fakeaws.Instance{Account: world.Account("aws", "111111111111")})
	text, err := world.IdentityCertificate()
	if err != nil {
		t.Fatal(err)
	}
	dir := awsjoin.Certificates(t.TempDir())
	if err := os.WriteFile(filepath.Join(string(dir), "us-west-1.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	out := httptest.NewRecorder()
	instance.ServeHTTP(out, httptest.NewRequest("GET", "/latest/dynamic/instance-identity/rsa2048", nil))
	got, err := awsjoin.VerifyIdentity(out.Body.Bytes(), dir.For)
	if err != nil || got.ID != instance.ID || got.Account != "111111111111" || time.Since(got.Pending) > time.Minute {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestForgedIdentityDocumentsAreRefused(t *testing.T) {
	west, other := twoRegions()["us-west-1"], twoRegions()["us-west-2"]
	weak := func() authority {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return newAuthority(t, key, key.Public())
	}()
	sha := pkcs7.OIDDigestAlgorithmSHA256
	good := signed(t, document, sha, west)
	changed := func(old, new string) []byte {
		der := decode(t, good)
		if !bytes.Contains(der, []byte(old)) || len(old) != len(new) {
			t.Fatalf("%s is not in the document", old)
		}
		return encode(bytes.ReplaceAll(der, []byte(old), []byte(new)))
	}
	text := func(old, new string) []byte { return signed(t, strings.Replace(document, old, new, 1), sha, west) }
	const unsigned, none = "is not signed by a trusted certificate of region us-west-1", "names no instance"
	for name, one := range map[string]struct {
		identity []byte
		want     string
	}{
		"signed by a key of one's own":       {signed(t, document, sha, newRSA(t, 2048)), unsigned},
		"signed by the key of a region":      {signed(t, document, sha, other), unsigned},
		"a region without certificates":      {text("us-west-1", "eu-west-1"), "there are no certificates"},
		"another account":                    {changed("111111111111", "222222222222"), unsigned},
		"another instance":                   {changed("i-0123456789abcdef0", "i-0123456789abcdef1"), unsigned},
		"a later start":                      {changed("2026-01-02", "2026-01-03"), unsigned},
		"the region of another key":          {changed("us-west-1", "us-west-2"), "trusted certificate of region us-west-2"},
		"without a signature":                {signed(t, document, sha), "has 0 signatures"},
		"with a second signature":            {signed(t, document, sha, west, other), "has 2 signatures"},
		"with SHA-1":                         {signed(t, document, pkcs7.OIDDigestAlgorithmSHA1, west), unsigned},
		"with an elliptic curve":             {signed(t, document, sha, weak), unsigned},
		"an account twice":                   {text(`{`, `{"accountId":"222222222222",`), "twice"},
		"an account in small letters":        {text(`accountId`, `accountid`), none},
		"a path as region":                   {text("us-west-1", "../us-west-1"), none},
		"an instance that is none":           {text("i-0123456789abcdef0", "i-../x"), none},
		"no start":                           {text("pendingTime", "x"), none},
		"no JSON":                            {signed(t, "x", sha, west), "cannot be read"},
		"the document without its signature": {encode([]byte(document)), "is not PKCS #7"},
		"no base64":                          {[]byte("{}"), "is not base64"},
		"nothing":                            {nil, "is not PKCS #7"},
		"huge":                               {bytes.Repeat([]byte("A"), 20<<10), "longer than"},
		"cut off":                            {good[:len(good)/2/4*4], "is not PKCS #7"},
	} {
		got, err := awsjoin.VerifyIdentity(one.identity, trusted)
		if _, refused := errors.AsType[*awsjoin.Refusal](err); !refused || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCertificatesAreThoseOfADirectory(t *testing.T) {
	pemOf := func(one authority) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.cert.Raw}))
	}
	good, small := pemOf(twoRegions()["us-west-1"]), pemOf(newRSA(t, 1024))
	for name, one := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one":                     {map[string]string{"us-west-1.pem": good}, ""},
		"two in a file":           {map[string]string{"us-west-1.pem": good + good}, ""},
		"beside another file":     {map[string]string{"us-west-1.pem": good, "README": "x"}, ""},
		"none":                    {nil, "holds no certificate"},
		"one with another name":   {map[string]string{"aws.pem": good}, "is not named after a region"},
		"one that is none":        {map[string]string{"us-west-1.pem": "x"}, "something else than certificates"},
		"one with something else": {map[string]string{"us-west-1.pem": good + "x"}, "something else than certificates"},
		"one with a short key":    {map[string]string{"us-west-1.pem": small}, "no RSA key of at least 2048 bits"},
	} {
		dir := t.TempDir()
		for file, text := range one.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := awsjoin.Certificates(dir).Check()
		if (err == nil) != (one.want == "") || !strings.Contains(fmt.Sprint(err), one.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := awsjoin.Certificates(filepath.Join(t.TempDir(), "none")).Check(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// FuzzIdentity gives auth anything as an identity document.
func FuzzIdentity(f *testing.F) {
	good := decode(f, signed(f, document, pkcs7.OIDDigestAlgorithmSHA256, twoRegions()["us-west-1"]))
	f.Add(good)
	f.Add(indefinite(f, good, 0))
	f.Add([]byte{0x30, 0x80, 0x1f})
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 4000))
	want := awsjoin.Instance{Account: "111111111111", Region: "us-west-1", ID: "i-0123456789abcdef0", Pending: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.Fuzz(func(t *testing.T, der []byte) {
		begin := time.Now()
		got, err := awsjoin.VerifyIdentity(encode(der), trusted)
		if err == nil && got != want {
			t.Fatalf("forged: %+v", got)
		}
		if _, refused := errors.AsType[*awsjoin.Refusal](err); err != nil && !refused {
			t.Fatalf("%v", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Fatalf("took %s", took)
		}
	})
}
