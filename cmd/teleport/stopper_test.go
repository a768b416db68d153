package main

import (
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/fault"
)

// stopping runs a stopper and returns what it did, in order, after the steps: names of signals, and
// durations to wait.
func stopping(t *testing.T, delay time.Duration, steps ...any) string {
	t.Helper()
	var mu sync.Mutex
	var did []string
	record := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		did = append(did, what)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &stopper{
			stopWork: func(error) { record("work") }, stopSessions: func(error) { record("sessions") },
			kill:   func(syscall.Signal) { record("killed") },
			reload: func() { record("reloaded") },
			delay:  delay, patience: drainTime, logger: slog.New(slog.DiscardHandler),
		}
		signals, finished := make(chan os.Signal), make(chan struct{})
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			s.listen(signals, finished)
		}()
		for _, step := range steps {
			switch step := step.(type) {
			case syscall.Signal:
				signals <- step
			case time.Duration:
				time.Sleep(step)
			}
			synctest.Wait()
			record("|")
		}
		close(finished)
		<-stopped
	})
	return strings.Join(did, " ")
}

func TestSignalsEndTheDaemonInSteps(t *testing.T) {
	t.Parallel()
	const term, interrupt, quit, hup = syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP
	for _, test := range []struct {
		rule  string
		delay time.Duration
		steps []any
		want  string
	}{
		{"SIGTERM ends work and sessions", 0, []any{term}, "work sessions |"},
		{"so does SIGINT", 0, []any{interrupt}, "work sessions |"},
		{"a second one kills", 0, []any{term, interrupt}, "work sessions | killed |"},
		{"SIGQUIT after it changes nothing", 0, []any{term, quit}, "work sessions | |"},
		{"SIGQUIT ends work and waits for sessions", 0, []any{quit, 9 * time.Minute}, "work | |"},
		{"but not for ever", 0, []any{quit, 11 * time.Minute}, "work | work sessions |"},
		{"a second SIGQUIT ends sessions", 0, []any{quit, quit, 20 * time.Minute}, "work | work sessions | |"},
		{"SIGTERM after SIGQUIT ends sessions, and kills the next time", 0, []any{quit, term, term}, "work | work sessions | killed |"},
		{"the delay comes first", time.Minute, []any{term, 59 * time.Second, 2 * time.Second}, "| | work sessions |"},
		{"a second signal ends the delay", time.Minute, []any{term, term}, "| work sessions |"},
		{"SIGHUP reads certificates again and ends nothing", 0, []any{hup, hup}, "reloaded | reloaded |"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := stopping(t, test.delay, test.steps...); got != test.want {
				t.Errorf("did %q, want %q", got, test.want)
			}
		})
	}
}

// TestUsersAreToldThatTheServiceStops looks at what sessions are ended with: users and the audit log read it.
func TestUsersAreToldThatTheServiceStops(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]os.Signal{"at once": {syscall.SIGTERM}, "when it has waited": {syscall.SIGQUIT}} {
		synctest.Test(t, func(t *testing.T) {
			causes := make(chan error, 2)
			s := &stopper{stopWork: func(error) {}, stopSessions: func(cause error) { causes <- cause }, patience: drainTime, logger: slog.New(slog.DiscardHandler)}
			signals, finished := make(chan os.Signal), make(chan struct{})
			go s.listen(signals, finished)
			for _, sig := range steps {
				signals <- sig
			}
			if text := fault.Message(<-causes); !strings.Contains(text, "shutting down") {
				t.Errorf("%s: users read %q", name, text)
			}
			close(finished)
		})
	}
}
