package clustertest

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/service"
)

// Daemon is a running daemon.
type Daemon struct {
	Config *config.Config
	stop   context.CancelFunc
	kill   context.CancelFunc
	done   chan error
	log    *lockedBuffer
}

// StartDaemon runs a daemon until the test ends or Stop is called.
func StartDaemon(t testing.TB, cfg *config.Config) *Daemon {
	t.Helper()
	return StartDaemonAt(t, cfg, time.Now)
}

// StartDaemonAt is StartDaemon for a host with another clock.
func StartDaemonAt(t testing.TB, cfg *config.Config, now func() time.Time) *Daemon {
	t.Helper()
	return start(t, cfg, service.Process{Now: now})
}

func start(t testing.TB, cfg *config.Config, process service.Process) *Daemon {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	drain, kill := context.WithCancel(context.Background())
	d := &Daemon{Config: cfg, stop: stop, kill: kill, done: make(chan error, 1), log: &lockedBuffer{}}
	logger := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() { d.done <- process.Run(ctx, drain, cfg, logger) }()
	t.Cleanup(func() {
		d.Stop(t)
		if t.Failed() {
			t.Logf("log of the daemon in %s:\n%s", cfg.DataDir, d.log)
		}
	})
	return d
}

// Stop stops the daemon at once and waits for its end. It may be called more than once.
func (d *Daemon) Stop(t testing.TB) {
	t.Helper()
	d.kill()
	d.Drain()
	select {
	case err := <-d.done:
		d.done <- nil
		if err != nil {
			t.Errorf("daemon in %s: %v", d.Config.DataDir, err)
		}
	case <-time.After(patience):
		t.Errorf("daemon in %s does not stop:\n%s", d.Config.DataDir, d.log)
	}
}

// Drain makes the daemon take no new work; running sessions go on.
func (d *Daemon) Drain() { d.stop() }

// Log returns what the daemon has logged.
func (d *Daemon) Log() string { return d.log.String() }

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
