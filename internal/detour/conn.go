package detour

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// keepAliveEvery is how long a side is silent before it sends an empty message: balancers close what is idle for
// a minute. The pings of WebSocket will not do, because the library ends a connection whose ping waits for
// five seconds behind a write, and a slow reader may make it wait for longer.
const keepAliveEvery = 30 * time.Second

// Conn is a connection inside a WebSocket. Binary messages carry its bytes, however they are cut; an empty one
// keeps the connection alive. A text message, which is empty, ends the sender's direction.
//
// A deadline that passes while somebody reads or writes ends the connection, because half a message cannot be
// given up; at other times it makes what comes next fail, until it is moved, as on every net.Conn.
type Conn struct {
	ws            *websocket.Conn
	local, remote net.Addr

	reading  deadline
	readMu   sync.Mutex
	message  io.Reader // that is being read; nil between two; guarded by readMu
	readDone bool      // the other side has ended its direction; guarded by readMu

	writing   deadline
	writeMu   sync.Mutex
	writeDone bool        // CloseWrite was called; guarded by writeMu
	spoken    atomic.Bool // since the last look of the keeper

	stop   context.CancelFunc // ends the keeper
	keeper sync.WaitGroup
}

// newConn returns a connection that owns the WebSocket and shows the addresses.
func newConn(ws *websocket.Conn, local, remote net.Addr) *Conn {
	ws.SetReadLimit(-1) // messages are not kept, but passed on as they come
	ctx, stop := context.WithCancel(context.Background())
	c := &Conn{ws: ws, local: local, remote: remote, stop: stop}
	kill := func() { _ = ws.CloseNow() }
	c.reading.kill, c.writing.kill = kill, kill
	c.keeper.Go(func() { c.keepAlive(ctx) })
	return c
}

// keepAlive sends an empty message whenever nothing else was sent for a while.
func (c *Conn) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(keepAliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.spoken.Swap(false) {
			continue
		}
		// It may wait behind a write for as long as it takes; Close ends that.
		if err := c.ws.Write(context.Background(), websocket.MessageBinary, nil); err != nil {
			return
		}
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if err := c.reading.begin(); err != nil {
		return 0, err
	}
	n, err := c.read(p)
	return n, c.reading.end(err)
}

// read returns bytes of the message at hand, or of the next one that has any. The caller holds readMu.
func (c *Conn) read(p []byte) (int, error) {
	for !c.readDone {
		if c.message == nil {
			kind, message, err := c.ws.Reader(context.Background())
			if err != nil {
				return 0, ending(err)
			}
			if kind == websocket.MessageText {
				break
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, ending(err)
		}
	}
	c.readDone = true
	return 0, io.EOF
}

// ending returns io.EOF for the end of a WebSocket between two messages. What that cuts off is for the TLS
// inside to notice.
func ending(err error) error {
	status := websocket.CloseStatus(err)
	if errors.Is(err, io.EOF) || status == websocket.StatusNormalClosure || status == websocket.StatusGoingAway {
		return io.EOF
	}
	return err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return len(p), c.write(websocket.MessageBinary, p)
}

// CloseWrite ends this side's direction; the other one goes on.
func (c *Conn) CloseWrite() error { return c.write(websocket.MessageText, nil) }

func (c *Conn) write(kind websocket.MessageType, p []byte) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.writeDone {
		return net.ErrClosed
	}
	if err := c.writing.begin(); err != nil {
		return err
	}
	c.spoken.Store(true)
	c.writeDone = kind == websocket.MessageText
	return c.writing.end(c.ws.Write(context.Background(), kind, p))
}

// Close implements net.Conn. It does not wait for the other side.
func (c *Conn) Close() error {
	c.stop()
	c.reading.set(time.Time{})
	c.writing.set(time.Time{})
	err := c.ws.CloseNow()
	c.keeper.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.reading.set(t)
	c.writing.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.reading.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writing.set(t)
	return nil
}

// deadline is that of one direction.
type deadline struct {
	kill func() // ends the connection

	mu     sync.Mutex
	timer  *time.Timer // nil when there is none to come; guarded by mu
	passed bool        // guarded by mu
	busy   bool        // somebody reads or writes; guarded by mu
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer, d.passed = nil, false
	wait := time.Until(t)
	if !t.IsZero() && wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			if d.timer != timer { // moved meanwhile
				d.mu.Unlock()
				return
			}
			d.pass()
		})
		d.timer = timer
	}
	if t.IsZero() || wait > 0 {
		d.mu.Unlock()
		return
	}
	d.pass()
}

// pass notes that the time has come, and gives up mu.
func (d *deadline) pass() {
	d.passed = true
	busy := d.busy
	d.mu.Unlock()
	if busy {
		d.kill()
	}
}

func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed {
		return os.ErrDeadlineExceeded
	}
	d.busy = true
	return nil
}

func (d *deadline) end(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	if err != nil && d.passed {
		return os.ErrDeadlineExceeded
	}
	return err
}
