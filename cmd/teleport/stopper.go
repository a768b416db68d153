package main

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"time"

	"sallyport/internal/fault"
)

// stopper turns signals into the end of the daemon. The first SIGTERM or SIGINT ends everything, SIGQUIT
// lets sessions end by themselves first; a further signal ends those sessions; SIGTERM or SIGINT after
// that kills the process. SIGHUP reads certificates again.
type stopper struct {
	stopWork     context.CancelCauseFunc // no new sessions
	stopSessions context.CancelCauseFunc
	delay        time.Duration // between the first signal and stopWork
	patience     time.Duration // between stopWork and stopSessions after SIGQUIT
	kill         func(by syscall.Signal)
	reload       func() // reads certificates again
	logger       *slog.Logger
}

var (
	errStopped = fault.New(fault.ConnectionProblem, "the service is shutting down; connect again in a moment")
	errDrained = fault.New(fault.ConnectionProblem, "the service is shutting down and has waited long enough for this session; connect again in a moment")
)

// listen acts on signals until finished is closed.
func (s *stopper) listen(signals <-chan os.Signal, finished <-chan struct{}) {
	var due <-chan time.Time // of the next step
	var next func()
	stopping, ending := false, false
	end := func(err error) {
		ending, due = true, nil
		s.stopWork(errStopped)
		s.stopSessions(err)
	}
	for {
		select {
		case <-finished:
			return
		case <-due:
			due = nil
			next()
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				s.logger.Info("reading web certificates again; other changes of the configuration need a restart", "signal", sig.String())
				s.reload()
			case !stopping:
				stopping = true
				s.logger.Info("stopping", "signal", sig.String(), "delay", s.delay)
				quit := sig == syscall.SIGQUIT
				due, next = time.After(s.delay), func() {
					if !quit {
						end(errStopped)
						return
					}
					s.stopWork(errStopped)
					due, next = time.After(s.patience), func() { end(errDrained) }
				}
			case !ending:
				s.logger.Info("ending running sessions", "signal", sig.String())
				end(errStopped)
			case sig != syscall.SIGQUIT:
				s.kill(sig.(syscall.Signal))
			}
		}
	}
}
