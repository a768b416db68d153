package clustertest_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"sallyport/internal/clustertest"
	"sallyport/internal/pgwire"
)

// TestStrangersCannotKillSessionsOfMySQL has somebody who read the greeting and knows the names ask in the way of PostgreSQL, for
// which no certificate is needed. All is in one process, so that the proxy hangs up when the request is done.
func TestStrangersCannotKillSessionsOfMySQL(t *testing.T) {
	t.Parallel()
	s := newMySQLScene(t, mysqlOptions{})
	db, greeted := s.openGreeted(t)
	var session *sql.Conn
	clustertest.Eventually(t, "alice connects", func() (err error) {
		session, err = db.Conn(t.Context())
		return err
	})
	t.Cleanup(func() { _ = session.Close() })
	names := sha256.Sum256(append(binary.BigEndian.AppendUint32(nil, uint32(len("alice"))), "aliceshop"...))
	const connection = 2 // what to kill
	stranger, err := net.Dial("tcp", s.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write(pgwire.CancelRequest(greeted.number(t), append(names[:], connection))); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(stranger); err != nil || len(answer) > 0 {
		t.Fatalf("answered %q, %v", answer, err)
	}
	if err := session.PingContext(t.Context()); err != nil {
		t.Errorf("a stranger ended alice's session: %v", err)
	}
}
