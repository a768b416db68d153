package fakeaws

import (
	"net/http"
	"strings"
)

// TrustStore is where RDS publishes its authorities, "Using SSL/TLS to encrypt a connection to a DB instance" in the RDS
// user guide. Here they are this world's one authority.
const TrustStore = "truststore.pki.rds.amazonaws.com"

// RedshiftTrustStore and RedshiftBundle are where Redshift publishes its authorities, "Connecting using SSL" in the
// Redshift management guide.
const (
	RedshiftTrustStore = "s3.amazonaws.com"
	RedshiftBundle     = "/redshift-downloads/amazon-trust-ca-bundle.crt"
)

func (w *World) serveTrustStore(out http.ResponseWriter, r *http.Request) {
	region, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	ofRedshift := r.Host == RedshiftTrustStore && r.URL.Path == RedshiftBundle
	if r.Method != http.MethodGet || !ofRedshift && (r.Host != TrustStore || region == "" || file != region+"-bundle.pem") {
		http.NotFound(out, r)
		return
	}
	out.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = out.Write(w.authority.PEM()) // a client that went away has no use for it
}
