package fakeaws

import (
	"net/http"
	"regexp"
)

// TrustStore is where RDS publishes its authorities, "Using SSL/TLS to encrypt a connection to a DB instance" in the RDS
// user guide.
const TrustStore = "truststore.pki.rds.amazonaws.com"

// bundles are where AWS publishes authorities of databases: hosts and paths. Here they are this world's one authority.
var bundles = map[string]*regexp.Regexp{
	TrustStore: regexp.MustCompile(`^/([a-z0-9-]+)/([a-z0-9-]+)-bundle\.pem$`),
	// "ElastiCache in-transit encryption (TLS)" in the ElastiCache user guide.
	"www.amazontrust.com": regexp.MustCompile(`^/repository/AmazonRootCA1\.pem$`),
	// "Configuring security options for connections" in the Redshift management guide.
	"s3.amazonaws.com": regexp.MustCompile(`^/redshift-downloads/amazon-trust-ca-bundle\.crt$`),
}

// serveBundle answers what is asked of a publisher of authorities, and says whether the request was of one.
func (w *World) serveBundle(out http.ResponseWriter, r *http.Request) bool {
	paths := bundles[r.Host]
	if paths == nil {
		return false
	}
	found := paths.FindStringSubmatch(r.URL.Path)
	if r.Method != http.MethodGet || found == nil || len(found) == 3 && found[1] != found[2] { // the region is named twice
		http.NotFound(out, r)
		return true
	}
	out.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = out.Write(w.authority.PEM()) // a client that went away has no use for it
	return true
}
