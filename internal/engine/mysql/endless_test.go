package mysql_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sallyport/internal/cred"
	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/inbox"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

// A client that never reads and a server that never reads are left alone by the other side, which is not read from any more.
// Time stands still until everybody waits for somebody, so that what was taken by then is all that ever is.
func TestClientThatNeverReads(t *testing.T) { t.Parallel(); synctest.Test(t, neverReads(false)) }
func TestServerThatNeverReads(t *testing.T) { t.Parallel(); synctest.Test(t, neverReads(true)) }

func neverReads(server bool) func(t *testing.T) {
	return func(t *testing.T) {
		s, _ := enginetest.NewSession(t, enginetest.Config{
			Engine:      newEngine(),
			Database:    enginetest.NewDatabase(t, "mysql", "db.example.com:3306", nil),
			Credentials: enginetest.Certificates(func(account string) (*cred.Credential, error) { return &cred.Credential{User: account}, nil }),
			Dial:        func(context.Context, string, string) (net.Conn, error) { near, _ := net.Pipe(); return near, nil },
		})
		if _, err := s.Open(t.Context(), session.Want{User: "app"}); err != nil {
			t.Fatal(err)
		}
		client, clientEnd := net.Pipe()
		database, databaseEnd := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- newEngine().Relay(t.Context(), client, database, s) }()

		var taken atomic.Int64 // bytes of the side that talks
		endless := func(conn net.Conn, chunk []byte) {
			for taken.Load() < 256<<20 {
				n, err := conn.Write(chunk)
				if taken.Add(int64(n)); err != nil {
					return
				}
			}
		}
		text := make([]byte, 1000)
		if server {
			go endless(clientEnd, command(mysqlwire.ComQuery, string(text)))
		} else {
			go func() {
				if _, _, err := mysqlwire.ReadPacket(databaseEnd, 1<<20); err != nil {
					return
				}
				n, err := databaseEnd.Write(numbered([]byte{1}, mysqltest.Column("c"), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0}))
				if taken.Add(int64(n)); err == nil {
					endless(databaseEnd, mysqlwire.AppendPacket(nil, 9, append([]byte{0xfc, 232, 3}, text...)))
				}
			}()
			if _, err := clientEnd.Write(command(mysqlwire.ComQuery, "select c from endless")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := taken.Load(); got == 0 || got > 2*inbox.Large {
			t.Errorf("%d bytes were taken", got)
		}
		for _, conn := range []net.Conn{clientEnd, databaseEnd} {
			_ = conn.Close()
		}
		<-ended
	}
}
