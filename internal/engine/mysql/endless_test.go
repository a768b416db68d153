package mysql_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sallyport/internal/engine/enginetest"
	"sallyport/internal/engine/mysql/mysqltest"
	"sallyport/internal/inbox"
	"sallyport/internal/mysqlwire"
	"sallyport/internal/session"
)

// A client that never reads and a server that never reads are left alone by the other side, which is not read from any more.
// Time stands still until everybody waits for somebody, so that what was taken by then is all that ever is.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endless(t, func(client, database net.Conn, taken *atomic.Int64) {
			text := make([]byte, 1000)
			go func() {
				if _, _, err := mysqlwire.ReadPacket(database, 1<<20); err != nil {
					return
				}
				begin := numbered([]byte{1}, mysqltest.Column("c"), []byte{mysqlwire.HeaderEOF, 0, 0, 2, 0})
				if write(database, begin, taken) == nil {
					writeEndlessly(database, mysqlwire.AppendPacket(nil, 9, append([]byte{0xfc, 232, 3}, text...)), taken)
				}
			}()
			if _, err := client.Write(command(mysqlwire.ComQuery, "select c from endless")); err != nil {
				t.Error(err)
			}
		}, 2*inbox.Large)
	})
}

func TestServerThatNeverReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endless(t, func(client, _ net.Conn, taken *atomic.Int64) {
			go writeEndlessly(client, command(mysqlwire.ComQuery, string(make([]byte, 1000))), taken)
		}, 2*inbox.Large)
	})
}

// TestServerThatNeverAnswers reads everything. So many commands are sent ahead.
func TestServerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ping := command(mysqlwire.ComPing, "")
		endless(t, func(client, database net.Conn, taken *atomic.Int64) {
			go func() { _, _ = io.Copy(io.Discard, database) }()
			go writeEndlessly(client, ping, taken)
		}, 10_000*len(ping)+2*inbox.Large)
	})
}

func write(conn net.Conn, chunk []byte, taken *atomic.Int64) error {
	n, err := conn.Write(chunk)
	taken.Add(int64(n))
	return err
}

func writeEndlessly(conn net.Conn, chunk []byte, taken *atomic.Int64) {
	for taken.Load() < 64<<20 {
		if write(conn, chunk, taken) != nil {
			return
		}
	}
}

// endless runs a relay between the ends that it gives away, and checks how much was taken of what is written there when
// everybody waits.
func endless(t *testing.T, begin func(client, database net.Conn, taken *atomic.Int64), most int) {
	s, _ := enginetest.NewSession(t, enginetest.Config{
		Engine:      newEngine(),
		Database:    enginetest.NewDatabase(t, "mysql", "db.example.com:3306", nil),
		Credentials: enginetest.AccountsOnly,
		Dial:        func(context.Context, string, string) (net.Conn, error) { near, _ := net.Pipe(); return near, nil },
	})
	if _, err := s.Open(t.Context(), session.Want{User: "app"}); err != nil {
		t.Fatal(err)
	}
	client, clientEnd := net.Pipe()
	database, databaseEnd := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- newEngine().Relay(t.Context(), client, database, s) }()

	var taken atomic.Int64
	begin(clientEnd, databaseEnd, &taken)
	synctest.Wait()
	if got := taken.Load(); got == 0 || got > int64(most) {
		t.Errorf("%d bytes were taken", got)
	}
	for _, conn := range []net.Conn{clientEnd, databaseEnd} {
		_ = conn.Close()
	}
	<-ended
}
