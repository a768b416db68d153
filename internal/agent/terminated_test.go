package agent_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/identity"
	"sallyport/internal/route"
	"sallyport/internal/tunnel"
)

// TestClientsOfWhomTheProxyHasEndedTLS have shown the certificate of this one session to it. The agent believes it no more
// than one that it was shown itself.
func TestClientsOfWhomTheProxyHasEndedTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.store(t, strings.NewReplacer("name: pinned", "name: open", "pin_source_ip: true", "").Replace(pinningRole))
	r := a.start(t, nil, database(t, "orders", nil))
	eventually(t, "the database is served", func() bool { return strings.Contains(r.visit(t, "orders", alice("orders", "open")), "allowed") })
	leaf := func(id *identity.Identity) *x509.Certificate {
		parsed, err := x509.ParseCertificate(r.auth.certificate(t, id).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	valid := leaf(alice("orders", "open"))
	host := leaf(&identity.Identity{Name: "33333333-3333-4333-8333-333333333333", Kind: identity.Host, Cluster: cluster, SystemRoles: []string{"Db"}})
	strange := *valid
	strange.Raw = append([]byte(nil), valid.Raw...)
	strange.Raw[len(strange.Raw)-1] ^= 1 // of the signature
	forged, err := x509.ParseCertificate(strange.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for rule, one := range map[string]struct {
		session *x509.Certificate
		service string
		says    string
	}{
		"a valid one":                            {valid, "orders", "allowed"},
		"one that the cluster has not signed":    {forged, "orders", ""},
		"one of a host":                          {host, "orders", "only users"},
		"one for another database":               {leaf(alice("shop", "open")), "orders", `your certificate is for database "shop"`},
		"for a database that is not served here": {valid, "shop", ""},
	} {
		ours, theirs := net.Pipe()
		var served sync.WaitGroup
		served.Go(func() {
			client := tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{*r.auth.certificate(t, alice("orders", "open"))}})
			r.ServeTerminated(t.Context(), client, one.session, route.ServerName(one.service, cluster), tunnel.Dispatch{ClientAddress: "192.0.2.1:1234", ListenerAddress: "192.0.2.2:443"})
		})
		client := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
		said, _ := io.ReadAll(client)
		_ = ours.Close()
		served.Wait()
		if one.says == "" && len(said) > 0 || !strings.Contains(string(said), one.says) {
			t.Errorf("%s: %q", rule, said)
		}
	}
}
