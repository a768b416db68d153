package clustertest_test

import (
	"context"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"sallyport/internal/ca"
	"sallyport/internal/clustertest"
	"sallyport/internal/route"
)

// toProxy dials the proxy, whatever name the driver was given for TLS.
type toProxy string

func (p toProxy) Dial(network, _ string) (net.Conn, error) { return net.Dial(network, string(p)) }

func (p toProxy) DialTimeout(network, _ string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout(network, string(p), timeout)
}

func (p toProxy) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, string(p))
}

// TestLibPQWithFiles uses the other Go driver the native way: certificate files, and the database's name in
// TLS.
func TestLibPQWithFiles(t *testing.T) {
	t.Parallel()
	s := newScene(t, clustertest.Options{})
	works(t, s.session(t, "orders"))
	login, err := databaseLogin(t, s.Cluster, s.alice, "orders", "postgres", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, err := ca.EncodeKey(login.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"key": key, "crt": ca.EncodeCertificate(login.Certificate().Certificate[0]), "cas": login.AuthoritiesPEM(ca.HostCA)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	connector, err := pq.NewConnector(strings.Join([]string{
		"host=" + route.ServerName("orders", clustertest.ClusterName), "user=postgres", "dbname=postgres", "sslmode=verify-full",
		"sslkey=" + dir + "/key", "sslcert=" + dir + "/crt", "sslrootcert=" + dir + "/cas",
	}, " "))
	if err != nil {
		t.Fatal(err)
	}
	connector.Dialer(toProxy(s.Proxy))
	db := sql.OpenDB(connector)
	defer db.Close()
	rows, err := db.Query("select i, $1::text from generate_series(1, 3) i /* lib/pq */", "bound")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var i int
		var text string
		if err := rows.Scan(&i, &text); err != nil || text != "bound" {
			t.Fatalf("%q, %v", text, err)
		}
		n++
	}
	if rows.Err() != nil || n != 3 {
		t.Fatalf("%d rows, %v", n, rows.Err())
	}
}
