package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/tunnel"
)

// world is a hub that listens, and an agent's pool that echoes.
type world struct {
	hub  *tunnel.Hub
	addr string
	pool *tunnel.Pool

	mu      sync.Mutex
	seen    []tunnel.Dispatch // guarded by mu
	verdict tunnel.Verdict    // guarded by mu
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{hub: &tunnel.Hub{}, addr: ln.Addr().String(), verdict: tunnel.Accepted}
	var parking sync.WaitGroup
	parking.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			parking.Go(func() { _ = w.hub.Park(conn, nil) })
		}
	})
	w.pool = &tunnel.Pool{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.addr)
		},
		Admit: func() tunnel.Verdict {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.verdict
		},
		Serve: func(_ context.Context, conn net.Conn, d tunnel.Dispatch) {
			w.mu.Lock()
			w.seen = append(w.seen, d)
			w.mu.Unlock()
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		},
	}
	t.Cleanup(func() {
		ln.Close()
		parking.Wait()
	})
	return w
}

// attach connects an agent and uses every ticket it gets.
func (w *world) attach(t *testing.T, host string) *tunnel.Link {
	t.Helper()
	link := w.hub.Attach(host)
	ctx, cancel := context.WithCancel(context.Background())
	var using sync.WaitGroup
	using.Go(func() {
		for ticket := range link.Tickets() {
			w.pool.Use(ctx, ctx, ticket, func(err error) { t.Errorf("using ticket: %v", err) })
		}
	})
	t.Cleanup(func() {
		link.Close()
		cancel()
		using.Wait()
		w.pool.Wait()
	})
	return link
}

func echo(conn net.Conn) error {
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != "hello" {
		err = errors.New("echo is " + string(got))
	}
	return err
}

func TestManyConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attach(t, "agent")
	var clients sync.WaitGroup
	for i := range 100 {
		clients.Go(func() {
			d := tunnel.Dispatch{Connection: tunnel.ID{byte(i)}, ClientAddress: "192.0.2.1:5", ListenerAddress: "127.0.0.1:3080"}
			conn, err := w.hub.Dispatch(t.Context(), "agent", d)
			if err != nil {
				t.Errorf("dispatch: %v", err)
				return
			}
			if err := echo(conn); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := map[tunnel.ID]bool{}
	for _, d := range w.seen {
		ids[d.Connection] = true
		if d.ClientAddress != "192.0.2.1:5" || d.ListenerAddress != "127.0.0.1:3080" {
			t.Fatalf("dispatch is %+v", d)
		}
	}
	if len(ids) != 100 {
		t.Fatalf("%d connections arrived", len(ids))
	}
}

func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.hub.Dispatch(t.Context(), "agent", tunnel.Dispatch{}); !errors.Is(err, tunnel.ErrNoAgent) {
		t.Fatalf("unknown agent: %v", err)
	}
	w.attach(t, "agent")
	for verdict, want := range map[tunnel.Verdict]error{tunnel.Busy: tunnel.ErrBusy, tunnel.Draining: tunnel.ErrDraining} {
		w.mu.Lock()
		w.verdict = verdict
		w.mu.Unlock()
		if _, err := w.hub.Dispatch(t.Context(), "agent", tunnel.Dispatch{}); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
}

func TestTicketIsUsedOnce(t *testing.T) {
	t.Parallel()
	hub := &tunnel.Hub{}
	link := hub.Attach("agent")
	defer link.Close()
	ticket := <-link.Tickets()
	park := func(preface []byte) error {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		go func() { _, _ = ours.Write(preface) }()
		return hub.Park(theirs, nil)
	}
	forged := bytes.Clone(ticket.Preface())
	forged[len(forged)-1] ^= 1
	if err := park(forged); err == nil {
		t.Fatal("a preface with a wrong HMAC was parked")
	}
	if err := park(ticket.Preface()); err != nil {
		t.Fatal(err)
	}
	if err := park(ticket.Preface()); err == nil {
		t.Fatal("a ticket was used twice")
	}
}

func TestNewControlConnectionReplacesTheOld(t *testing.T) {
	t.Parallel()
	hub := &tunnel.Hub{}
	old := hub.Attach("agent")
	link := hub.Attach("agent")
	for range old.Tickets() { // ends because the channel was closed
	}
	old.Close()
	if !hub.Connected("agent") {
		t.Fatal("closing the old link removed the new one")
	}
	link.Close()
	if hub.Connected("agent") {
		t.Fatal("still connected")
	}
}

func TestParkedConnectionsRetire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := w.attach(t, "agent")
	conn, err := w.hub.Dispatch(t.Context(), "agent", tunnel.Dispatch{})
	if err != nil {
		t.Fatal(err)
	}
	link.Upkeep(time.Now().Add(time.Hour)) // every parked connection is past its life
	if err := echo(conn); err != nil {
		t.Fatalf("a dispatched connection was retired: %v", err)
	}
	conn, err = w.hub.Dispatch(t.Context(), "agent", tunnel.Dispatch{})
	if err != nil {
		t.Fatal(err)
	}
	if err := echo(conn); err != nil {
		t.Fatal(err)
	}
}

func TestDispatchIsAuthenticated(t *testing.T) {
	t.Parallel()
	ticket, err := tunnel.NewTicket(make([]byte, 16), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, greeting := range []string{"", "\x0a8.0.0", strings.Repeat("x", 255)} {
		testAuthentication(t, ticket, tunnel.Dispatch{Connection: tunnel.ID{7}, ClientAddress: "192.0.2.1:5", ListenerAddress: "[::1]:3080", MySQLGreeting: greeting})
	}
	if err := ticket.WriteDispatch(io.Discard, tunnel.Dispatch{MySQLGreeting: strings.Repeat("x", 256)}); err == nil {
		t.Error("a greeting that does not fit was sent")
	}
}

func testAuthentication(t *testing.T, ticket tunnel.Ticket, want tunnel.Dispatch) {
	t.Helper()
	var message bytes.Buffer
	if err := ticket.WriteDispatch(&message, want); err != nil {
		t.Fatal(err)
	}
	got, err := ticket.ReadDispatch(bytes.NewReader(message.Bytes()))
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range message.Len() {
		changed := bytes.Clone(message.Bytes())
		changed[i] ^= 0x10
		if d, err := ticket.ReadDispatch(bytes.NewReader(changed)); err == nil {
			t.Fatalf("dispatch changed at byte %d was accepted: %+v", i, d)
		}
	}
}

func FuzzReadDispatch(f *testing.F) {
	ticket, err := tunnel.NewTicket(make([]byte, 16), make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	var message bytes.Buffer
	for _, greeting := range []string{"", "c"} {
		message.Reset()
		_ = ticket.WriteDispatch(&message, tunnel.Dispatch{ClientAddress: "a", ListenerAddress: "b", MySQLGreeting: greeting})
		f.Add(bytes.Clone(message.Bytes()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ticket.ReadDispatch(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := ticket.WriteDispatch(&again, d); err != nil || !bytes.HasPrefix(data, again.Bytes()) {
			t.Fatalf("%+v does not encode to what it was decoded from", d)
		}
	})
}
