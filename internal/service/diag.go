package service

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"sallyport/internal/version"
)

// staleAfter is how old the view of the cluster may be before the process calls itself degraded.
const staleAfter = 2 * time.Minute

// health is what /healthz and /readyz tell.
type health struct {
	now   func() time.Time
	up    atomic.Bool
	check atomic.Pointer[func() time.Duration] // age of the view of the cluster
}

func newHealth(now func() time.Time) *health { return &health{now: now} }

func (h *health) ready() { h.up.Store(true) }

func (h *health) status() (int, string) {
	if !h.up.Load() {
		return http.StatusServiceUnavailable, "starting"
	}
	if check := h.check.Load(); check != nil && (*check)() > staleAfter {
		return http.StatusServiceUnavailable, "degraded: the auth server does not answer"
	}
	return http.StatusOK, "ok"
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

// metrics returns what /metrics shows.
func (d *daemon) metrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "sallyport_build_info", Help: "Always 1; the label is the version.",
		ConstLabels: prometheus.Labels{"version": version.Version}})
	build.Set(1)
	registry.MustRegister(build)
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_db_sessions", Help: "Database sessions that are running at this agent."},
		func() float64 {
			if d.agent == nil {
				return 0
			}
			return float64(d.agent.Sessions())
		}))
	return registry
}
