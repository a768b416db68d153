package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"sallyport/internal/authapi/sallyportv1"
	"sallyport/internal/cancelkey"
	"sallyport/internal/pgwire"
	"sallyport/internal/proxy"
	"sallyport/internal/tunnel"
)

const (
	longer   = 3 * time.Second // than agents are given to answer
	patience = time.Minute     // with a busy machine
)

// cancel sends a cancel request in clear from an address of this host and waits until the proxy is done with it.
func (f *front) cancel(t *testing.T, from string, pid uint32) {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(pgwire.CancelRequest(pid, []byte("key!"))); err != nil {
		t.Fatal(err)
	}
	if n, _ := io.Copy(io.Discard, conn); n > 0 {
		t.Errorf("it was answered with %d bytes", n)
	}
}

// next returns what the agent hears next.
func (a *agent) next(t *testing.T) *sallyportv1.ControlResponse {
	t.Helper()
	select {
	case msg := <-a.heard:
		return msg
	case <-time.After(patience):
		t.Fatalf("agent %s heard nothing", a.host)
		return nil
	}
}

// wantCancel fails unless the agent is asked next for the session of PostgreSQL, for all that strangers show is, and returns the
// request.
func (a *agent) wantCancel(t *testing.T, pid uint32) []byte {
	t.Helper()
	return a.wantCancelOf(t, "postgres", pid)
}

func (a *agent) wantCancelOf(t *testing.T, protocol string, pid uint32) []byte {
	t.Helper()
	msg := a.next(t)
	key := msg.GetCancel()
	if key.GetProtocol() != protocol || key.GetProcessId() != pid || string(key.GetSecret()) != "key!" || len(key.GetRequest()) != 16 {
		t.Fatalf("agent %s heard %v, want a cancel request of %s for %d", a.host, msg, protocol, pid)
	}
	return key.GetRequest()
}

func (a *agent) wantFound(t *testing.T, request []byte) {
	t.Helper()
	if msg := a.next(t); !bytes.Equal(msg.GetCancelFound().GetRequest(), request) {
		t.Fatalf("agent %s heard %v, want that %x was found", a.host, msg, request)
	}
}

// found tells the proxy that a key is the agent's.
func (a *agent) found(t *testing.T, request []byte) {
	t.Helper()
	err := a.stream.Send(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_CancelFound{CancelFound: &sallyportv1.CancelFound{Request: request}}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhoGuessesCancelKeysIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t, one)
	a := f.agent(t, one)
	for pid := range uint32(3) {
		f.cancel(t, "127.0.0.9", pid)
		a.wantCancel(t, pid)
	}
	f.clock.Advance(longer)
	f.cancel(t, "127.0.0.9", 4)
	f.cancel(t, "127.0.0.10", 5)
	a.wantCancel(t, 5) // and not 4
	f.clock.Advance(time.Minute)
	f.cancel(t, "127.0.0.9", 6)
	a.wantCancel(t, 6)
}

func TestWhoKnowsCancelKeysIsNotRefused(t *testing.T) {
	t.Parallel()
	f := start(t, one, other)
	a, b := f.agent(t, one), f.agent(t, other)
	for pid := range uint32(8) {
		f.cancel(t, "127.0.0.9", pid)
		request := a.wantCancel(t, pid)
		b.wantCancel(t, pid)
		b.found(t, request)
		a.wantFound(t, request)
		f.clock.Advance(longer)
	}
}

// TestAgentsAskForCancelKeysOfOthers lets an agent pass on what a client asked of it.
func TestAgentsAskForCancelKeysOfOthers(t *testing.T) {
	t.Parallel()
	f := start(t, one, other)
	a, b := f.agent(t, one), f.agent(t, other)
	ask := func(pid uint32) []byte {
		t.Helper()
		request := bytes.Repeat([]byte{byte(pid)}, 16)
		err := a.stream.Send(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Cancel{Cancel: &sallyportv1.CancelKey{
			ProcessId: pid, Secret: []byte("key!"), ClientAddress: "192.0.2.1:1000", Request: request, Protocol: "mysql"}}})
		if err != nil {
			t.Fatal(err)
		}
		return request
	}
	request := ask(1)
	if got := b.wantCancelOf(t, "mysql", 1); !bytes.Equal(got, request) {
		t.Errorf("the request was called %x on the way, not %x", got, request)
	}
	b.found(t, request)
	a.wantFound(t, request)
	b.found(t, request) // twice, and for nothing: nobody is told, see below
	b.found(t, bytes.Repeat([]byte{0xff}, 16))
	for pid := uint32(2); pid <= 4; pid++ {
		ask(pid)
		b.wantCancelOf(t, "mysql", pid)
	}
	f.clock.Advance(longer)
	ask(5)
	f.cancel(t, "127.0.0.9", 6) // from elsewhere
	f.cancel(t, "127.0.0.9", 7)
	six, seven := a.wantCancel(t, 6), a.wantCancel(t, 7)
	b.wantCancel(t, 6)
	b.wantCancel(t, 7)
	b.found(t, six)
	a.wantFound(t, six) // what b said before it, on the same way, was told to nobody
	a.found(t, seven)
	b.wantFound(t, seven) // as it was not asked for 5, which a said before
}

// busyAgent is an agent in the proxy's process that has a session of its own, with a database that ends a statement when it is set
// free, however long that takes.
type busyAgent struct{ began, free chan struct{} }

const ofBusyAgent = 1 // the number of its session

func (busyAgent) Serve(_ context.Context, conn net.Conn, _ tunnel.Dispatch, _ func()) {
	_ = conn.Close()
}

func (busyAgent) ServeTerminated(_ context.Context, conn *tls.Conn, _ *x509.Certificate, _ string, _ tunnel.Dispatch) {
	_ = conn.Close()
}

func (a busyAgent) FindCancel(key cancelkey.Key) func(context.Context) {
	if key.ProcessID != ofBusyAgent {
		return nil
	}
	return func(context.Context) {
		close(a.began)
		<-a.free
	}
}

func (busyAgent) CancelFound(cancelkey.ID) {}

// TestASlowDatabaseHoldsUpNoOtherRequest of the agent that asked it to end a statement.
func TestASlowDatabaseHoldsUpNoOtherRequest(t *testing.T) {
	t.Parallel()
	local := busyAgent{make(chan struct{}), make(chan struct{})}
	defer close(local.free)
	f := startBeside(t, local, one, other)
	a, b := f.agent(t, one), f.agent(t, other)
	ask := func(pid uint32) {
		err := a.stream.Send(&sallyportv1.ControlRequest{Message: &sallyportv1.ControlRequest_Cancel{Cancel: &sallyportv1.CancelKey{
			ProcessId: pid, Secret: []byte("key!"), ClientAddress: "192.0.2.1:1000", Request: bytes.Repeat([]byte{byte(pid)}, 16), Protocol: "mysql"}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(ofBusyAgent)
	<-local.began
	b.next(t) // that it was found
	ask(2)
	b.wantCancelOf(t, "mysql", 2)
}

// TestKillsAreCarriedOut whenever they come: the session that is killed waits for that.
func TestKillsAreCarriedOut(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		done := false
		proxy.CarryOut(stopped, func() { done = true })
		if !done {
			t.Errorf("by a proxy that has stopped, %t: nothing was done", stopped)
		}
	}
}
