package fakeaws

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// identitySigner signs instance identity documents, as AWS does with one certificate for each region.
type identitySigner struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// newIdentitySigner makes a self-signed certificate like those that AWS publishes.
func (w *World) newIdentitySigner() (*identitySigner, error) {
	key, err := rsa.GenerateKey(w.config.Random, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the key of instance identities: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), SignatureAlgorithm: x509.SHA256WithRSA,
		Subject:   pkix.Name{Country: []string{"US"}, Province: []string{"Washington State"}, Locality: []string{"Seattle"}, Organization: []string{"Amazon Web Services LLC"}},
		NotBefore: w.Now().Add(-time.Hour), NotAfter: w.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(w.config.Random, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &identitySigner{key, cert}, err
}

// IdentityCertificate is the certificate, in PEM, whose key signs instance identity documents.
func (w *World) IdentityCertificate() ([]byte, error) {
	signer, err := w.identitySigner()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signer.cert.Raw}), nil
}

// Document is the instance identity document.
func (i *Instance) Document() []byte {
	text, err := json.MarshalIndent(map[string]any{"accountId": i.Account.ID, "architecture": "x86_64", "availabilityZone": i.Zone,
		"billingProducts": nil, "devpayProductCodes": nil, "marketplaceProductCodes": nil, "imageId": i.Image,
		"instanceId": i.ID, "instanceType": i.Type, "kernelId": nil, "pendingTime": i.Launched.Format(time.RFC3339),
		"privateIp": i.PrivateIP, "ramdiskId": nil, "region": i.Region, "version": "2017-09-30"}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("fakeaws: %v", err)) // strings and nils always encode
	}
	return text
}

// identity serves the document, its signature (RSA with SHA-256, in base64) and the same as PKCS #7 with the document
// inside. AWS signs /pkcs7 with DSA and SHA-1; here it is the same as /rsa2048, since nobody should rely on the former.
func (i *Instance) identity(name string) (int, string) {
	document := i.Document()
	if name == "document" {
		return http.StatusOK, string(document)
	}
	signer, err := i.world.identitySigner()
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	var signature []byte
	switch name {
	case "signature":
		digest := sha256.Sum256(document)
		signature, err = rsa.SignPKCS1v15(nil, signer.key, crypto.SHA256, digest[:])
	case "pkcs7", "rsa2048":
		signature, err = signer.pkcs7(document, i.world.Now())
	default:
		return http.StatusNotFound, notFound
	}
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	i.world.mu.Lock()
	i.world.secret(signatureIn(signature)) // whoever has it can join a cluster as the instance
	i.world.mu.Unlock()
	return http.StatusOK, wrapped(signature)
}

// signatureIn is the part of an answer that nobody else could make: its end. What comes before are the document and the
// certificate, which are public.
func signatureIn(answer []byte) string {
	text := base64.StdEncoding.EncodeToString(answer)
	return text[max(0, len(text)-336):] // of 252 bytes
}

// wrapped is base64 in lines, as AWS gives it.
func wrapped(b []byte) string {
	text := base64.StdEncoding.EncodeToString(b)
	var lines bytes.Buffer
	for len(text) > 64 {
		lines.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	lines.WriteString(text)
	return lines.String()
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []any `asn1:"set"`
}

type signerInfo struct {
	Version      int
	IssuerSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	Digest     pkix.AlgorithmIdentifier
	Attributes asn1.RawValue
	Algorithm  pkix.AlgorithmIdentifier
	Signature  []byte
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content any `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version     int
	Digests     []pkix.AlgorithmIdentifier `asn1:"set"`
	Content     contentInfo
	Certificate asn1.RawValue
	Signers     []signerInfo `asn1:"set"`
}

// pkcs7 makes SignedData with the content inside and with signed attributes (RFC 2315, RFC 5652 section 5).
func (s *identitySigner) pkcs7(content []byte, now time.Time) ([]byte, error) {
	digest := sha256.Sum256(content)
	attributes, err := asn1.MarshalWithParams([]attribute{
		{oidContentType, []any{oidData}},
		{oidSigningTime, []any{now.UTC().Truncate(time.Second)}},
		{oidMessageDigest, []any{digest[:]}},
	}, "set")
	if err != nil {
		return nil, err
	}
	toSign := sha256.Sum256(attributes) // with the tag of a SET, not the implicit one it travels under
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, toSign[:])
	if err != nil {
		return nil, err
	}
	sha := pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}
	info := signerInfo{Version: 1, Digest: sha, Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}, Signature: signature}
	info.IssuerSerial.Issuer, info.IssuerSerial.Serial = asn1.RawValue{FullBytes: s.cert.RawIssuer}, s.cert.SerialNumber
	implicit := bytes.Clone(attributes)
	implicit[0] = 0xa0
	info.Attributes = asn1.RawValue{FullBytes: implicit}
	return asn1.Marshal(contentInfo{oidSignedData, signedData{Version: 1, Digests: []pkix.AlgorithmIdentifier{sha},
		Content:     contentInfo{oidData, content},
		Certificate: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: s.cert.Raw},
		Signers:     []signerInfo{info}}})
}
