package awsjoin

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"sallyport/internal/aws/endpoint"
)

// Instance is what an identity document says about an EC2 instance.
type Instance struct {
	Account, Region, ID string
	Pending             time.Time // when it was last started
}

const (
	maxIdentity = 16 << 10 // AWS sends less than 3 KiB
	minRSABits  = 2048
)

var instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// VerifyIdentity reads an identity document that is signed by the certificate of its region, as the instance metadata
// serve it at instance-identity/rsa2048: PKCS #7 in base64, with the document inside ("Instance identity documents" in the
// EC2 user guide). The certificates are asked for by region. A *Refusal says that the document is not genuine; other errors
// are those of certificates.
func VerifyIdentity(identity []byte, certificates func(region string) ([]*x509.Certificate, error)) (Instance, error) {
	signed, err := parsePKCS7(identity)
	if err != nil {
		return Instance{}, err
	}
	// What is read here is believed only when the certificate of that very region has signed it.
	instance, err := parseDocument(signed.Content)
	if err != nil {
		return Instance{}, err
	}
	trusted, err := certificates(instance.Region)
	if err != nil {
		return Instance{}, err
	}
	for _, cert := range trusted {
		if verify(signed, cert) == nil {
			return instance, nil
		}
	}
	return Instance{}, refuse("the identity document of %s is not signed by a trusted certificate of region %s", instance.ID, instance.Region)
}

// parsePKCS7 takes the base64 and the PKCS #7 apart.
func parsePKCS7(identity []byte) (signed *pkcs7.PKCS7, err error) {
	if len(identity) > maxIdentity {
		return nil, refuse("the identity document is longer than %d bytes", maxIdentity)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(identity)), ""))
	if err != nil {
		return nil, refuse("the identity document is not base64")
	}
	defer func() { // the library reads some broken lengths past the end
		if recover() != nil {
			signed, err = nil, refuse("the identity document is not PKCS #7")
		}
	}()
	if signed, err = pkcs7.Parse(der); err != nil {
		return nil, refuse("the identity document is not PKCS #7: %v", err)
	}
	if len(signed.Signers) != 1 {
		return nil, refuse("the identity document has %d signatures and must have one", len(signed.Signers))
	}
	return signed, nil
}

// verify checks the signature against a certificate, never one that the document brings along, and with RSA and SHA-256
// only.
func verify(signed *pkcs7.PKCS7, cert *x509.Certificate) error {
	signer := signed.Signers[0]
	if !signer.DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256) {
		return errors.New("the digest is not SHA-256")
	}
	if algorithm := signer.DigestEncryptionAlgorithm.Algorithm; !algorithm.Equal(pkcs7.OIDEncryptionAlgorithmRSA) && !algorithm.Equal(pkcs7.OIDEncryptionAlgorithmRSASHA256) {
		return errors.New("the signature is not RSA")
	}
	signed.Certificates = []*x509.Certificate{cert}
	return signed.Verify()
}

// parseDocument reads an identity document.
func parseDocument(text []byte) (Instance, error) {
	document, err := parseObject(text)
	if err != nil {
		return Instance{}, refuse("the identity document cannot be read: %v", err)
	}
	instance := Instance{Account: document.text("accountId"), Region: document.text("region"), ID: document.text("instanceId")}
	instance.Pending, err = time.Parse(time.RFC3339, document.text("pendingTime"))
	if err != nil || !endpoint.IsAccount(instance.Account) || !instanceID.MatchString(instance.ID) || !endpoint.IsRegion(instance.Region) {
		return Instance{}, refuse("the identity document names no instance")
	}
	return instance, nil
}

// checkCertificate refuses certificates with which AWS does not sign at rsa2048.
func checkCertificate(cert *x509.Certificate) error {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minRSABits {
		return fmt.Errorf("the certificate with serial number %s has no RSA key of at least %d bits; take those that the EC2 user guide lists under RSA-2048", cert.SerialNumber, minRSABits)
	}
	return nil
}
