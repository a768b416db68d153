package service

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/admission"
	"sallyport/internal/auth"
	"sallyport/internal/authapi/sallyportv1/sallyportv1connect"
	"sallyport/internal/mtls"
	"sallyport/internal/mux"
)

// listen binds the API's port and serves it, with the connections that the proxy hands on.
func (s *authService) listen(ctx context.Context, group *errgroup.Group, d *daemon) error {
	listener, err := listen(d.cfg.Auth.ListenAddr, "auth_service.listen_addr")
	if err != nil {
		return err
	}
	s.listening, s.address = listener, listener.Addr().String()
	s.accepted = mux.NewListener(listener.Addr())
	config := mtls.Newest(mtls.At(d.now, mtls.Server(d.member.Certificate, d.member.Trust, false, mtls.ProtocolHTTP2, mtls.ProtocolHTTP)))
	server := &http.Server{
		Handler: admission.Recognise(endWatches(ctx, auth.TLSHandler(s.handler))), ConnContext: admission.ConnContext,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog: slog.NewLogLogger(d.logger.Handler(), slog.LevelDebug),
	}
	group.Go(func() error {
		err := server.Serve(tlsListener{s.accepted, config})
		if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	gate := admission.NewGate(admission.Defaults(d.cfg.MaxConnections))
	group.Go(func() error { return s.accept(ctx, listener, gate, d.logger.With("component", "auth")) })
	group.Go(func() error {
		<-ctx.Done()
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = listener.Close()
		_ = server.Shutdown(shutdown)
		return errors.Join(server.Close(), s.accepted.Close())
	})
	d.logger.Info("auth is listening", "component", "auth", "address", s.address)
	if err := d.writeAuthAddress(s.address); err != nil {
		return err
	}
	return nil
}

// endWatches ends the streams that would go on for ever when the service stops; other calls are completed.
func endWatches(stopping context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == sallyportv1connect.ResourceServiceWatchResourcesProcedure {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(stopping, cancel)()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// accept hands on what comes to the API's own port, until the listener is closed.
func (s *authService) accept(ctx context.Context, listener net.Listener, gate *admission.Gate, logger *slog.Logger) error {
	var handing sync.WaitGroup
	defer handing.Wait()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			select { // others must end first
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		visitor, err := gate.Enter(conn)
		if err != nil {
			_ = conn.Close()
			continue
		}
		handing.Go(func() {
			if err := s.take(ctx, conn, gate, visitor); err != nil {
				logger.Debug("connection refused", "client", conn.RemoteAddr().String(), "error", err)
				visitor.Release()
				_ = conn.Close()
			}
		})
	}
}

// take gives a connection of the API's own port to the API. A client whom a proxy introduces is counted by its own
// address from then on. It owns the connection unless it returns an error.
func (s *authService) take(ctx context.Context, conn net.Conn, gate *admission.Gate, visitor *admission.Visitor) error {
	client, err := s.authority.Introduced(ctx, conn)
	if err != nil {
		return err
	}
	if client.RemoteAddr().String() != conn.RemoteAddr().String() {
		visitor.Release()
		if visitor, err = gate.Enter(client); err != nil {
			return err
		}
	}
	s.accepted.Hand(visitor.Own(client, strangersStay))
	return nil
}

// tlsListener starts TLS on each accepted connection.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(conn, l.config), nil
}
