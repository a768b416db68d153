package fakeaws

import (
	"net/http"
	"strings"
)

// TrustStore is where RDS publishes its authorities, "Using SSL/TLS to encrypt a connection to a DB instance" in the RDS
// user guide. Here they are this world's one authority.
const TrustStore = "truststore.pki.rds.amazonaws.com"

func (w *World) serveTrustStore(out http.ResponseWriter, r *http.Request) {
	region, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if r.Method != http.MethodGet || region == "" || file != region+"-bundle.pem" {
		http.NotFound(out, r)
		return
	}
	out.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = out.Write(w.authority.PEM()) // a client that went away has no use for it
}
