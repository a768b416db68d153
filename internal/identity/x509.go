package identity

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
)

// extensionOID is the private extension that carries an Identity: an arc under 2.25 (ITU-T X.667),
// where everyone may allocate without a registry by using a UUID as the number. Only its first 28 bits
// are used, so that every ASN.1 library can hold it.
var extensionOID = asn1.ObjectIdentifier{2, 25, 190214753, 1}

// maxExtension bounds the size of the extension that is read, in bytes.
const maxExtension = 128 << 10

// Subject returns the certificate subject that shows the identity to people.
func (id *Identity) Subject() pkix.Name {
	return pkix.Name{CommonName: id.Name, Organization: []string{id.Cluster}}
}

// Extension returns the identity as a certificate extension.
func (id *Identity) Extension() (pkix.Extension, error) {
	if err := id.check(); err != nil {
		return pkix.Extension{}, err
	}
	value, err := json.Marshal(id)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding identity: %w", err)
	}
	if len(value) > maxExtension {
		return pkix.Extension{}, fmt.Errorf("identity of %d bytes exceeds %d", len(value), maxExtension)
	}
	return pkix.Extension{Id: extensionOID, Value: value}, nil
}

// FromCertificate reads the identity of a certificate whose chain the caller has verified. There is
// exactly one encoding of an identity: anything else is refused.
func FromCertificate(cert *x509.Certificate) (*Identity, error) {
	var value []byte
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(extensionOID) {
			continue
		}
		if value != nil {
			return nil, errors.New("certificate has more than one identity")
		}
		value = ext.Value
	}
	if value == nil {
		return nil, errors.New("certificate has no identity")
	}
	id, err := Decode(value)
	if err != nil {
		return nil, err
	}
	if cert.IsCA {
		return nil, errors.New("an authority's certificate is no identity")
	}
	if cert.Subject.CommonName != id.Name {
		return nil, errors.New("certificate subject and identity disagree")
	}
	id.Issued, id.Expires = cert.NotBefore, cert.NotAfter
	return id, nil
}

// Decode reads the value of the identity extension.
func Decode(value []byte) (*Identity, error) {
	if len(value) > maxExtension {
		return nil, errors.New("identity is too large")
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	var id Identity
	if err := dec.Decode(&id); err != nil {
		return nil, fmt.Errorf("decoding identity: %w", err)
	}
	again, err := json.Marshal(&id)
	if err != nil || !bytes.Equal(again, value) {
		return nil, errors.New("identity is not in its canonical encoding")
	}
	return &id, id.check()
}

func (id *Identity) check() error {
	switch {
	case id.Kind != User && id.Kind != Host:
		return fmt.Errorf("identity has unknown kind %q", id.Kind)
	case id.Cluster == "" || id.Name == "":
		return errors.New("identity lacks a cluster or a name")
	case id.Kind == User && len(id.SystemRoles) > 0:
		return errors.New("a user's identity cannot carry system roles")
	case id.Kind == Host && (len(id.Roles) > 0 || id.Route != nil):
		return errors.New("a host's identity cannot carry a user's fields")
	}
	return nil
}
