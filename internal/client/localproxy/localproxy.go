// Package localproxy lets a database client on the user's machine use a database of the cluster: it
// listens on loopback and carries each connection inside the user's own TLS, end to end to the agent. What
// it says itself to clients it says in the protocol of the database.
package localproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/splice"
)

// Config is what a local proxy is made of. All fields must be set unless stated.
type Config struct {
	// Dial opens TLS by way of the cluster's proxy. Faults that it returns are told to clients as they are.
	Dial func(ctx context.Context, cfg *tls.Config) (*tls.Conn, error)
	// TLS returns the configuration for a new connection: the user's certificate as it is now, and the
	// name of the database. It is asked for every connection, so that a renewed certificate is used.
	TLS func(ctx context.Context) (*tls.Config, error)
	// Local is the TLS that clients must speak with this proxy; nil when they connect without.
	Local *tls.Config
	// Protocol is what the clients speak, as in spec.protocol of a database; and in what they are told why they cannot be
	// served.
	Protocol string
	// Refused is told why the first connection is refused, where clients of the protocol would go on all the same; the connection ends
	// then. It is called once at most, by a goroutine of Serve. May be nil: clients get what the agent says.
	Refused func(error)
	Logger  *slog.Logger
}

// Proxy serves one database.
type Proxy struct {
	cfg     Config
	hearing hearing

	mu   sync.Mutex
	last string // address of the connection behind which none is taken; empty before Finish; guarded by mu
}

// New returns a local proxy that does not serve yet.
func New(cfg Config) *Proxy { return &Proxy{cfg: cfg, hearing: hearing{tell: cfg.Refused}} }

// Listen listens on a loopback port, a free one for port 0.
func Listen(port int) (net.Listener, error) {
	if port < 0 || port > 65535 {
		return nil, fault.New(fault.BadParameter, "--port: %d is not a port; use one from 1 to 65535, or leave --port out for a free one", port)
	}
	address := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fault.Wrap(fault.BadParameter, err, "cannot listen on %s: %s; choose another port with --port", address, listenReason(err))
	}
	return listener, nil
}

func listenReason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// Serve serves connections until the context ends or the listener is closed. It returns when all have
// ended. It refuses a protocol in which it could not say anything.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	if refusalOf(p.cfg.Protocol) == nil {
		_ = listener.Close()
		return fault.New(fault.BadParameter, "a local proxy of this version does not speak %q", p.cfg.Protocol)
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting connections: %w", err)
		}
		if p.isLast(conn) {
			_ = conn.Close()
			_ = listener.Close()
			return nil
		}
		conns.Go(func() {
			if err := p.serve(ctx, conn); err != nil && ctx.Err() == nil {
				p.cfg.Logger.Error("connection failed", "error", err)
			}
		})
	}
}

// Finish has Serve take the connections that have been made to its listener by now, and then no more. One of its own tells where that is: to close
// the listener would break those off that nobody has accepted yet.
func (p *Proxy) Finish(listener net.Listener) {
	p.mu.Lock() // until Serve can know it
	defer p.mu.Unlock()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		_ = listener.Close()
		return
	}
	defer conn.Close()
	p.last = conn.LocalAddr().String()
}

func (p *Proxy) isLast(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return conn.RemoteAddr().String() == p.last
}

// serve carries one connection.
func (p *Proxy) serve(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	client, first := conn.(splice.Conn), []byte(nil)
	if p.cfg.Local != nil {
		var err error
		if client, first, err = p.startTLS(ctx, conn); err != nil {
			return err
		}
	}
	remote, err := p.Connect(ctx)
	if err != nil {
		return errors.Join(err, splice.Failure(p.refuse(client, err)))
	}
	defer remote.Close()
	if first != nil { // a cancel request: nothing else of this client goes on
		_, err := remote.Write(first)
		if err = errors.Join(err, remote.CloseWrite()); err == nil {
			_, err = io.Copy(client, remote)
		}
		return splice.Failure(err)
	}
	return splice.Relay(client, p.hearing.on(remote, p.cfg.Protocol))
}

const handshakeTimeout = 15 * time.Second

// Connect opens the TLS connection to the agent.
func (p *Proxy) Connect(ctx context.Context) (*tls.Conn, error) {
	config, err := p.cfg.TLS(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := p.cfg.Dial(ctx, config)
	if err == nil {
		return conn, nil
	}
	if told, ok := errors.AsType[*fault.Error](err); ok {
		return nil, told
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, fault.Wrap(fault.ConnectionProblem, err, "no Database Service that serves the database is connected to the proxy now, or the proxy has all the connections that it takes; try again in a moment, then ask an administrator to see to it")
	}
	return nil, fault.Wrap(fault.ConnectionProblem, err, "no agent serves the database now, or the proxy turned the connection away: %s; see tsh db ls", err)
}
