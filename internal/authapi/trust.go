package authapi

import (
	"crypto/x509"
	"fmt"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/ca"
	"sallyport/internal/mtls"
)

// TrustOf reads the authorities of the cluster that an answer carries.
func TrustOf(cluster string, authorities []*sallyportv1.Authority) (*mtls.Trust, error) {
	trust := &mtls.Trust{Cluster: cluster, Authorities: make(map[ca.Type][]*x509.Certificate)}
	for _, authority := range authorities {
		for _, pem := range authority.GetCertificates() {
			cert, err := ca.ParseCertificate(pem)
			if err != nil {
				return nil, fmt.Errorf("reading %s authority: %w", authority.GetType(), err)
			}
			typ := ca.Type(authority.GetType())
			trust.Authorities[typ] = append(trust.Authorities[typ], cert)
		}
	}
	return trust, nil
}
