package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"sallyport/internal/fault"
)

const (
	// staleAfter is how old the view of the cluster may be before the process calls itself degraded.
	staleAfter = 2 * time.Minute
	// undeliveredAfter is how long audit events may wait before it does.
	undeliveredAfter = 2 * time.Minute
	// leastRoom is how many bytes must be free where an auth server stores things.
	leastRoom = 1 << 20
)

// health is what /healthz and /readyz tell.
type health struct {
	up       atomic.Bool
	draining atomic.Bool
	stopping atomic.Bool
	checks   atomic.Pointer[[]func() string] // each tells what is wrong, or ""
}

// ready says that the services run, and how to find out how they are.
func (h *health) ready(checks ...func() string) {
	h.checks.Store(&checks)
	h.up.Store(true)
}

// follow notes when the process takes no new work and when it ends its sessions. The returned function ends that.
func (h *health) follow(ctx, drain context.Context) (stop func()) {
	one := context.AfterFunc(ctx, func() { h.draining.Store(true) })
	other := context.AfterFunc(drain, func() { h.stopping.Store(true) })
	return func() { one(); other() }
}

func (h *health) status() (int, string) {
	switch {
	case h.stopping.Load():
		return http.StatusServiceUnavailable, "stopping"
	case h.draining.Load():
		return http.StatusServiceUnavailable, "draining"
	case !h.up.Load():
		return http.StatusServiceUnavailable, "starting"
	}
	for _, check := range *h.checks.Load() {
		if wrong := check(); wrong != "" {
			return http.StatusServiceUnavailable, "degraded: " + wrong
		}
	}
	return http.StatusOK, "ok"
}

// checkAuth tells when the view of the cluster is old.
func (d *daemon) checkAuth() string {
	if d.cache.Age() > staleAfter {
		return "the auth server does not answer"
	}
	return ""
}

// checkDisk tells when an auth server has no room for what it stores.
func (d *daemon) checkDisk() string {
	if d.auth == nil {
		return ""
	}
	for _, dir := range []string{d.cfg.DataDir, cmp.Or(d.cfg.Storage.Path, d.cfg.DataDir)} {
		var disk unix.Statfs_t
		if unix.Statfs(dir, &disk) != nil {
			continue
		}
		free := uint64(disk.Bavail)
		if os.Geteuid() == 0 {
			free = disk.Bfree // with what is kept for root
		}
		if free*uint64(disk.Bsize) < leastRoom {
			return "the disk of " + dir + " is full"
		}
	}
	return ""
}

// checkAudit tells when events cannot be kept or delivered.
func (d *daemon) checkAudit() string {
	if d.agent == nil {
		return ""
	}
	switch stats := d.agent.Stats(); {
	case stats.SpoolError != nil:
		return fault.Message(stats.SpoolError)
	case stats.AuditOutage > undeliveredAfter:
		return "audit events cannot be delivered to the auth server"
	default:
		return ""
	}
}

// diagnostics is the listener of the diagnostic address; nil when there is none.
type diagnostics struct{ server *http.Server }

func (d *daemon) startDiagnostics(_ context.Context, group *errgroup.Group) (*diagnostics, error) {
	if d.cfg.DiagAddr == "" {
		return nil, nil
	}
	listener, err := listen(d.cfg.DiagAddr, "teleport.diag_addr")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		code, text := d.health.status()
		writeStatus(w, code, text)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.metrics(), promhttp.HandlerOpts{}))
	if d.cfg.Debug {
		for name, handler := range map[string]http.HandlerFunc{
			"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
		} {
			mux.HandleFunc("/debug/pprof/"+name, handler)
		}
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	d.logger.Info("diagnostics are listening", "address", listener.Addr().String())
	return &diagnostics{server}, nil
}

func (d *diagnostics) close() error {
	if d == nil {
		return nil
	}
	return d.server.Close()
}

func writeStatus(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": text})
}
